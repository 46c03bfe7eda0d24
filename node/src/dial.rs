//! Connections to peers, through the world.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use proto::{Mutant, PeerAddress};
use raft::{Dial, DialError, Papers, PapersError};
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

use crate::peers::PeerDoor;
use crate::tls::WorldTime;
use crate::{Connection, World};

/// How long a connection may take to be made: a few round trips, and well under an election.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// After how long without traffic a peer is asked for a sign of life: without it, a connection
/// whose other end vanished without a word stays dead for ever.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(2);
/// How long that sign may take until the connection is given up.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(2);

/// Dials peers through a [`World`].
#[derive(Clone)]
pub struct WorldDial {
    world: Arc<dyn World>,
    /// None where nodes have no certificates.
    door: Option<Arc<PeerDoor>>,
}

impl WorldDial {
    /// After how long a connection is given up whose other end has vanished without a word.
    pub const CONNECTION_LOST: Duration = KEEPALIVE_INTERVAL.saturating_add(KEEPALIVE_TIMEOUT);

    /// Dials through `world`.
    pub fn new(world: Arc<dyn World>) -> Self {
        let time = WorldTime::new(Arc::clone(&world));
        let door = world.secures_peers().then(|| Arc::new(PeerDoor::new(time)));
        Self { world, door }
    }

    /// The door through which other nodes come, which is the one that this node goes through.
    pub(crate) fn door(&self) -> Option<Arc<PeerDoor>> {
        self.door.clone()
    }

    async fn connect(self, peer: PeerAddress) -> io::Result<TokioIo<Connection>> {
        let connection = self.world.connect(peer.as_str()).await?;
        Ok(TokioIo::new(match &self.door {
            Some(door) => door.enter(connection).await?,
            None => connection,
        }))
    }
}

impl Dial for WorldDial {
    fn dial(&self, address: &PeerAddress) -> Result<Channel, DialError> {
        let endpoint = Endpoint::from_shared(format!("http://{address}"))
            .map_err(|_| DialError(address.clone()))?;
        let (dial, peer) = (self.clone(), address.clone());
        let connector = service_fn(move |_: http::Uri| dial.clone().connect(peer.clone()));
        if Mutant::RpcWithoutDeadline.is_active() {
            return Ok(endpoint.connect_with_connector_lazy(connector));
        }
        Ok(endpoint
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT)
            .keep_alive_while_idle(true)
            .connect_with_connector_lazy(connector))
    }

    fn is_secure(&self) -> bool {
        self.door.is_some()
    }

    fn show(&self, papers: Papers) -> Result<(), PapersError> {
        self.door.as_ref().map_or(Ok(()), |door| door.show(&papers))
    }
}

impl fmt::Debug for WorldDial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WorldDial")
    }
}
