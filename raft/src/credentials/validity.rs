//! From when until when a certificate is good, as the certificate itself says. Its signer may have
//! gone by another clock than this node's, and either clock may have been wrong.

use proto::{DecodeError, Timestamp};
use x509_cert::Certificate;
use x509_cert::der::Decode as _;
use x509_cert::time::Time;

use super::certificates::CLOCK_MARGIN;

/// The time for which a node's certificate is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Validity {
    from: Timestamp,
    until: Timestamp,
}

impl Validity {
    /// The validity of `certificate`, which is in DER.
    pub(crate) fn of(certificate: &[u8]) -> Result<Self, DecodeError> {
        let certificate = Certificate::from_der(certificate);
        let certificate = certificate.map_err(|e| DecodeError::new("certificate", e))?;
        let validity = certificate.tbs_certificate().validity();
        let at = |time: Time| Timestamp::default().plus(time.to_unix_duration());
        Ok(Self { from: at(validity.not_before), until: at(validity.not_after) })
    }

    /// Whether the certificate is good at `now`.
    pub(crate) fn has(self, now: Timestamp) -> bool {
        self.from <= now && now <= self.until
    }

    /// Whether it is time for another certificate at `now`: two thirds of its time are over, or the
    /// clock by which it was signed was ahead, and others may not take it yet.
    pub(crate) fn is_due(self, now: Timestamp) -> bool {
        let issued = self.from.plus(CLOCK_MARGIN);
        // A clock that begins in 1970 has nothing before it.
        let was_ahead = now < issued && self.from > Timestamp::default();
        was_ahead || issued.plus(self.until.since(issued) / 3 * 2) <= now
    }
}
