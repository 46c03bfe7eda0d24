//! What becomes of a store that is nobody's.

/// What to do with a store that belongs to no cluster yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unclaimed {
    /// Bind it to the cluster that claims it: a new cluster's store is new.
    Bind,
    /// Refuse it: a node that joins a cluster, or returns to one, must find that cluster's bytes,
    /// and an empty store in their place is a folder that was not mounted.
    Refuse,
}
