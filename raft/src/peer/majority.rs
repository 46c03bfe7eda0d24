//! Whether the leader that this node is hears a majority: it tells those that follow it, which
//! would go on to hear it and take all for well when they are cut off together with it.

use std::sync::{Arc, OnceLock};

type Look = Box<dyn Fn() -> bool + Send + Sync>;

/// What this node knows of its majority. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Majority {
    look: Arc<OnceLock<Look>>,
}

impl Majority {
    /// Has `look` say whether there is one, from now on: openraft knows, which needs its network
    /// first.
    pub(crate) fn follow<L>(&self, look: L)
    where
        L: Fn() -> bool + Send + Sync + 'static,
    {
        // Only the first call counts, and there is one.
        let _ = self.look.set(Box::new(look));
    }

    /// Whether none is heard.
    pub(super) fn is_missing(&self) -> bool {
        self.look.get().is_some_and(|has_majority| !has_majority())
    }
}
