//! Taking connections over TLS, with the certificate that is there now.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::Extensions;
use proto::limits::HANDSHAKE_PATIENCE;
use tokio::io::AsyncReadExt as _;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_rustls::LazyConfigAcceptor;
use tokio_util::task::AbortOnDropHandle;

use super::handshake::{Handshake, Opened, begin};
use super::material::{Material, Offer};
use super::{Files, Shown, TlsError, WorldTime};
use crate::Connection;

/// How often files are read, to see whether they have changed. What two looks in a row find is
/// taken: a certificate and its key are two files, which do not change at one moment.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Takes connections over TLS. Clones share it; its files are watched until the last is dropped.
#[derive(Clone)]
pub(crate) struct Acceptor {
    offer: watch::Receiver<Arc<Offer>>,
    time: WorldTime,
    patience: Duration,
    _task: Arc<AbortOnDropHandle<()>>,
}

impl Acceptor {
    /// An acceptor with what is in `files`, now and whenever they change. That which cannot be used
    /// then is left, with one warning.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub(crate) async fn open(files: Files, time: WorldTime) -> Result<Self, TlsError> {
        let material = files.read()?;
        let (tell, offer) = watch::channel(Arc::new(material.offer(&files, &time)?));
        let reloading = reload(files, time.clone(), material, tell);
        let task = Arc::new(AbortOnDropHandle::new(tokio::spawn(reloading)));
        Ok(Self { offer, time, patience: HANDSHAKE_PATIENCE, _task: task })
    }

    /// The same, with less patience.
    #[cfg(test)]
    pub(crate) fn hasty(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    async fn shake(&self, mut connection: Connection) -> io::Result<Opened> {
        let first = connection.read_u8().await?;
        let Some(hello) = begin(first)? else { return Ok(Opened::Plain(connection, first)) };
        let begun = LazyConfigAcceptor::new(hello, connection).await?;
        let config = Arc::clone(&self.offer.borrow().config);
        let stream = begun.into_stream(config).await?;
        let (_, session) = stream.get_ref();
        let mut known = Extensions::new();
        if let Some(chain) = session.peer_certificates() {
            known.insert(Shown::new(chain, self.offer.clone(), self.time.clone()));
        }
        Ok(Opened::Secure { connection: Box::new(stream), known, is_trusted: false })
    }
}

#[async_trait]
impl Handshake for Acceptor {
    async fn accept(&self, connection: Connection) -> io::Result<Opened> {
        timeout(self.patience, self.shake(connection)).await?
    }
}

/// Tells of a new configuration whenever `files`, of which `tried` is known, have changed to
/// something that can be used; for ever.
async fn reload(files: Files, time: WorldTime, tried: Material, tell: watch::Sender<Arc<Offer>>) {
    let mut tried = Ok(tried);
    let mut seen = tried.clone();
    // Whether what was tried failed by the clock, which may have been wrong.
    let mut has_expired = false;
    loop {
        sleep(LOOK_INTERVAL).await;
        let reading = {
            let files = files.clone();
            tokio::task::spawn_blocking(move || files.read().map_err(|error| error.to_string()))
        };
        // The process is ending when it is not read.
        let Ok(found) = reading.await else { return };
        let (has_settled, is_news) = (found == seen, found != tried);
        seen = found;
        if !has_settled || !(is_news || has_expired) {
            continue;
        }
        tried.clone_from(&seen);
        has_expired = false;
        let offer = tried.as_ref().map_err(Clone::clone).and_then(|material| {
            material.offer(&files, &time).map_err(|error| {
                has_expired = matches!(error, TlsError::Expired { .. });
                error.to_string()
            })
        });
        match offer {
            Ok(offer) => {
                tell.send_replace(Arc::new(offer));
                tracing::info!(certificate = %files.certificate.display(), "certificate reloaded");
            }
            Err(reason) if is_news => {
                tracing::warn!(reason, "the certificate before this one stays in use");
            }
            // It was said.
            Err(_) => {}
        }
    }
}
