//! What a node does for access beside answering: files of users are read again when they change,
//! and a cluster without accounts gets its first administrator.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use std::{fs, io};

use api::{
    AccessMode, AccessOptions, AppointError, Appointed, Htpasswd, HtpasswdError, Issuer,
    IssuerError, NameKind, Registry,
};
use raft::{Cluster, Role};
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use crate::config;
use crate::config::AccessKind;

/// How often a file is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How often what is wrong for as long as the node runs is said.
const SAID_EVERY: Duration = Duration::from_secs(60 * 60);
/// How often a leader tries to appoint the first administrator.
const APPOINT_EVERY: Duration = Duration::from_millis(250);
/// The key that names the file with the administrator's password.
const ADMINISTRATOR_PASSWORD: &str = "access.administrator_password_file";

/// Why access cannot be as it is configured, as a sentence for the operator.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// A file cannot be read.
    #[error("{key} names {}, which cannot be read: {reason}", path.display())]
    File {
        /// The key that names it.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: io::Error,
    },
    /// The keys of an issuer cannot be used.
    #[error("{}: {error}", path.display())]
    IssuerKeys {
        /// The file.
        path: PathBuf,
        /// Why.
        error: IssuerError,
    },
    /// The administrator cannot have the password in a file.
    #[error(
        "{ADMINISTRATOR_PASSWORD} names {}, whose first line cannot be used: {error}",
        path.display()
    )]
    Password {
        /// The file.
        path: PathBuf,
        /// Why.
        error: AppointError,
    },
    /// A line of the file of users cannot be used.
    #[error("{}, {error}", path.display())]
    Htpasswd {
        /// The file.
        path: PathBuf,
        /// The line, and why.
        error: HtpasswdError,
    },
}

/// What `config` says, with its files read.
pub(crate) fn open(config: &config::Access) -> Result<AccessMode, AccessError> {
    Ok(match config.kind {
        AccessKind::Open => AccessMode::Open,
        AccessKind::Closed => AccessMode::Closed(AccessOptions {
            service: config.service.to_string(),
            url: config.url.as_ref().map(|url| url.as_str().to_owned()),
            certificate_name: match config.certificate_name {
                config::CertificateName::Common => NameKind::Common,
                config::CertificateName::Email => NameKind::Email,
                config::CertificateName::Dns => NameKind::Dns,
                config::CertificateName::Uri => NameKind::Uri,
            },
            token_url: config.token_url.as_ref().map(ToString::to_string),
            issuer: config
                .issuer
                .as_deref()
                .zip(config.issuer_keys.as_deref())
                .map(|(name, path)| issuer(name, path))
                .transpose()?,
            htpasswd: config.htpasswd.as_deref().map(users).transpose()?,
        }),
    })
}

/// The password that the file at `path` holds: its first line.
fn password(path: &Path) -> Result<String, AccessError> {
    let text = read(ADMINISTRATOR_PASSWORD, path)?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

fn users(path: &Path) -> Result<Htpasswd, AccessError> {
    let text = read("access.htpasswd", path)?;
    text.parse().map_err(|error| AccessError::Htpasswd { path: path.to_owned(), error })
}

fn issuer(name: &str, path: &Path) -> Result<Issuer, AccessError> {
    let keys = read("access.issuer_keys", path)?;
    Issuer::new(name, &keys).map_err(|error| {
        let path = path.to_owned();
        AccessError::IssuerKeys { path, error }
    })
}

fn read(key: &'static str, path: &Path) -> Result<String, AccessError> {
    fs::read_to_string(path).map_err(|reason| {
        let path = path.to_owned();
        AccessError::File { key, path, reason }
    })
}

/// Reads the file of users again whenever it has changed. When it cannot be used, who was in it
/// stays.
pub(crate) async fn watch_users(path: PathBuf, current: Htpasswd) {
    watch(path, users, |users| current.replace(&users)).await;
}

/// Reads the keys of the issuer `name` again whenever their file has changed. When they cannot be
/// used, those before stay.
pub(crate) async fn watch_keys(name: String, path: PathBuf, current: Issuer) {
    watch(path, move |path| issuer(&name, path), |keys| current.replace(&keys)).await;
}

async fn watch<T: Send + 'static>(
    path: PathBuf,
    read: impl Fn(&Path) -> Result<T, AccessError> + Clone + Send + 'static,
    take: impl Fn(T),
) {
    let (mut seen, mut before, mut complaint) = (None, None, Complaint::default());
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    loop {
        ticks.tick().await;
        let (path, read) = (path.clone(), read.clone());
        let look = move || {
            let now = changed(&path);
            // What changes between two looks may be half written.
            (now, (now == before && now != seen).then(|| read(&path)))
        };
        let Ok((now, looked)) = spawn_blocking(look).await else { continue };
        before = now;
        match looked {
            None if now == seen => complaint = Complaint::default(),
            Some(Ok(found)) => {
                (seen, complaint) = (now, Complaint::default());
                take(found);
            }
            // It is read again until that works: nothing of it changes when its rights do.
            Some(Err(error)) if complaint.is_news(&error) => {
                tracing::warn!(%error, "what was read before stays");
            }
            None | Some(Err(_)) => {}
        }
    }
}

/// What shows that a file has changed.
fn changed(path: &Path) -> Option<(SystemTime, u64)> {
    let about = fs::metadata(path).ok()?;
    Some((about.modified().ok()?, about.len()))
}

/// Appoints the cluster's first administrator while this node leads, until there is one; with
/// `anew`, one more in any case. Who that is, `told` learns if this node has done it.
///
/// The password is that in `file`, if one is named, which is read when it is needed: it may be gone
/// once there is an administrator, and mended until then.
pub(crate) async fn appoint(
    cluster: Cluster,
    registry: Registry,
    file: Option<PathBuf>,
    anew: bool,
    told: oneshot::Sender<Appointed>,
) {
    let mut complaint = Complaint::default();
    // Whether a password may have been set that was drawn, and shown to nobody.
    let mut is_unsure = false;
    let mut ticks = tokio::time::interval(APPOINT_EVERY);
    loop {
        ticks.tick().await;
        if !anew && cluster.status().role != Role::Leader {
            if has_none(&cluster) {
                continue;
            }
            return leave_to_others(is_unsure);
        }
        let password = match file.as_deref().map(password).transpose() {
            Ok(password) => password,
            Err(_) if !anew && !has_none(&cluster) => return,
            Err(error) => {
                complain(&mut complaint, &error);
                continue;
            }
        };
        let is_drawn = password.is_none();
        match registry.appoint_administrator(password, !anew).await {
            Ok(Some(appointed)) => {
                let account = &appointed.name;
                tracing::info!(target: "audit", %account, "administrator appointed");
                // Nobody may be there to hear it.
                let _ = told.send(appointed);
                return;
            }
            Ok(None) => return leave_to_others(is_unsure),
            Err(AppointError::Unavailable) => is_unsure |= is_drawn,
            Err(error @ AppointError::Password(_)) => {
                let path = file.clone().unwrap_or_default();
                complain(&mut complaint, &AccessError::Password { path, error });
            }
            Err(error) => {
                complain(&mut complaint, &error);
                return;
            }
        }
    }
}

/// There is an administrator whom this node has not appointed, as far as it knows: when it
/// `is_unsure`, it may have proposed one and was not told in time that this was decided.
fn leave_to_others(is_unsure: bool) {
    if is_unsure {
        tracing::warn!(
            "the cluster has an administrator, whose password may be one that this node has drawn \
             and nobody was shown: when no node has shown it, start one once with `roadstead serve \
             --reset-administrator`"
        );
    }
}

/// Says again and again, on a node whose registry is open, that the cluster has accounts: each node
/// has its own `access.mode`, and one that was left open lets everybody in.
pub(crate) async fn warn_while_open(cluster: Cluster) {
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    let mut said: Option<Instant> = None;
    loop {
        ticks.tick().await;
        let is_due = said.is_none_or(|said| said.elapsed() >= SAID_EVERY);
        let accounts = cluster.local().and_then(|view| view.accounts(None, 1));
        if is_due && accounts.is_ok_and(|accounts| !accounts.is_empty()) {
            said = Some(Instant::now());
            tracing::error!(
                "access.mode is \"open\" on this node, so that everybody may do everything through \
                 it, and the cluster has accounts: set it to \"closed\", as on the other nodes"
            );
        }
    }
}

/// Whether the cluster has no account yet, as far as this node knows.
fn has_none(cluster: &Cluster) -> bool {
    let accounts = cluster.local().and_then(|view| view.accounts(None, 1));
    accounts.is_ok_and(|accounts| accounts.is_empty())
}

/// Says why there is no administrator.
fn complain(complaint: &mut Complaint, reason: &dyn Error) {
    if complaint.is_news(reason) {
        tracing::error!(%reason, "no administrator can be appointed");
    }
}

/// Why something does not work: said once, and again when it is another reason.
#[derive(Default)]
struct Complaint(String);

impl Complaint {
    fn is_news(&mut self, reason: &dyn Error) -> bool {
        let reason = reason.to_string();
        let is_news = reason != self.0;
        self.0 = reason;
        is_news
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// The reason `number`.
    fn error(number: u32) -> AccessError {
        let reason = io::Error::other(number.to_string());
        AccessError::File { key: "access.htpasswd", path: PathBuf::new(), reason }
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_that_could_not_be_read_is_read_again_though_it_is_as_it_was() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let reads = Arc::new(AtomicU32::new(0));
        let (taken, mut was_taken) = tokio::sync::mpsc::unbounded_channel();
        let counted = Arc::clone(&reads);
        let read = move |_: &Path| match counted.fetch_add(1, Ordering::Relaxed) {
            number @ 0..3 => Err(error(number)),
            number => Ok(number),
        };
        let watching = watch(file.path().to_owned(), read, move |number| {
            taken.send(number).unwrap();
        });
        let watching = tokio::spawn(watching);
        assert_eq!(was_taken.recv().await, Some(3));
        tokio::time::sleep(LOOK_EVERY * 5).await;
        assert_eq!(reads.load(Ordering::Relaxed), 4, "it is not read again without a reason");
        watching.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_that_is_being_written_is_not_read_yet() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let (taken, mut was_taken) = tokio::sync::mpsc::unbounded_channel();
        let read = |path: &Path| Ok(fs::read_to_string(path).unwrap());
        let watching = watch(file.path().to_owned(), read, move |text| taken.send(text).unwrap());
        let watching = tokio::spawn(watching);
        tokio::time::sleep(LOOK_EVERY / 2).await;
        for text in ["a", "ab", "abc"] {
            fs::write(file.path(), text).unwrap();
            tokio::time::sleep(LOOK_EVERY).await;
        }
        assert_eq!(was_taken.recv().await.as_deref(), Some("abc"));
        watching.abort();
    }

    #[test]
    fn a_reason_is_said_once_and_again_after_another_one() {
        let mut complaint = Complaint::default();
        let news = [1, 1, 2, 2, 1].map(|number| complaint.is_news(&error(number)));
        assert_eq!(news, [true, false, true, false, true]);
    }
}
