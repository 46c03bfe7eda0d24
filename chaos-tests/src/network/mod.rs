//! A network of the tests' own: each node in a network namespace, and all of them, and the clients
//! in this process' own one, joined by a switch that loses, delays, doubles and damages packets as
//! it is told.
//!
//! The switch is this process: `tc netem` does the same in the kernel, but many kernels are built
//! without it, those of small virtual machines above all.

mod fault;
mod namespace;
mod switch;
#[allow(unsafe_code, reason = "the system has no other way to make such a device")]
mod tun;

use std::io;
use std::net::Ipv4Addr;

use self::namespace::{Namespace, ip};
use self::switch::Switch;
use self::tun::Tun;
use crate::Place;
use crate::sim::Dice;

pub(crate) use self::fault::{Fault, Ports, What};
pub use self::switch::Traffic;

/// Networks that this machine may have at the same time.
const NETWORKS_MAX: u8 = 200;
/// The last byte of the clients' address; the nodes' follow.
const FIRST: u8 = 10;

/// Nodes' namespaces, and the switch between them. Dropping it removes all of it.
#[derive(Debug)]
pub struct Network {
    number: u8,
    namespaces: Vec<Namespace>,
    switch: Switch,
}

/// Why there is no network.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// This machine does not allow it, or not this user.
    #[error("{0}")]
    Denied(String),
    /// It should, and something else is wrong.
    #[error("{0}")]
    Failed(String),
}

impl Network {
    /// Lays a network for clients and for `nodes` nodes. What becomes of each packet while
    /// something is wrong is drawn from `seed`.
    ///
    /// # Errors
    /// See [`NetworkError`].
    pub fn lay(nodes: usize, seed: u64) -> Result<Self, NetworkError> {
        let (number, clients) = first_device()?;
        let own = device(number, 0);
        let mut devices = vec![clients];
        let mut namespaces = Vec::new();
        for node in 1..=nodes {
            let name = device(number, node);
            namespaces.push(Namespace::add(name.clone()).map_err(NetworkError::Denied)?);
            devices.push(Tun::create(&name).map_err(|error| failed(&name, &error))?);
            let address = format!("{}/24", address(number, node));
            let steps: [&[&str]; 4] = [
                &["link", "set", &name, "netns", &name],
                &["-n", &name, "address", "add", &address, "dev", &name],
                &["-n", &name, "link", "set", &name, "up"],
                &["-n", &name, "link", "set", "lo", "up"],
            ];
            for step in steps {
                ip(step).map_err(NetworkError::Failed)?;
            }
        }
        let address = format!("{}/24", address(number, 0));
        for step in [&["address", "add", &address, "dev", &own][..], &["link", "set", &own, "up"]] {
            ip(step).map_err(NetworkError::Failed)?;
        }
        let switch = Switch::start(devices, FIRST, Dice::new(seed, "packets"));
        Ok(Self { number, namespaces, switch })
    }

    /// A place for each node.
    pub fn places(&self) -> Vec<Place> {
        let nodes = (1..).zip(&self.namespaces);
        nodes
            .map(|(node, namespace)| {
                Place::within(namespace.name().to_owned(), address(self.number, node))
            })
            .collect()
    }

    /// What has become of packets up to now.
    pub fn traffic(&self) -> Traffic {
        self.switch.traffic()
    }

    /// Makes `fault` happen, until it is ended by the number that this answers.
    pub(crate) fn begin(&self, fault: Fault) -> u64 {
        self.switch.begin(fault)
    }

    /// Ends a fault, and no other.
    pub(crate) fn end(&self, number: u64) {
        self.switch.end(number);
    }
}

/// A number that no other network on this machine has, and the clients' device in it: the system
/// has one of each name, and it is gone when its process is.
fn first_device() -> Result<(u8, Tun), NetworkError> {
    for number in 0..NETWORKS_MAX {
        match Tun::create(&device(number, 0)) {
            Ok(clients) => return Ok((number, clients)),
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {}
            Err(error) => {
                let reason = format!("this machine lets nobody make a network device: {error}");
                return Err(NetworkError::Denied(reason));
            }
        }
    }
    Err(NetworkError::Failed(format!("there are {NETWORKS_MAX} networks")))
}

fn failed(name: &str, error: &io::Error) -> NetworkError {
    NetworkError::Failed(format!("the device {name}: {error}"))
}

/// The name of a device, and of the namespace that it is in.
fn device(number: u8, port: usize) -> String {
    format!("chaos-{number}-{port}")
}

/// Of the range for tests of networks: RFC 2544, appendix C.2.2.
fn address(number: u8, port: usize) -> Ipv4Addr {
    let last = u8::try_from(port).unwrap_or(u8::MAX).saturating_add(FIRST);
    Ipv4Addr::new(198, 18, number, last)
}
