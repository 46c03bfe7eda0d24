//! The certificate that a client has shown when its connection began, which may last for days.

use std::sync::Arc;

use api::ClientCertificate;
use rustls::pki_types::CertificateDer;
use tokio::sync::watch;

use super::material::Offer;
use super::{WorldTime, names};

/// What a client has shown. It counts for as long as a handshake would take it: until it expires,
/// or its CA is no longer among those of clients. Clones share it.
#[derive(Clone)]
pub(crate) struct Shown {
    chain: Arc<[CertificateDer<'static>]>,
    names: ClientCertificate,
    offer: watch::Receiver<Arc<Offer>>,
    time: WorldTime,
}

impl Shown {
    /// What was shown is `chain`, the client's own certificate first.
    pub(super) fn new(
        chain: &[CertificateDer<'_>],
        offer: watch::Receiver<Arc<Offer>>,
        time: WorldTime,
    ) -> Self {
        let chain: Arc<[_]> = chain.iter().map(|one| one.clone().into_owned()).collect();
        let names = chain.first().map_or_else(|| ClientCertificate::new([]), names::of_client);
        Self { chain, names, offer, time }
    }

    /// What it calls the client, if it still counts.
    pub(crate) fn names(&self) -> Option<ClientCertificate> {
        let (own, others) = self.chain.split_first()?;
        let clients = self.offer.borrow().clients.clone()?;
        clients.verify_client_cert(own, others, self.time.now()).ok()?;
        Some(self.names.clone())
    }
}
