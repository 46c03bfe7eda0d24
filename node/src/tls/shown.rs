//! The certificate that a client has shown when its connection began, which may last for days.

use std::sync::{Arc, Mutex, PoisonError};

use api::ClientCertificate;
use rustls::pki_types::{CertificateDer, UnixTime};
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
    judged: Arc<Mutex<Option<Judged>>>,
}

/// Whether a certificate counts in one second, with what is offered then: a client may send
/// requests without number, and choose a chain that is dear to verify.
struct Judged {
    offer: Arc<Offer>,
    second: u64,
    counts: bool,
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
        Self { chain, names, offer, time, judged: Arc::default() }
    }

    /// What it calls the client, if it still counts.
    pub(crate) fn names(&self) -> Option<ClientCertificate> {
        let (offer, now) = (Arc::clone(&self.offer.borrow()), self.time.now());
        let mut judged = self.judged.lock().unwrap_or_else(PoisonError::into_inner);
        let is_current =
            |judged: &Judged| judged.second == now.as_secs() && Arc::ptr_eq(&judged.offer, &offer);
        let counts = match judged.as_ref().filter(|judged| is_current(judged)) {
            Some(judged) => judged.counts,
            None => self.verify(&offer, now).is_some(),
        };
        *judged = Some(Judged { offer, second: now.as_secs(), counts });
        counts.then(|| self.names.clone())
    }

    fn verify(&self, offer: &Offer, now: UnixTime) -> Option<()> {
        let (own, others) = self.chain.split_first()?;
        offer.clients.as_ref()?.verify_client_cert(own, others, now).ok()?;
        Some(())
    }
}
