//! I15: an upload holds what was acknowledged, and beside it nothing but whole chunks that were
//! sent; it never mixes bytes of two of them.

use std::collections::BTreeSet;

/// How far an upload can be, from what its client was told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Session {
    /// Bytes that were acknowledged.
    acknowledged: u64,
    /// Where chunks would end that were sent from there, of which it is not known whether they
    /// arrived.
    possible: BTreeSet<u64>,
}

impl Session {
    /// Bytes that were acknowledged.
    pub(crate) const fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// Whether it is known how far the upload is.
    pub(crate) fn is_certain(&self) -> bool {
        self.possible.is_empty()
    }

    /// A chunk was sent that would end at `end`, and what became of it is not known.
    pub(crate) fn doubt(&mut self, end: u64) {
        self.possible.insert(end);
    }

    /// A node says that the upload has `extent` bytes.
    ///
    /// # Errors
    /// When that cannot be.
    pub(crate) fn stand_at(&mut self, extent: u64) -> Result<(), String> {
        let Self { acknowledged, possible } = self;
        if extent < *acknowledged {
            return Err(format!("{extent} bytes are left of {acknowledged} acknowledged ones"));
        }
        if extent > *acknowledged && !possible.contains(&extent) {
            return Err(format!(
                "the upload has {extent} bytes, where {acknowledged} were acknowledged and chunks \
                 were sent that end at {possible:?}"
            ));
        }
        if extent > *acknowledged {
            // What began at the old end finds another one now.
            self.acknowledged = extent;
            self.possible.clear();
        }
        Ok(())
    }

    /// A chunk that ends at `end` was acknowledged, and with it that the upload has `extent` bytes.
    ///
    /// # Errors
    /// When that cannot be.
    pub(crate) fn acknowledge(&mut self, end: u64, extent: u64) -> Result<(), String> {
        if extent != end {
            return Err(format!(
                "a chunk up to {end} was taken, and the upload has {extent} bytes"
            ));
        }
        self.acknowledged = end;
        self.possible.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_that_loses_or_gains_bytes_is_found() {
        let mut session = Session::default();
        assert_eq!(session.acknowledge(10, 10), Ok(()));
        assert!(session.clone().stand_at(9).is_err(), "acknowledged bytes are gone");
        assert!(session.clone().stand_at(11).is_err(), "nobody sent more");
        assert!(session.clone().acknowledge(20, 15).is_err(), "half a chunk");
        session.doubt(20);
        assert!(session.clone().stand_at(15).is_err(), "half a chunk that was interrupted");
    }

    #[test]
    fn a_chunk_in_doubt_came_as_a_whole_or_not() {
        for extent in [10, 20, 30] {
            let mut session = Session::default();
            assert_eq!(session.acknowledge(10, 10), Ok(()));
            session.doubt(20);
            session.doubt(30);
            assert!(!session.is_certain());
            assert_eq!(session.stand_at(extent), Ok(()));
            assert_eq!(session.acknowledged(), extent);
        }
    }
}
