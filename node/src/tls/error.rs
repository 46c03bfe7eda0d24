//! Why certificates and keys cannot be used, as sentences for the operator.

use std::io;
use std::path::PathBuf;

/// Why certificates and keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{}, which {setting} names, cannot be read: {reason}", path.display())]
    Unreadable {
        /// The setting that names it.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: io::Error,
    },
    /// A file is none of PEM, or has nothing of what it should have.
    #[error(
        "{}, which {setting} names, has no {what}: put one there in PEM, which begins with \
         -----BEGIN",
        path.display()
    )]
    Empty {
        /// The setting that names it.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// What it should have.
        what: &'static str,
    },
    /// A certificate cannot be read.
    #[error("{}, which {setting} names, has a certificate that is none: {reason}", path.display())]
    Certificate {
        /// The setting that names it.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The key is of a kind that cannot be used.
    #[error(
        "the key in {} cannot be used: make one of ECDSA (P-256 or P-384), Ed25519, or RSA with \
         at least 2048 bits",
        path.display()
    )]
    Key {
        /// The file.
        path: PathBuf,
    },
    /// The key is another certificate's.
    #[error(
        "the key in {} is not that of the certificate in {}: name the key that the certificate \
         was made for",
        key.display(), certificate.display()
    )]
    Mismatch {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
    },
    /// The certificate's time is over.
    #[error("the certificate in {} has expired, on {end}: renew it", path.display())]
    Expired {
        /// The file.
        path: PathBuf,
        /// When.
        end: String,
    },
    /// The cryptography lacks what TLS needs.
    #[error("TLS 1.2 and 1.3 cannot be spoken: {0}")]
    Versions(rustls::Error),
}
