//! `[audit]`: what is kept of who did what.

use std::path::PathBuf;

use super::{ConfigError, Count, Source};

/// Days for which the audit log is kept, unless the operator sets another number.
const KEEP_DAYS: usize = 90;

/// The audit log.
#[derive(Clone, Debug)]
pub struct Audit {
    /// The folder for its files, one a day (UTC); unset: it is in the log alone.
    pub folder: Option<PathBuf>,
    /// How many of them are kept.
    pub keep_days: Count,
}

impl Audit {
    pub(super) fn read(source: &mut Source) -> Result<Self, ConfigError> {
        Ok(Self {
            folder: source.take_optional("audit.folder")?,
            keep_days: source.take("audit.keep_days", || Count::new(KEEP_DAYS))?,
        })
    }
}
