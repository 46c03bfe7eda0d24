//! The world a node lives in: its network and its clock.

use std::io;
use std::net::SocketAddr;
use std::time::SystemTime;

use async_trait::async_trait;
use proto::Timestamp;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// How many connections of a listener may wait to be taken.
const BACKLOG: u32 = 1024;

/// A byte stream to somebody else.
pub trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

/// A connection of any kind of world.
pub type Connection = Box<dyn Socket>;

/// A network and a clock.
#[async_trait]
pub trait World: Send + Sync + 'static {
    /// Takes `address` to listen at; port 0 picks a free one.
    ///
    /// # Errors
    /// When the address is in use, or is none of this machine's.
    async fn bind(&self, address: SocketAddr) -> io::Result<Box<dyn Listener>>;

    /// Connects to `address`, a `host:port`. Has no deadline of its own.
    ///
    /// # Errors
    /// When nobody listens there, or the host is not known.
    async fn connect(&self, address: &str) -> io::Result<Connection>;

    /// The wall clock.
    fn now(&self) -> Timestamp;

    /// Whether nodes show each other certificates. Only a world in which nobody else lives does
    /// without.
    fn secures_peers(&self) -> bool {
        true
    }
}

/// Takes connections at an address.
#[async_trait]
pub trait Listener: Send {
    /// Begins to listen, where that is not done yet: until then, clients that connect are refused,
    /// and need not wait for a node that has nothing to say yet.
    ///
    /// # Errors
    /// When another process was faster to listen there.
    fn listen(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// The next connection, and the address that it comes from.
    ///
    /// # Cancellation
    /// Dropping the future loses no connection.
    ///
    /// # Errors
    /// When this connection failed, or the process is out of file descriptors: the next call may
    /// succeed.
    async fn accept(&mut self) -> io::Result<(Connection, SocketAddr)>;

    /// The address, with the port that was picked.
    ///
    /// # Errors
    /// When the system does not say.
    fn local_address(&self) -> io::Result<SocketAddr>;
}

/// The real world: TCP and the system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct TcpWorld;

#[async_trait]
impl World for TcpWorld {
    #[expect(clippy::disallowed_methods, reason = "this is the door through which nodes listen")]
    async fn bind(&self, address: SocketAddr) -> io::Result<Box<dyn Listener>> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // As all listeners have it: connections that ended a minute ago are no reason to wait.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let address = socket.local_addr()?;
        Ok(Box::new(TcpPort { address, bound: Some(socket), open: None }))
    }

    #[expect(clippy::disallowed_methods, reason = "this is the door through which nodes connect")]
    async fn connect(&self, address: &str) -> io::Result<Connection> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Box::new(stream))
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the wall clock"
    )]
    fn now(&self) -> Timestamp {
        // A clock before 1970 is a broken one; the catalog's time does not go back with it.
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let millis = since_epoch.map_or(0, |time| time.as_millis());
        Timestamp::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
    }
}

/// A port of this machine.
struct TcpPort {
    address: SocketAddr,
    /// While it does not listen.
    bound: Option<TcpSocket>,
    /// While it does.
    open: Option<TcpListener>,
}

#[async_trait]
impl Listener for TcpPort {
    fn listen(&mut self) -> io::Result<()> {
        if let Some(socket) = self.bound.take() {
            self.open = Some(socket.listen(BACKLOG)?);
        }
        Ok(())
    }

    async fn accept(&mut self) -> io::Result<(Connection, SocketAddr)> {
        let open = self.open.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        let (stream, address) = open.accept().await?;
        // Answers are written whole: waiting for more to fill a segment only delays them. It fails
        // when the client is gone already, which the next read will tell.
        let _ = stream.set_nodelay(true);
        Ok((Box::new(stream), address))
    }

    fn local_address(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}
