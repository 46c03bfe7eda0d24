//! Who asks, and what they may do.
//!
//! A request goes through it like this:
//!
//! ```text
//! Authorization header -> Credentials -> Caller: an identity, and what limits it
//! Endpoint and method  -> Need: a verb on a repository
//! Caller + Need        -> go on, 401 with a challenge, or 403
//! ```
//!
//! What is permitted follows from the catalog's grants alone, read behind the same barrier as all
//! else; tokens and keys only take away from it. So a right that is taken back is gone on every
//! node once that is acknowledged, whatever was given out before.

mod administrator;
mod attempts;
mod caller;
mod challenge;
mod credentials;
mod htpasswd;
mod issuer;
mod known;
mod login;
mod need;
mod password;
mod policy;
mod records;
mod scope;
mod secret;
mod sight;
mod token;
mod uses;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::request::Parts;
use proto::access::{TokenKey, Verb};
use proto::{ClusterId, RepoName, Tagging, Timestamp};
use raft::{ReadError, View};
use tokio::time::Instant;

pub use self::administrator::{ADMINISTRATOR, AppointError, Appointed};
use self::attempts::Attempts;
pub(crate) use self::caller::{Caller, Identity};
pub(crate) use self::challenge::BASIC;
pub(crate) use self::credentials::Credentials;
pub use self::htpasswd::{Htpasswd, HtpasswdError};
pub use self::issuer::{Issuer, IssuerError};
use self::known::Known;
pub(crate) use self::login::{Login, by_certificate, log_in};
pub(crate) use self::need::Need;
pub(crate) use self::password::{NewPassword, Passwords};
pub(crate) use self::policy::Policy;
use self::records::{Records, Refused};
pub(crate) use self::scope::Resource;
pub(crate) use self::secret::AccessKeySecret;
use self::sight::Sight;
pub(crate) use self::token::{LIFETIME, Tokens, public_jwk};
use self::uses::Uses;
use crate::allowances::Share;
use crate::audit;
use crate::client::Origin;
use crate::client::certificate::NameKind;
use crate::client::site;
use crate::content::source::Source;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::registry::Registry;
use crate::visit::Visit;

/// How soon a body is there, if it is sent without waiting for anything.
const AT_ONCE: Duration = Duration::from_secs(1);

/// Who may do what, in this registry.
#[derive(Clone, Debug, Default)]
pub enum AccessMode {
    /// Everybody may do everything: for a first try, and for networks where all are trusted.
    #[default]
    Open,
    /// Nobody may do anything that is not granted.
    Closed(AccessOptions),
}

/// What the operator sets about access.
#[derive(Clone, Debug)]
pub struct AccessOptions {
    /// The registry's name in tokens, for those who issue tokens for several.
    pub service: String,
    /// The URL by which clients reach the registry; `None`: what they call it themselves.
    pub url: Option<String>,
    /// Where clients get tokens, when not from the registry itself.
    pub token_url: Option<String>,
    /// An issuer outside of the cluster whose tokens count.
    pub issuer: Option<Issuer>,
    /// Which name in a client's certificate is that of its account.
    pub certificate_name: NameKind,
    /// Users beside those of the catalog.
    pub htpasswd: Option<Htpasswd>,
}

/// What is needed to tell who asks, shared by all requests of a node.
pub(crate) struct Access {
    pub(crate) options: AccessOptions,
    pub(crate) passwords: Passwords,
    pub(crate) tokens: Tokens,
    known: Known,
    attempts: Attempts,
    uses: Uses,
    records: Records,
    snapshot: Mutex<Option<Arc<Snapshot>>>,
}

/// What all requests need to know of the catalog, of one version of it.
pub(crate) struct Snapshot {
    version: u64,
    /// What is granted.
    pub(crate) policy: Policy,
    /// The keys whose tokens count.
    pub(crate) token_keys: Vec<TokenKey>,
}

impl Access {
    pub(crate) fn new(options: AccessOptions, cluster: ClusterId) -> Result<Self, Error> {
        let tokens = Tokens::new(cluster, &options.service);
        let passwords = Passwords::new()?;
        let (attempts, records) = (Attempts::new(), Records::new());
        let (known, uses, snapshot) = (Known::new(), Uses::new(), Mutex::default());
        Ok(Self { options, passwords, tokens, known, attempts, uses, records, snapshot })
    }

    /// Records what was refused to the client that sent the request with `parts`, unless there was
    /// too much.
    fn record(&self, refused: Refused, parts: &Parts, write: impl FnOnce(Origin)) {
        self.records.record(refused, &parts.extensions, write);
    }

    /// The refusal of what `caller` may not do for want of `need`, which is recorded.
    pub(crate) fn deny(&self, parts: &Parts, caller: &Caller, need: &Need) -> Error {
        self.record(Refused::Else, parts, |from| audit::denied(from, &caller.actor(), need));
        Error::Denied(need.to_string())
    }

    /// What `view` has: read again only when anything about access has changed.
    pub(crate) fn snapshot(&self, view: &View) -> Result<Arc<Snapshot>, ReadError> {
        let version = view.access_version()?;
        let mut kept = self.snapshot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(snapshot) = &*kept
            && snapshot.version == version
        {
            return Ok(Arc::clone(snapshot));
        }
        let policy = Policy::read(view)?;
        let snapshot = Arc::new(Snapshot { version, policy, token_keys: view.token_keys()? });
        *kept = Some(Arc::clone(&snapshot));
        Ok(snapshot)
    }
}

/// Lets the request of `parts` in, which has `share` of the transfers.
///
/// # Errors
/// [`Error::Unauthorized`] when it is not known who asks, and [`Error::Denied`] when they may not;
/// [`Error::OtherSite`] where everybody may, for a page of another site.
pub(crate) async fn admit(
    registry: &Registry,
    endpoint: &Endpoint,
    parts: &Parts,
    share: Option<Arc<Share>>,
) -> Result<Visit, Error> {
    let visit = |caller: Arc<Caller>, admission| {
        Visit::of(registry.clone(), caller, admission, parts, share)
    };
    let Some(access) = &registry.access else {
        site::check(parts)?;
        return Ok(visit(Arc::new(Caller::UNLIMITED), Admission::default()));
    };
    let need = Need::of(endpoint, &parts.method);
    if need == Need::Nothing {
        return Ok(visit(Arc::new(Caller::NOBODY), Admission::default()));
    }
    let (credentials, now) = (Credentials::of(&parts.headers), registry.clock.now());
    let mut sight = Sight::of(registry, endpoint, parts, &credentials).await?;
    let asked = Asked { registry, access, parts, need, credentials, now };
    let mut judged = asked.count_and_judge(&sight.view).await;
    if sight.is_behind() && judged.as_ref().is_err_and(|refusal| !asked.is_final(refusal)) {
        // What was granted meanwhile, this node has not heard.
        sight = Sight::newest(registry).await?;
        judged = asked.judge(&sight.view).await;
    }
    let caller = judged?;
    let (version, source) = (sight.view.access_version()?, sight.source());
    let admission = Admission { version, time: now, since: Instant::now(), source };
    let mut visit = visit(caller, admission);
    visit.admitted_by = sight.shown_to(&parts.method);
    Ok(visit)
}

/// By what somebody was let in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Admission {
    /// The version of access.
    version: u64,
    /// When that was.
    time: Timestamp,
    /// The same, by a clock that nobody sets.
    since: Instant,
    /// Who said so.
    pub(crate) source: Source,
}

impl Default for Admission {
    fn default() -> Self {
        let (version, time, source) = (0, Timestamp::default(), Source::default());
        Self { version, time, since: Instant::now(), source }
    }
}

/// The visit once its body is there, which may take hours: where anything about access has changed
/// meanwhile, the caller is judged once more. A body that came at once leaves no time for a change,
/// but for those that this node has heard of.
///
/// # Errors
/// As [`admit`].
pub(crate) async fn readmit(visit: &Visit, parts: &Parts) -> Result<Visit, Error> {
    let mut visit = visit.clone();
    if visit.access.is_none() {
        return Ok(visit);
    }
    let Admission { version, since, .. } = visit.admission;
    let is_late = since.elapsed() > AT_ONCE;
    let mut view = if is_late { visit.newest().await? } else { visit.cluster.local()? };
    if view.access_version()? == version {
        return Ok(visit);
    }
    if !is_late {
        view = visit.newest().await?;
    }
    visit.caller = judge_anew(&visit, parts, &view).await?;
    visit.admission.version = view.access_version()?;
    visit.admission.source = Source::Confirmed;
    Ok(visit)
}

/// The caller of `visit`, whose request `parts` are of, if `view` lets them in, too. A token may
/// have ended since they came, as all do after minutes.
///
/// # Errors
/// As [`admit`].
pub(crate) async fn judge_anew(
    visit: &Visit,
    parts: &Parts,
    view: &View,
) -> Result<Arc<Caller>, Error> {
    let (Some(access), Ok(endpoint)) = (&visit.access, Endpoint::parse(parts.uri.path())) else {
        return Ok(Arc::clone(&visit.caller));
    };
    let (need, credentials) = (Need::of(&endpoint, &parts.method), Credentials::of(&parts.headers));
    let now = visit.admission.time;
    let asked = Asked { registry: visit, access, parts, need, credentials, now };
    asked.judge(view).await
}

/// What is judged of a request.
struct Asked<'a> {
    registry: &'a Registry,
    access: &'a Access,
    parts: &'a Parts,
    need: Need,
    credentials: Credentials,
    /// When it came.
    now: Timestamp,
}

impl Asked<'_> {
    /// Who asks, if `view` lets them do what they need.
    async fn judge(&self, view: &View) -> Result<Arc<Caller>, Error> {
        let caller = self.by(view).await?;
        self.permit(&caller)?;
        Ok(caller)
    }

    /// The same, of a request that is counted as one of its account's.
    async fn count_and_judge(&self, view: &View) -> Result<Arc<Caller>, Error> {
        let caller = self.by(view).await?;
        self.registry.count_request(caller.account())?;
        self.permit(&caller)?;
        Ok(caller)
    }

    /// Whether no other catalog would say otherwise: the account has asked too often, or a client
    /// that has shown nothing is told how to log in.
    fn is_final(&self, refusal: &Error) -> bool {
        match refusal {
            Error::TooManyRequestsOfAccount { .. } | Error::TooManyLogins { .. } => true,
            Error::Unauthorized { .. } => self.credentials == Credentials::None,
            _ => false,
        }
    }

    /// Who asks, as `view` has it.
    async fn by(&self, view: &View) -> Result<Arc<Caller>, Error> {
        let Self { registry, access, parts, need, credentials, now } = self;
        match login::identify(registry, access, view, parts, credentials, *now).await {
            Err(Error::LoginFailed) => Err(challenge::login_failed(access, parts, need)),
            outcome => outcome,
        }
    }

    /// Lets `caller` do what they need, if they may.
    fn permit(&self, caller: &Caller) -> Result<(), Error> {
        let Self { access, parts, need, .. } = self;
        match need.met_by(caller) {
            need::Met::Yes => Ok(()),
            need::Met::WithAnotherToken => {
                let why = Some("insufficient_scope");
                Err(challenge::unauthorized(access, parts, need, why))
            }
            need::Met::No if caller.is_anonymous() => {
                Err(challenge::unauthorized(access, parts, need, None))
            }
            need::Met::No => Err(access.deny(parts, caller, need)),
        }
    }
}

/// Checks that a caller who may pull from `from` has a token that says so, too: the caller can get
/// one for both repositories, as the refusal says.
///
/// # Errors
/// [`Error::Unauthorized`] when their token is not for both.
pub(crate) fn check_mount(
    visit: &Visit,
    parts: &Parts,
    into: &RepoName,
    from: &RepoName,
) -> Result<(), Error> {
    let need = Need::Mount { into: into.clone(), from: from.clone() };
    match (&visit.access, need.met_by(&visit.caller)) {
        (Some(access), need::Met::No) => {
            Err(challenge::unauthorized(access, parts, &need, Some("insufficient_scope")))
        }
        _ => Ok(()),
    }
}

/// Which tags a push by `caller` into `repository` may change.
pub(crate) fn tagging(caller: &Caller, repository: &RepoName) -> Tagging {
    Tagging {
        may_create: caller.may(Verb::CreateTag, Some(repository)),
        may_move: caller.may(Verb::MoveTag, Some(repository)),
    }
}
