//! `roadstead config`: a configuration before it is used.

use std::env;

use super::{ConfigArgs, Failure, say};
use crate::Config;
use crate::config::{ConfigError, Source};

/// Prints the effective configuration, as a file that says the same but for secrets.
pub(super) fn check(arguments: &ConfigArgs) -> Result<(), Failure> {
    let mut source = source(arguments)?;
    Config::read(&mut source)?;
    say(source.to_string().trim_end());
    Ok(())
}

/// What the environment and the file, if there is one, set.
pub(super) fn source(arguments: &ConfigArgs) -> Result<Source, ConfigError> {
    let variables = env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let source = Source::new(variables);
    match &arguments.config {
        Some(path) => source.with_file(path),
        None => Ok(source),
    }
}
