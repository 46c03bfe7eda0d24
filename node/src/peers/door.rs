//! The door between nodes: what goes out and comes in through it is secure.

use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use http::Extensions;
use proto::limits::HANDSHAKE_PATIENCE;
use raft::{Papers, PapersError, PeerName};
use rustls::pki_types::CertificateDer;
use rustls::{CertificateError, Error};
use tokio::io::AsyncReadExt as _;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::{LazyConfigAcceptor, TlsConnector};

use super::gear::{Gear, Member};
use super::guard::Peer;
use crate::Connection;
use crate::tls::{Handshake, Opened, WorldTime, begin, names};

/// Secures connections between nodes with what this one has to show.
pub(crate) struct PeerDoor {
    time: WorldTime,
    gear: watch::Sender<Option<Gear>>,
}

impl PeerDoor {
    /// A door that stays shut until there is something to show.
    pub(crate) fn new(time: WorldTime) -> Self {
        Self { time, gear: watch::Sender::new(None) }
    }

    /// Has handshakes from now on show `papers`.
    pub(crate) fn show(&self, papers: &Papers) -> Result<(), PapersError> {
        let gear = Gear::of(papers, &self.time).map_err(|error| PapersError(error.to_string()))?;
        self.gear.send_replace(Some(gear));
        Ok(())
    }

    /// Secures a connection that this node has made to another one.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the other one.
    pub(crate) async fn enter(&self, connection: Connection) -> io::Result<Connection> {
        let gear = self.gear.borrow().clone();
        let gear = gear.ok_or_else(|| io::Error::other("this node has nothing to show yet"))?;
        let connector = TlsConnector::from(gear.client);
        let shaken = connector.connect(gear.expected, connection).await;
        let stream = shaken.map_err(|error| match refusal(&error) {
            Some(sentence) => io::Error::new(io::ErrorKind::PermissionDenied, sentence),
            None => error,
        })?;
        Ok(Box::new(stream))
    }

    /// What is known of a client that has shown `certificates`.
    fn peer(&self, member: &Member, certificates: Option<&[CertificateDer<'_>]>) -> Peer {
        let Some((own, others)) = certificates.and_then(<[_]>::split_first) else {
            return Peer::Nobody;
        };
        if let Err(error) = member.verifier.verify_client_cert(own, others, self.time.now()) {
            return Peer::Stranger(sentence(&error, "the node that it was shown to"));
        }
        let hosts = names::hosts(own);
        let name = hosts.iter().find_map(|host| host.parse::<PeerName>().ok());
        match name.filter(|name| name.cluster == member.name.cluster) {
            Some(name) => Peer::Member(name),
            None => Peer::Stranger("the certificate names no node of this cluster".to_owned()),
        }
    }
}

#[async_trait]
impl Handshake for PeerDoor {
    async fn accept(&self, connection: Connection) -> io::Result<Opened> {
        timeout(HANDSHAKE_PATIENCE, self.shake(connection)).await?
    }
}

impl PeerDoor {
    async fn shake(&self, mut connection: Connection) -> io::Result<Opened> {
        let first = connection.read_u8().await?;
        let Some(hello) = begin(first)? else { return Ok(Opened::Plain(connection, first)) };
        let begun = LazyConfigAcceptor::new(hello, connection).await?;
        let member = self.gear.borrow().as_ref().and_then(|gear| gear.member.clone());
        let member = member.ok_or_else(|| io::Error::other("this node is not a member yet"))?;
        let stream = begun.into_stream(Arc::clone(&member.server)).await?;
        let (_, session) = stream.get_ref();
        let peer = self.peer(&member, session.peer_certificates());
        let is_trusted = matches!(peer, Peer::Member(_));
        let mut known = Extensions::new();
        known.insert(peer);
        Ok(Opened::Secure { connection: Box::new(stream), known, is_trusted })
    }
}

/// What a failed handshake says about the other node, if it is about that.
fn refusal(error: &io::Error) -> Option<String> {
    let error = error.get_ref()?.downcast_ref::<Error>()?;
    match error {
        Error::InvalidCertificate(_) => Some(sentence(error, "this node")),
        Error::General(sentence) => Some(sentence.clone()),
        _ => None,
    }
}

/// What is wrong with a certificate that `judge` does not take.
fn sentence(error: &Error, judge: &str) -> String {
    match error {
        Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        ) => {
            "the node's certificate has expired: with its clock right it signs itself another one \
              within seconds; a node that never had the cluster's catalog cannot: give it an empty \
              folder, and have it join anew"
                .to_owned()
        }
        Error::InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
        ) => "the node's certificate is not good yet: the clocks of two nodes are far apart"
            .to_owned(),
        Error::InvalidCertificate(
            CertificateError::UnknownIssuer | CertificateError::BadSignature,
        ) => format!("the certificate is not by the authority of the cluster of {judge}"),
        error => format!("the certificate is not good: {error}"),
    }
}
