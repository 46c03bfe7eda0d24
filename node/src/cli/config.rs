//! `roadstead config`: a configuration before it is used.

use std::env;

use super::output::complain;
use super::{ConfigArgs, Failure, say};
use crate::Config;
use crate::config::{ConfigError, Source, readable};

/// Prints the effective configuration, as a file that says the same but for secrets.
pub(super) fn check(arguments: &ConfigArgs) -> Result<(), Failure> {
    let mut source = source(arguments)?;
    Config::read(&mut source)?;
    for name in source.strange_variables() {
        complain(format_args!("environment variable {name} sets nothing"));
    }
    say(source.to_string().trim_end());
    Ok(())
}

/// What the environment and the file, if there is one, set.
pub(super) fn source(arguments: &ConfigArgs) -> Result<Source, ConfigError> {
    let source = Source::new(readable(env::vars_os())?);
    match &arguments.config {
        Some(path) => source.with_file(path),
        None => Ok(source),
    }
}
