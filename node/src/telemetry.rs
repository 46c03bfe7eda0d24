//! What the node says while it runs: log lines on its standard error, and its audit log.

mod losses;

use std::fs::{self, DirBuilder};
use std::io::{self, IsTerminal as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use tracing::level_filters::LevelFilter;
use tracing::{Subscriber, debug};
use tracing_appender::rolling::{RollingFileAppender, Rotation};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, fmt, registry};

use self::losses::Watched;
pub(crate) use self::losses::lost;
use crate::config::{Audit, Log, LogFormat};

/// The target of the events that are the audit log.
const AUDIT: &str = "audit";
/// What the names of its files begin with. Old ones are removed by it.
const FILES: &str = "roadstead-audit";

/// The audit log cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("audit.folder names {}, which cannot be used: {reason}", folder.display())]
pub struct AuditError {
    folder: PathBuf,
    reason: io::Error,
}

/// Logs events of this process from now on, as `log` says, and those of the audit log as `audit`
/// says, too. A second call changes nothing.
///
/// # Errors
/// When the audit log cannot be written.
pub(crate) fn start(log: &Log, audit: &Audit) -> Result<(), AuditError> {
    let lines = match log.format {
        LogFormat::Human => {
            fmt::layer().with_writer(io::stderr).with_ansi(io::stderr().is_terminal()).boxed()
        }
        LogFormat::Json => fmt::layer().json().flatten_event(true).with_writer(io::stderr).boxed(),
    };
    let lines = lines.with_filter(log.filter.to_env_filter());
    let started = registry().with(lines).with(records(audit)?).try_init();
    if let Err(error) = started {
        debug!(%error, "the log goes where it went before");
    }
    Ok(())
}

/// The audit log in files of its own, whatever the log's filter leaves out. A record is written
/// before what it is about is answered; those that cannot be are counted, and said so now and then.
fn records<S>(audit: &Audit) -> Result<Option<impl Layer<S> + use<S>>, AuditError>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let Some(folder) = &audit.folder else { return Ok(None) };
    let files = files(folder, audit.keep_days.get())
        .map_err(|reason| AuditError { folder: folder.clone(), reason })?;
    let lines = fmt::layer().json().flatten_event(true).with_current_span(false);
    let lines = lines.with_span_list(false).with_target(false).with_level(false);
    let only = Targets::new().with_target(AUDIT, LevelFilter::DEBUG);
    Ok(Some(lines.with_writer(Watched::new(files)).with_filter(only)))
}

/// A file a day in `folder`, of which `keep` stay. What is in there is for the node's own user, and
/// for the group that the operator gives the folder to.
fn files(folder: &Path, keep: usize) -> io::Result<RollingFileAppender> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    if fs::metadata(folder)?.permissions().mode() & 0o007 != 0 {
        let reason = "everybody on this machine can look into it: `chmod o-rwx` it";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, reason));
    }
    RollingFileAppender::builder()
        .rotation(Rotation::DAILY)
        .filename_prefix(FILES)
        .filename_suffix("json")
        // At each start it removes the oldest before it opens today's, which may be there.
        .max_log_files(keep + 1)
        .build(folder)
        .map_err(io::Error::other)
}
