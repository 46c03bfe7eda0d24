//! The simulated world of a node: turmoil's network, and a clock that can be wrong.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use node::{Connection, Listener, World};
use proto::Timestamp;
use turmoil::net::{TcpListener, TcpStream};

/// When the simulation starts: 2026-01-01T00:00:00Z, in milliseconds since 1970.
pub(crate) const EPOCH_MILLIS: u64 = 1_767_225_600_000;

/// The world of one node.
#[derive(Clone, Debug, Default)]
pub(crate) struct SimWorld {
    /// By how many milliseconds its clock is wrong.
    pub(crate) skew: Arc<AtomicI64>,
}

#[async_trait]
impl World for SimWorld {
    async fn bind(&self, address: SocketAddr) -> io::Result<Box<dyn Listener>> {
        Ok(Box::new(SimListener(TcpListener::bind(address).await?)))
    }

    async fn connect(&self, address: &str) -> io::Result<Connection> {
        Ok(Box::new(TcpStream::connect(address).await?))
    }

    fn now(&self) -> Timestamp {
        let since = turmoil::sim_elapsed().unwrap_or_default();
        let millis = EPOCH_MILLIS + u64::try_from(since.as_millis()).unwrap_or_default();
        Timestamp::from_millis(millis.saturating_add_signed(self.skew.load(Ordering::Relaxed)))
    }

    // `ring` asks the kernel for chance itself, which no seed reaches: see ADR 8.
    fn secures_peers(&self) -> bool {
        false
    }
}

struct SimListener(TcpListener);

#[async_trait]
impl Listener for SimListener {
    async fn accept(&mut self) -> io::Result<(Connection, SocketAddr)> {
        let (stream, address) = self.0.accept().await?;
        Ok((Box::new(stream), address))
    }

    fn local_address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}
