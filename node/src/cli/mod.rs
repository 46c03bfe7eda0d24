//! The command line.

mod access;
mod bench;
mod cluster;
mod config;
mod failure;
mod health;
mod login;
mod management;
mod node;
mod output;
mod remove;
mod serve;
mod signals;
mod table;
mod tls;
mod token;

use clap::{Args, Parser, Subcommand};

use crate::playground::{self, PlaygroundArgs};

pub use self::failure::Failure;
pub(crate) use self::login::Login;
pub(crate) use self::node::ServerError;
pub(crate) use self::output::say;
pub(crate) use self::signals::{Signals, outlive_hangups};
pub(crate) use self::token::issue;

/// A container registry that stays up when a machine dies.
#[derive(Debug, Parser)]
#[command(name = "roadstead", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a node.
    Serve(serve::ServeArgs),
    /// Look at a configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Look at a cluster, and change it.
    #[command(subcommand)]
    Cluster(ClusterCommand),
    /// Manage the people who log in.
    User(access::Managed<access::UserCommand>),
    /// Manage the programs that log in.
    Robot(access::Managed<access::RobotCommand>),
    /// Manage access keys, which stand for their accounts.
    Key(access::Managed<access::KeyCommand>),
    /// Manage roles: names for what somebody may do.
    Role(access::Managed<access::RoleCommand>),
    /// Manage grants: who has which role where.
    Grant(access::Managed<access::GrantCommand>),
    /// Look at who may do what.
    Access(access::Managed<access::AccessCommand>),
    /// Make certificates.
    #[command(subcommand)]
    Tls(TlsCommand),
    /// Ask a node whether it is ready: exit code 0 when it is, 1 when not.
    Health(health::HealthArgs),
    /// Put load on a registry, this one or another, and report what it bore.
    Bench(Box<bench::LoadArgs>),
    /// Run a whole cluster on this machine, to try things out. With ROADSTEAD_STORAGE_KIND=s3 and
    /// what belongs to it in the environment, its blobs are in a bucket.
    Playground(PlaygroundArgs),
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Check a configuration and print it with all defaults filled in.
    Check(ConfigArgs),
}

#[derive(Debug, Subcommand)]
enum ClusterCommand {
    /// Show the nodes of a cluster.
    Status(cluster::StatusArgs),
    /// Print a token with which nodes join a cluster.
    Token(token::TokenArgs),
    /// Remove a node from a cluster, for good.
    Remove(remove::RemoveArgs),
}

#[derive(Debug, Subcommand)]
enum TlsCommand {
    /// Make a CA and a certificate by it, for a first try of TLS.
    SelfSigned(tls::SelfSignedArgs),
}

/// Where the configuration comes from, beside environment variables.
#[derive(Debug, Args)]
struct ConfigArgs {
    /// The configuration file; every key can also be set by an environment variable
    /// ROADSTEAD_<SECTION>_<KEY>.
    #[arg(long, value_name = "FILE")]
    config: Option<std::path::PathBuf>,
}

/// Does what the command line says.
///
/// # Errors
/// See [`Failure`]: the program ends with exit code 1.
pub fn run() -> Result<(), Failure> {
    crate::install_cryptography();
    match Cli::parse().command {
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Config(ConfigCommand::Check(arguments)) => config::check(&arguments),
        Command::Cluster(ClusterCommand::Status(arguments)) => {
            block_on(cluster::status(&arguments))
        }
        Command::Cluster(ClusterCommand::Token(arguments)) => block_on(token::token(&arguments)),
        Command::Cluster(ClusterCommand::Remove(arguments)) => block_on(remove::remove(&arguments)),
        Command::User(arguments) => block_on(access::user(&arguments)),
        Command::Robot(arguments) => block_on(access::robot(&arguments)),
        Command::Key(arguments) => block_on(access::key(&arguments)),
        Command::Role(arguments) => block_on(access::role(&arguments)),
        Command::Grant(arguments) => block_on(access::grant(&arguments)),
        Command::Access(arguments) => block_on(access::access(&arguments)),
        Command::Tls(TlsCommand::SelfSigned(arguments)) => tls::self_signed(&arguments),
        Command::Health(arguments) => block_on(health::health(&arguments)),
        Command::Bench(arguments) => bench::bench(&arguments),
        Command::Playground(arguments) => block_on(playground::run(&arguments)),
    }
}

/// Tells the person why the program ends, in one line on standard error.
pub fn complain(failure: &Failure) {
    output::complain(failure);
}

/// How long what blocks a thread may take to end, once all else has.
const THREADS_DEADLINE: std::time::Duration = std::time::Duration::from_secs(2);

fn block_on<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(Failure::Runtime)?;
    let result = runtime.block_on(future);
    runtime.shutdown_timeout(THREADS_DEADLINE);
    result
}
