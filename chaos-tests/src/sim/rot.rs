//! Objects that the store does not give back as they were written: a byte is another, or some are
//! gone. That stays until everything is mended.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use proto::{Algorithm, Digest, ObjectKey};

use super::chronicle::Chronicle;
use super::dice::Dice;
use super::ledger::Ledger;
use super::machine::Machine;
use super::store::Store;

/// What has become of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rot {
    /// The byte at this place is another.
    Changed(usize),
    /// Only so many bytes are left.
    Shorter(usize),
}

impl Rot {
    /// Some rot of an object of `length` bytes; `None` of an empty one.
    pub(crate) fn any(dice: &mut Dice, length: usize) -> Option<Self> {
        let at = (length > 0).then(|| dice.index(length))?;
        Some(if dice.one_in(2) { Self::Changed(at) } else { Self::Shorter(at) })
    }

    /// What is left of the bytes of an object.
    pub(crate) fn of(self, bytes: &Bytes) -> Bytes {
        match self {
            Self::Changed(at) => {
                let mut changed = BytesMut::from(bytes.as_ref());
                if let Some(byte) = changed.get_mut(at) {
                    *byte ^= 1;
                }
                changed.freeze()
            }
            Self::Shorter(left) => bytes.slice(..left.min(bytes.len())),
        }
    }
}

/// Has a blob rot now and then, in half of the runs.
pub(crate) struct Rotting {
    dice: Dice,
    next: Duration,
    chronicle: Chronicle,
    is_begun: bool,
}

impl Rotting {
    pub(crate) fn new(seed: u64, chronicle: Chronicle) -> Self {
        let mut dice = Dice::new(seed, "rot");
        let next = if dice.one_in(2) { dice.millis(5_000..=20_000) } else { Duration::MAX };
        Self { dice, next, chronicle, is_begun: false }
    }

    /// Whether anything has rotted.
    pub(crate) const fn is_begun(&self) -> bool {
        self.is_begun
    }

    /// Has a blob rot, if it is time to: one that a machine knows of, so that its upload has ended.
    pub(crate) fn act(
        &mut self,
        now: Duration,
        machines: &[Machine],
        store: &Store,
        ledger: &Ledger,
    ) {
        if now < self.next {
            return;
        }
        self.next = now + self.dice.millis(3_000..=15_000);
        let is_named = |object: ObjectKey| machines.iter().any(|machine| machine.names(object));
        let Some((content, rot)) = store.rot(&mut self.dice, is_named) else { return };
        let digest = Digest::of(Algorithm::Sha256, &content);
        let (what, of) = match rot {
            Rot::Changed(_) => ("faults: changed blob", "a byte is another"),
            Rot::Shorter(_) => ("faults: shortened blob", "bytes are gone"),
        };
        self.chronicle.note(format_args!("of the blob {digest} {of}"));
        self.chronicle.count(what);
        ledger.damaged(&digest, rot);
        self.is_begun = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rots_is_not_what_it_was() {
        let mut dice = Dice::new(1, "test");
        let bytes = Bytes::from_static(b"some bytes");
        for _ in 0..100 {
            let rotten = Rot::any(&mut dice, bytes.len()).map(|rot| rot.of(&bytes));
            assert!(rotten.is_some_and(|rotten| rotten != bytes && rotten.len() <= bytes.len()));
        }
        assert_eq!(Rot::any(&mut dice, 0), None);
    }
}
