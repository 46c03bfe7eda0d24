//! `roadstead tls`: certificates for a first try.

use std::path::PathBuf;

use clap::Args;

use super::{Failure, say};
use crate::tls::{Host, SelfSigned};
use crate::{TcpWorld, World as _};

#[derive(Debug, Args)]
pub(super) struct SelfSignedArgs {
    /// A name or address at which clients reach a node; can be repeated.
    #[arg(long = "host", value_name = "NAME", required = true)]
    hosts: Vec<Host>,
    /// The folder to write cert.pem and key.pem to, and ca.pem and ca-key.pem of a new CA. Nothing
    /// in it is overwritten.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// A folder with the CA of an earlier run, which signs this certificate too.
    #[arg(long, value_name = "DIR")]
    ca: Option<PathBuf>,
}

/// Makes a CA, and a server's certificate by it.
pub(super) fn self_signed(arguments: &SelfSignedArgs) -> Result<(), Failure> {
    let SelfSignedArgs { hosts, out, ca } = arguments;
    let now = TcpWorld.now();
    let made = match ca {
        Some(folder) => SelfSigned::by(folder, hosts, now)?,
        None => SelfSigned::make(hosts, now)?,
    };
    made.write(out)?;
    let ca = ca.as_ref().unwrap_or(out).join("ca.pem");
    let (out, ca) = (out.display(), ca.display());
    let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
    say(format_args!(
        "{out} has a certificate for {}, with its key. Nodes show it with\n\
         \x20 ROADSTEAD_TLS_CERTIFICATE={out}/cert.pem ROADSTEAD_TLS_KEY={out}/key.pem\n\
         and clients that trust {ca} believe it: docs/tls.md says where they look for that. \
         First of all:\n\
         \x20 roadstead cluster status --server https://{}:5000 --ca {ca}",
        hosts.join(", "),
        hosts.first().map_or("localhost", String::as_str),
    ));
    Ok(())
}
