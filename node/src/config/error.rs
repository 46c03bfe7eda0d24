//! Why a configuration is refused, as sentences for the operator.

use std::path::PathBuf;

use super::Origin;

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("the configuration file {} cannot be read: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{}, line {line}: {reason}", path.display())]
    Toml {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong there.
        reason: String,
    },
    /// There is no such key.
    #[error("{origin}: there is no key {key}; did you mean {nearest}?")]
    UnknownKey {
        /// Where it was set.
        origin: Origin,
        /// The key.
        key: String,
        /// The key there is that looks most like it.
        nearest: &'static str,
    },
    /// A variable is no text.
    #[error("environment variable {0} is not written in UTF-8")]
    Encoding(String),
    /// A key has a value that it cannot have.
    #[error("{origin}: {key} is {value}, but must be {form}")]
    Value {
        /// Where it was set.
        origin: Origin,
        /// The key.
        key: &'static str,
        /// The value.
        value: String,
        /// What the key takes.
        form: &'static str,
    },
    /// Two keys do not fit each other.
    #[error("{0}")]
    Conflict(String),
}

impl ConfigError {
    pub(super) const fn conflict(sentence: String) -> Self {
        Self::Conflict(sentence)
    }
}
