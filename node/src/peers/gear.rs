//! What a node's papers are made into, for handshakes.

use std::sync::Arc;

use proto::ClusterId;
use raft::{Credentials, Papers, PeerName};
use rustls::client::Resumption;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier};
use rustls::version::TLS13;
use rustls::{ClientConfig, Error, RootCertStore, ServerConfig};

use super::invited::Invited;
use super::strangers::Strangers;
use crate::tls::{WorldTime, provider};

/// What is spoken between nodes, as ALPN names it.
const PROTOCOL: &[u8] = b"h2";

/// What handshakes need.
#[derive(Clone)]
pub(super) struct Gear {
    /// For dialling.
    pub(super) client: Arc<ClientConfig>,
    /// What those who are dialled have to be called.
    pub(super) expected: ServerName<'static>,
    /// For being dialled: not before this node is one of its cluster.
    pub(super) member: Option<Member>,
}

/// The same, of a node of its cluster.
#[derive(Clone)]
pub(super) struct Member {
    pub(super) name: PeerName,
    pub(super) server: Arc<ServerConfig>,
    /// Knows who else belongs to the cluster.
    pub(super) verifier: Arc<dyn ClientCertVerifier>,
}

/// Why papers are of no use.
#[derive(Debug, thiserror::Error)]
pub(super) enum GearError {
    #[error(transparent)]
    Tls(#[from] Error),
    #[error(transparent)]
    Verifier(#[from] VerifierBuilderError),
    #[error("the cluster's name is none")]
    Name,
}

impl Gear {
    pub(super) fn of(papers: &Papers, time: &WorldTime) -> Result<Self, GearError> {
        match papers {
            Papers::Token(token) => {
                let provider = provider();
                let verifier = Arc::new(Invited::new(token.clone(), Arc::clone(&provider)));
                let client = ClientConfig::builder_with_details(provider, Arc::new(time.clone()))
                    .with_protocol_versions(&[&TLS13])?
                    .dangerous()
                    .with_custom_certificate_verifier(verifier)
                    .with_no_client_auth();
                let expected = expected(token.cluster)?;
                Ok(Self { client: ready(client), expected, member: None })
            }
            Papers::Credentials(credentials) => Self::member(credentials, time),
        }
    }

    fn member(credentials: &Credentials, time: &WorldTime) -> Result<Self, GearError> {
        let provider = provider();
        let own = CertificateDer::from(credentials.certificate.to_vec());
        let authority = CertificateDer::from(credentials.authority.to_vec());
        let key = || PrivateKeyDer::from(PrivatePkcs8KeyDer::from(credentials.key()));
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone())?;
        let roots = Arc::new(roots);
        let client =
            ClientConfig::builder_with_details(Arc::clone(&provider), Arc::new(time.clone()))
                .with_protocol_versions(&[&TLS13])?
                .with_root_certificates(Arc::clone(&roots))
                .with_client_auth_cert(vec![own.clone()], key())?;
        let verifier =
            WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider)).build()?;
        let mut server = ServerConfig::builder_with_details(provider, Arc::new(time.clone()))
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(Arc::new(Strangers(Arc::clone(&verifier))))
            // Those who join know the cluster by its authority.
            .with_single_cert(vec![own, authority], key())?;
        server.alpn_protocols = vec![PROTOCOL.to_vec()];
        // Each handshake is a whole one: certificates are looked at every time.
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        let name = credentials.name;
        let member = Member { name, server: Arc::new(server), verifier };
        let expected = expected(name.cluster)?;
        Ok(Self { client: ready(client), expected, member: Some(member) })
    }
}

fn ready(mut client: ClientConfig) -> Arc<ClientConfig> {
    client.alpn_protocols = vec![PROTOCOL.to_vec()];
    client.resumption = Resumption::disabled();
    Arc::new(client)
}

fn expected(cluster: ClusterId) -> Result<ServerName<'static>, GearError> {
    PeerName::common(cluster).try_into().map_err(|_| GearError::Name)
}
