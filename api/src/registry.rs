//! What all requests share.

use std::io;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ipnet::IpNet;
use prometheus_client::registry::Registry as Metrics;
use proto::access::AccountName;
use proto::{Actor, Answer, Command, Mutant, Refusal, RequestId, UploadKey, limits};
use raft::{Clock, Cluster, ProposeError, ReadError, View};
use storage::Blobs;
use tokio::time::timeout;
use tracing::Instrument as _;

use crate::access::{Access, AccessMode};
use crate::allowances::{Quota, Rate, Throughput};
use crate::content::damage::Damage;
use crate::content::redirect::Redirect;
use crate::doubt::Doubt;
use crate::error::{Error, RETRY_AFTER};
use crate::metrics::RequestMetrics;

/// How long a read waits for a cluster that is electing a leader before it says so.
const READ_PATIENCE: Duration = Duration::from_secs(3);
/// How long a change waits for a cluster that is electing a leader. With the default timing a dead
/// leader is missed within 1.8 s (ADR 19), so an election or two may fail meanwhile.
const PROPOSE_PATIENCE: Duration = Duration::from_secs(5);
/// The first pause between two attempts; each further one is twice as long, up to the last.
const PAUSE_MIN: Duration = Duration::from_millis(20);
/// The longest pause between two attempts.
const PAUSE_MAX: Duration = Duration::from_millis(320);

/// The registry, as far as it is the same for all requests. Clones are the same.
#[derive(Clone)]
pub struct Registry(Arc<Shared>);

/// What all requests share: the doors to the facts and the bytes, what limits the clients, and what
/// this node remembers.
pub struct Shared {
    /// The facts.
    pub(crate) cluster: Cluster,
    /// The bytes.
    pub(crate) blobs: Arc<dyn Blobs>,
    /// The time, for the expiry of upload sessions.
    pub(crate) clock: Clock,
    /// What the operator set.
    pub(crate) options: Options,
    /// What is counted of each request.
    pub(crate) metrics: RequestMetrics,
    /// What tells who asks; `None` when everybody may do everything.
    pub(crate) access: Option<Arc<Access>>,
    /// How many transfers there may be at once.
    pub(crate) transfers: Quota,
    /// How much each client may have read back at once.
    pub(crate) readings: Quota,
    /// How often each client may ask anything.
    pub(crate) requests: Rate,
    /// How often each account may ask anything.
    pub(crate) requests_of_accounts: Rate<AccountName>,
    /// How fast the bytes of bodies go.
    pub(crate) throughput: Throughput,
    /// How often each client may begin an upload.
    pub(crate) upload_starts: Rate,
    /// The objects whose bytes are not those that were pushed.
    pub(crate) damage: Damage,
    /// The key that signs upload sessions, once it was read: it never changes.
    upload_key: OnceLock<UploadKey>,
}

impl Deref for Registry {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

/// What the operator can set about the API.
#[derive(Clone, Debug)]
pub struct Options {
    /// Who may do what.
    pub access: AccessMode,
    /// Whether manifests, tags and blobs can be deleted; otherwise every DELETE of them is 405.
    pub deletion: bool,
    /// Whether a manifest is taken although its repository lacks something that it names.
    pub sparse: bool,
    /// Whether clients get blobs from the store itself.
    pub redirect: Redirect,
    /// How many transfers there may be at once; further ones wait for a moment, and are then
    /// answered 429.
    pub transfers: usize,
    /// How many of them one client may have.
    pub transfers_per_client: usize,
    /// How many uploads one client may begin in a minute; further ones are answered 429. 0: as many
    /// as it likes.
    pub uploads_per_minute: u32,
    /// How many of them it may begin without a pause.
    pub uploads_at_once: u32,
    /// How often one client may ask anything in a minute; further requests are answered 429. 0: as
    /// often as it likes.
    pub requests_per_minute: u32,
    /// How often one account may ask anything in a minute, from wherever; as for clients.
    pub requests_per_account_per_minute: u32,
    /// How many KiB one client may send and receive in a second, in all bodies together; more
    /// waits. 0: as many as it likes.
    pub kib_per_client_per_second: u32,
    /// How many KiB one account may send and receive in a second; as for clients.
    pub kib_per_account_per_second: u32,
    /// The proxies that are believed when they say for whom they ask.
    pub trusted_proxies: Vec<IpNet>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            access: AccessMode::Open,
            deletion: true,
            sparse: false,
            redirect: Redirect::Never,
            transfers: limits::TRANSFERS_DEFAULT,
            transfers_per_client: limits::TRANSFERS_PER_CLIENT_DEFAULT,
            requests_per_minute: 0,
            requests_per_account_per_minute: 0,
            kib_per_client_per_second: 0,
            kib_per_account_per_second: 0,
            uploads_per_minute: limits::UPLOADS_PER_MINUTE_DEFAULT,
            uploads_at_once: limits::UPLOADS_AT_ONCE_DEFAULT,
            trusted_proxies: Vec::new(),
        }
    }
}

impl Registry {
    /// The registry over `cluster` and `blobs`; its request counts and latencies are registered
    /// with `metrics`.
    ///
    /// # Errors
    /// When the operating system gives no randomness.
    pub fn new(
        cluster: Cluster,
        blobs: Arc<dyn Blobs>,
        clock: Clock,
        options: Options,
        metrics: &mut Metrics,
    ) -> io::Result<Self> {
        let access = match &options.access {
            AccessMode::Open => None,
            AccessMode::Closed(options) => {
                let access = Access::new(options.clone(), cluster.status().cluster);
                Some(Arc::new(access.map_err(io::Error::other)?))
            }
        };
        let metrics = RequestMetrics::register(metrics);
        let transfers = Quota::new(options.transfers, options.transfers_per_client);
        let readings = Quota::new(limits::READINGS_MAX, limits::READINGS_PER_CLIENT_MAX);
        let requests = Rate::new(options.requests_per_minute, options.requests_per_minute);
        let per_account = options.requests_per_account_per_minute;
        let requests_of_accounts = Rate::new(per_account, per_account);
        let throughput =
            Throughput::new(options.kib_per_client_per_second, options.kib_per_account_per_second);
        let upload_starts = Rate::new(options.uploads_per_minute, options.uploads_at_once);
        Ok(Self(Arc::new(Shared {
            cluster,
            blobs,
            clock,
            options,
            metrics,
            access,
            transfers,
            readings,
            requests,
            requests_of_accounts,
            throughput,
            upload_starts,
            damage: Damage::none(),
            upload_key: OnceLock::new(),
        })))
    }

    /// The catalog after everything that was acknowledged by now. Waits out an election.
    pub(crate) async fn newest(&self) -> Result<View, Error> {
        let may_be_repeated = |error: &_| matches!(error, ReadError::Unavailable { .. });
        let view = until_led(READ_PATIENCE, may_be_repeated, || self.cluster.read()).await?;
        if Mutant::ViewKept.is_active() {
            std::mem::forget(view.clone());
        }
        Ok(view)
    }

    /// Counts one more request of `account`.
    ///
    /// # Errors
    /// [`Error::TooManyRequestsOfAccount`] when there were too many.
    pub(crate) fn count_request(&self, account: Option<&AccountName>) -> Result<(), Error> {
        let refuse = |retry_after| Error::TooManyRequestsOfAccount { retry_after };
        match account {
            Some(account) if self.requests_of_accounts.is_limited() => {
                self.requests_of_accounts.take(account.clone()).map_err(refuse)
            }
            _ => Ok(()),
        }
    }

    /// What tells who asks.
    pub(crate) fn access(&self) -> Result<&Access, Error> {
        self.access.as_deref().ok_or(Error::AccessOpen)
    }

    /// Has the cluster decide `command`, for which no client has asked.
    pub(crate) async fn propose_by_itself(&self, command: Command) -> Result<Answer, Error> {
        let (cluster, request) = (self.cluster.clone(), fresh_request()?);
        detached(async move { decide(&cluster, &Actor::CLUSTER, request, &command).await }).await
    }

    /// The key that signs upload sessions. Waits for a cluster that is still being founded.
    pub(crate) async fn upload_key(&self) -> Result<&UploadKey, Error> {
        if let Some(key) = self.upload_key.get() {
            return Ok(key);
        }
        let not_founded = || Error::Refused(Refusal::NotFounded);
        let attempt = || async { self.newest().await?.upload_key()?.ok_or_else(not_founded) };
        let may_be_repeated = |error: &_| matches!(error, Error::Refused(Refusal::NotFounded));
        let key = until_led(READ_PATIENCE, may_be_repeated, attempt).await?;
        Ok(self.upload_key.get_or_init(|| key))
    }
}

/// Has `cluster` decide what `actor` asks for. Waits out an election, always under the same id.
pub(crate) async fn decide(
    cluster: &Cluster,
    actor: &Actor,
    request: RequestId,
    command: &Command,
) -> Result<Answer, Error> {
    let may_be_repeated =
        |error: &_| matches!(error, ProposeError::Unavailable { .. } | ProposeError::Unknown);
    let doubt = Doubt::default();
    let attempt = || doubt.attempt(cluster.propose(request, actor, command.clone()));
    doubt.explain(until_led(PROPOSE_PATIENCE, may_be_repeated, attempt).await)
}

/// Makes `attempt` again for as long as `patience`, while it fails in a way that is worth
/// another one, such as when nobody leads. It must do no harm if it is made again after an attempt
/// of which nothing is known.
pub(crate) async fn until_led<T, E, Attempt>(
    patience: Duration,
    may_be_repeated: impl Fn(&E) -> bool,
    attempt: impl Fn() -> Attempt,
) -> Result<T, Error>
where
    Attempt: Future<Output = Result<T, E>>,
    Error: From<E>,
{
    let attempts = Box::pin(async {
        let mut pause = PAUSE_MIN;
        loop {
            match attempt().await {
                Err(error) if may_be_repeated(&error) => wait(&mut pause).await,
                outcome => return outcome,
            }
        }
    });
    match timeout(patience, attempts).await {
        Ok(outcome) => Ok(outcome?),
        Err(_) => Err(Error::Unavailable { retry_after: RETRY_AFTER }),
    }
}

/// Runs `work` to its end even when the caller is dropped.
pub(crate) async fn detached<T: Send + 'static>(
    work: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    tokio::spawn(work.in_current_span()).await?
}

/// The id of a request that never came before.
pub(crate) fn fresh_request() -> Result<RequestId, Error> {
    Ok(RequestId::from_bytes(random()?))
}

/// Fresh randomness, for ids and keys.
#[expect(clippy::disallowed_methods, reason = "the one function that draws chance here")]
pub(crate) fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| Error::Internal(error.to_string()))?;
    Ok(bytes)
}

async fn wait(pause: &mut Duration) {
    tokio::time::sleep(*pause).await;
    *pause = (*pause * 2).min(PAUSE_MAX);
}
