//! TLS: what the API's listener shows its clients, what it believes of theirs, and whom the command
//! line trusts.
//!
//! ```text
//! Files -> read -> Material -> ServerConfig -> Acceptor    and again whenever the files change
//! ```

mod acceptor;
mod error;
mod files;
mod handshake;
mod host;
mod material;
pub(crate) mod names;
mod self_signed;
mod shown;
mod time;
mod trust;

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};

pub(crate) use self::acceptor::Acceptor;
pub use self::error::TlsError;
pub(crate) use self::files::Files;
pub(crate) use self::handshake::{Handshake, Opened, begin};
pub(crate) use self::host::Host;
pub(crate) use self::self_signed::SelfSigned;
pub(crate) use self::self_signed::SelfSignedError;
pub(crate) use self::shown::Shown;
pub(crate) use self::time::WorldTime;
pub(crate) use self::trust::Trust;

/// The cryptography that all of TLS here uses.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// Makes that cryptography the process's own, for clients of HTTP that are not told which to use.
pub fn install_cryptography() {
    // Somebody else was first: then there is one.
    let _ = ring::default_provider().install_default();
}
