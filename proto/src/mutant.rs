//! Faults that the program can be built with, so that its tests can be tested: tests that look for
//! bugs should find these.
//!
//! Without the feature `mutants`, which only tests have, none of them is part of the program:
//! [`Mutant::is_active`] is a constant then.

/// A fault, as its site in the program says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Mutant {
    /// A vote is given and not written down.
    VoteNotPersisted = 1,
    /// Entries are acknowledged before they are synced.
    AckBeforeFsync,
    /// A read does not ask the leader how far it must see.
    ReadWithoutBarrier,
    /// A read goes back to the index of the round before, when no leader confirms another.
    ReadIndexReused,
    /// What a manifest names is looked for before it is proposed, and not when it is decided.
    ReferencesCheckedEarly,
    /// A snapshot lacks the answers that were given.
    SnapshotWithoutAnswers,
    /// A snapshot leaves the membership as it was.
    MembershipNotInstalled,
    /// A request that comes again is decided again.
    RequestsRepeated,
    /// That an entry is applied is written before its rows.
    AppliedBeforeRows,
    /// The log is purged up to where the catalog is not durable.
    PurgedBeyondDurable,
    /// A blob is mounted from a repository that does not have it.
    MountUnchecked,
    /// An upload that was given up can still become a blob.
    EndedUploadLinked,
    /// A chunk is taken wherever its upload stands.
    ChunkAnywhere,
    /// The digest of a small blob is not compared.
    SmallDigestUnchecked,
    /// Each node puts its own time into what it decides.
    WallClockInDecide,
    /// What is decided has the order of a hash map.
    MapOrderInDecide,
    /// What a node asks of another has no end, nor has a connection of which nothing is heard.
    RpcWithoutDeadline,
    /// An object that has lost some or all of its bytes is taken for whole.
    ShortObjectAccepted,
    /// What is pulled is not compared with the checksum of what was pushed.
    ChecksumIgnored,
    /// A manifest keeps the tag that was moved to another one, and takes it along when it goes.
    MovedTagRemembered,
    /// What is swept is removed without a decision that it never becomes a blob.
    SweptUndecided,
    /// Of a body that breaks off, what came is taken for all of it.
    TruncatedBodyTaken,
    /// A node whose store has failed goes on, unless consensus stops by itself.
    FailedStoreIgnored,
    /// A node goes by the rights that it knows, which may be behind.
    RightsOfTheNode,
    /// A request leaves a task that never ends.
    TaskLeftBehind,
    /// The view that a request has read stays frozen for ever.
    ViewKept,
    /// An index is taken whether the images that it lists are there or not.
    ChildrenUnchecked,
    /// An image can be deleted that an index lists.
    ChildrenUnneeded,
    /// A part of an object gets its name before its bytes are synced.
    PartNotSynced,
    /// A part of an object is acknowledged before its name is synced.
    FolderNotSynced,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Self; 30] = [
        Self::VoteNotPersisted,
        Self::AckBeforeFsync,
        Self::ReadWithoutBarrier,
        Self::ReadIndexReused,
        Self::ReferencesCheckedEarly,
        Self::SnapshotWithoutAnswers,
        Self::MembershipNotInstalled,
        Self::RequestsRepeated,
        Self::AppliedBeforeRows,
        Self::PurgedBeyondDurable,
        Self::MountUnchecked,
        Self::EndedUploadLinked,
        Self::ChunkAnywhere,
        Self::SmallDigestUnchecked,
        Self::WallClockInDecide,
        Self::MapOrderInDecide,
        Self::RpcWithoutDeadline,
        Self::ShortObjectAccepted,
        Self::ChecksumIgnored,
        Self::MovedTagRemembered,
        Self::SweptUndecided,
        Self::TruncatedBodyTaken,
        Self::FailedStoreIgnored,
        Self::RightsOfTheNode,
        Self::TaskLeftBehind,
        Self::ViewKept,
        Self::ChildrenUnchecked,
        Self::ChildrenUnneeded,
        Self::PartNotSynced,
        Self::FolderNotSynced,
    ];

    /// The one of this name.
    #[cfg(feature = "mutants")]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mutant| format!("{mutant:?}") == name)
    }

    /// Whether its site is part of what is simulated. Others are for real processes to find.
    pub const fn is_simulated(self) -> bool {
        !matches!(self, Self::PartNotSynced | Self::FolderNotSynced)
    }

    /// Whether the program has this fault.
    #[cfg(not(feature = "mutants"))]
    #[inline]
    pub const fn is_active(self) -> bool {
        false
    }

    /// Whether the program has this fault.
    #[cfg(feature = "mutants")]
    pub fn is_active(self) -> bool {
        active::is(self)
    }

    /// Gives the program this fault, in place of any other, from here on.
    #[cfg(feature = "mutants")]
    pub fn activate(self) {
        active::set(self);
    }
}

#[cfg(feature = "mutants")]
mod active {
    use std::sync::atomic::{AtomicU8, Ordering};

    use super::Mutant;

    /// The mutant that is active, as a number; 0 for none.
    static ACTIVE: AtomicU8 = AtomicU8::new(0);

    pub(super) fn is(mutant: Mutant) -> bool {
        ACTIVE.load(Ordering::Relaxed) == mutant as u8
    }

    pub(super) fn set(mutant: Mutant) {
        ACTIVE.store(mutant as u8, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_fault_is_active_unless_somebody_wants_it() {
        for (position, mutant) in Mutant::ALL.into_iter().enumerate() {
            assert_eq!(mutant as usize, position + 1, "{mutant:?}");
            assert!(!mutant.is_active(), "{mutant:?}");
        }
    }
}
