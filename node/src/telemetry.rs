//! What the node says while it runs: log lines on its standard error.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{Log, LogFormat};

/// Logs events of this process from now on, as `log` says. A second call changes nothing.
pub(crate) fn start(log: &Log) {
    let registry = registry().with(log.filter.to_env_filter());
    let started = match log.format {
        LogFormat::Human => {
            let lines = fmt::layer().with_writer(io::stderr).with_ansi(io::stderr().is_terminal());
            registry.with(lines).try_init()
        }
        LogFormat::Json => {
            let lines = fmt::layer().json().flatten_event(true).with_writer(io::stderr);
            registry.with(lines).try_init()
        }
    };
    if let Err(error) = started {
        tracing::debug!(%error, "the log goes where it went before");
    }
}
