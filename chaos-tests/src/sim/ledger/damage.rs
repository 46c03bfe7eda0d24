//! What the store has done to a blob, and whether anybody can still come upon it.

use std::collections::BTreeMap;

use crate::sim::rot::Rot;

/// What the store has done to a blob.
#[derive(Clone, Debug)]
pub(super) struct Damage {
    since: u64,
    rot: Rot,
    /// In which repositories somebody was told after that that it is absent, which must be there,
    /// and when.
    found: BTreeMap<&'static str, u64>,
    /// When it was pushed again after that.
    renewed: Option<u64>,
}

impl Damage {
    pub(super) const fn new(since: u64, rot: Rot) -> Self {
        Self { since, rot, found: BTreeMap::new(), renewed: None }
    }

    /// Since when bytes are gone, if they are.
    pub(super) fn short_since(&self) -> Option<u64> {
        matches!(self.rot, Rot::Shorter(_)).then_some(self.since)
    }

    /// A client that asked at `called` was told at `returned` that it is absent in `repository`.
    pub(super) fn find(&mut self, repository: &'static str, called: u64, returned: u64) {
        if called > self.since {
            self.found.entry(repository).or_insert(returned);
        }
    }

    /// A client that asked at `called` was told at `returned` that it is pushed to `repository`,
    /// which still has it. The node that ends such a push reads what is there, and takes what was
    /// pushed in its place if that is damaged, for all repositories (ADR 15).
    pub(super) fn renew(&mut self, repository: &'static str, called: u64, returned: u64) {
        if self.found.get(repository).is_some_and(|found| *found < called) {
            self.renewed.get_or_insert(returned);
        }
    }

    /// Whether a request that was sent at `called` may come upon it.
    pub(super) fn may_show(&self, called: u64) -> bool {
        self.renewed.is_none_or(|renewed| renewed > called)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_shows_until_the_blob_is_pushed_again_where_it_was_found_absent() {
        let mut damage = Damage::new(10, Rot::Changed(0));
        damage.find("app", 9, 20);
        damage.renew("app", 21, 22);
        assert!(damage.may_show(23), "what was absent before it was damaged is nothing to push");
        damage.find("app", 24, 26);
        damage.renew("app", 25, 27);
        assert!(damage.may_show(28), "nobody who pushed knew of it");
        damage.renew("other", 29, 30);
        assert!(damage.may_show(31), "what only others have is not read");
        damage.renew("app", 32, 34);
        assert!(damage.may_show(33) && !damage.may_show(35));
    }
}
