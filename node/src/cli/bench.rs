//! `roadstead bench`: puts load on a registry, this one or another.

use std::path::PathBuf;
use std::sync::Arc;

use ::bench::{Access, BenchArgs};
use clap::Args;

use super::login::LoginArgs;
use super::{Failure, say};
use crate::tls::Trust;

#[derive(Debug, Args)]
pub(super) struct LoadArgs {
    #[command(flatten)]
    bench: BenchArgs,
    #[command(flatten)]
    login: LoginArgs,
    /// The CA to trust beside those of the system, in PEM.
    #[arg(long, value_name = "FILE", env = "ROADSTEAD_CA")]
    ca: Option<PathBuf>,
}

/// Plays the load, and prints what came of it.
pub(super) fn bench(arguments: &LoadArgs) -> Result<(), Failure> {
    let login = arguments.login.read()?.map(|login| login.into_parts());
    let tls = Arc::new(Trust::with(arguments.ca.as_deref())?.client()?);
    say(::bench::bench(&arguments.bench, Access { login, tls })?);
    Ok(())
}
