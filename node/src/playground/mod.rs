//! `roadstead playground`: a whole cluster on this machine, each node a process of its own.
//!
//! The nodes live as long as the playground: it stops them when it is asked to end, and a pipe to
//! each tells them when it was killed. A node that dies stays dead until `roadstead playground
//! restart` asks for it, as on real machines.

mod administrator;
mod control;
mod error;
mod guide;
mod herald;
mod invitation;
mod layout;
mod part;
mod process;
mod readiness;
mod restart;
mod run;
mod store;

use std::path::PathBuf;

use clap::{Args, Subcommand};

pub(crate) use self::error::PlaygroundError;
use self::layout::Wanted;
use crate::cli::Failure;

/// What `roadstead playground` takes.
#[derive(Debug, Args)]
pub(crate) struct PlaygroundArgs {
    #[command(subcommand)]
    command: Option<PlaygroundCommand>,
    /// How many nodes; 3 unless the folder holds a playground already.
    #[arg(long, value_name = "N")]
    nodes: Option<u16>,
    /// The folder that everything is kept in; starting again on it resumes the cluster.
    #[arg(long, value_name = "DIR", default_value = "roadstead-playground", global = true)]
    dir: PathBuf,
    /// The first node's API port; node i has this + 10(i-1), peers are on the next port, health on
    /// the one after. 5000 unless the folder holds a playground already.
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// Let nobody do anything that is not granted: the administrator's password is shown once.
    #[arg(long)]
    auth: bool,
}

#[derive(Debug, Subcommand)]
enum PlaygroundCommand {
    /// Start a node again that was killed, or stop and start one that runs.
    Restart {
        /// The node's number, as in the name of its folder.
        node: u16,
    },
}

/// Does what the arguments say.
pub(crate) async fn run(arguments: &PlaygroundArgs) -> Result<(), Failure> {
    match &arguments.command {
        Some(PlaygroundCommand::Restart { node }) => {
            Ok(restart::restart(&arguments.dir, *node).await?)
        }
        None => {
            let wanted =
                Wanted { nodes: arguments.nodes, port: arguments.port, auth: arguments.auth };
            run::run(&arguments.dir, wanted).await
        }
    }
}
