//! Where a node runs and listens: on this machine's loopback, or in a network namespace.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};

/// The address and the ports of a node, and the network namespace that it runs in, if it is not
/// this process' own.
#[derive(Clone, Debug)]
pub struct Place {
    host: Ipv4Addr,
    namespace: Option<String>,
    api: u16,
    peer: u16,
    admin: u16,
}

impl Place {
    /// A place on loopback, where nobody listens yet.
    ///
    /// # Errors
    /// When no port is free.
    pub fn on_loopback() -> Result<Self> {
        let [api, peer, admin] = free_ports()?;
        Ok(Self { host: Ipv4Addr::LOCALHOST, namespace: None, api, peer, admin })
    }

    /// A place in `namespace`, which has the address `host`, is empty, and is reached from here.
    pub(crate) fn within(namespace: String, host: Ipv4Addr) -> Self {
        Self { host, namespace: Some(namespace), api: 5000, peer: 5001, admin: 5002 }
    }

    /// A command that runs `program` there.
    pub(super) fn command(&self, program: &Path) -> Command {
        match &self.namespace {
            None => Command::new(program),
            // It becomes the program, so that signals for the one reach the other.
            Some(namespace) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", namespace]).arg(program);
                command
            }
        }
    }

    /// Where the API is.
    pub(super) fn api(&self) -> String {
        format!("{}:{}", self.host, self.api)
    }

    /// The API's port.
    pub(super) const fn api_port(&self) -> u16 {
        self.api
    }

    /// Where other nodes reach it.
    pub(super) fn peer(&self) -> String {
        format!("{}:{}", self.host, self.peer)
    }

    /// Where its health, metrics and fingerprint are.
    pub(super) fn admin(&self) -> String {
        format!("{}:{}", self.host, self.admin)
    }

    /// What the admin listener listens on. In a namespace that is every address: join tokens are
    /// given out at loopback only, there too.
    pub(super) fn admin_listen(&self) -> String {
        let is_here = self.namespace.is_none();
        let host = if is_here { self.host } else { Ipv4Addr::UNSPECIFIED };
        format!("{host}:{}", self.admin)
    }

    /// The admin listener, as a program on the node's own machine reaches it.
    pub(super) fn admin_itself(&self) -> String {
        format!("{}:{}", Ipv4Addr::LOCALHOST, self.admin)
    }
}

/// Three ports that nobody listens on, below those that the system gives to outgoing connections.
#[expect(clippy::disallowed_methods, reason = "it only looks whether somebody listens")]
pub(crate) fn free_ports() -> Result<[u16; 3]> {
    use std::sync::atomic::{AtomicU16, Ordering};
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let mut free = Vec::new();
    while free.len() < 3 {
        let offset = NEXT.fetch_add(1, Ordering::Relaxed);
        ensure!(offset < 10_000, "no port is free");
        // Tests of other processes start elsewhere.
        let first = 18_000 + u16::try_from(std::process::id() % 400)? * 30;
        let port = first + offset;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            free.push(port);
        }
    }
    free.try_into().map_err(|_| anyhow::anyhow!("three ports"))
}
