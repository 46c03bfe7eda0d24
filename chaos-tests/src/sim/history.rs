//! What clients saw of tags: every request with when it was sent, when it was answered, and what
//! the answer said.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::chronicle::Chronicle;

/// What a tag names: the number of an image, or nothing.
pub(crate) type Value = Option<u64>;

/// What a request did to a tag, or saw of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// It was pointed to an image, or removed.
    Set(Value),
    /// It was pointed from one thing to another, on the condition that it named the first.
    Swap {
        /// The condition.
        from: Value,
        /// What it names then.
        to: Value,
    },
    /// This image was removed, and the tag with it if it named the image.
    Removed(u64),
    /// It named this.
    Saw(Value),
    /// It named something, or nothing: what a list says.
    Listed(bool),
    /// It did not name this: what a failed condition says.
    Differed(Value),
    /// Nobody did anything: by now all changes have happened, or never will, that were asked for
    /// before this and not answered.
    Settled(u64),
}

impl Action {
    /// What the tag names after this, when it named `value` before; `None` when this cannot have
    /// happened then.
    pub(crate) fn apply(self, value: Value) -> Option<Value> {
        match self {
            Self::Set(to) => Some(to),
            Self::Swap { from, to } => may_swap(from, to, value).then_some(to),
            Self::Removed(number) if value == Some(number) => Some(None),
            Self::Removed(_) => Some(value),
            Self::Saw(seen) => (seen == value).then_some(value),
            Self::Listed(is_there) => (is_there == value.is_some()).then_some(value),
            Self::Differed(from) => (from != value).then_some(value),
            Self::Settled(_) => Some(value),
        }
    }

    /// Whether it is a change that may come to something else, or to nothing, because the tag
    /// names `value`; or one after which what made it so can happen no more.
    pub(crate) fn depends_on(self, value: Value) -> bool {
        match self {
            Self::Swap { from, to } => may_swap(from, to, value),
            Self::Removed(_) | Self::Settled(_) => true,
            Self::Set(_) | Self::Saw(_) | Self::Listed(_) | Self::Differed(_) => false,
        }
    }

    /// Whether it leaves tags as they are.
    pub(crate) const fn is_read(self) -> bool {
        matches!(self, Self::Saw(_) | Self::Listed(_) | Self::Differed(_))
    }
}

/// Whether a tag that names `value` may be pointed to `to` on the condition that it names `from`.
/// Where it names `to` already, an `If-Match` is met too: the answer of an earlier try may have
/// been lost.
fn may_swap(from: Value, to: Value, value: Value) -> bool {
    from == value || (from.is_some() && to == value)
}

/// A request and its answer.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    /// Who asked whom.
    pub(crate) by: String,
    /// What it did or saw.
    pub(crate) action: Action,
    /// When it was sent, in the order of everything that happened.
    pub(crate) called: u64,
    /// When it was answered; `None` when what became of it is not known.
    pub(crate) returned: Option<u64>,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { by, action, called, returned } = self;
        match returned {
            Some(returned) => write!(f, "[{called}, {returned}] {by} {action:?}"),
            None => write!(f, "[{called}, ?] {by} {action:?}"),
        }
    }
}

/// A change that is under way.
#[derive(Debug)]
pub(crate) struct Pending {
    tag: String,
    index: usize,
}

/// The operations on each tag. Clones are the same history.
#[derive(Clone)]
pub(crate) struct History {
    tags: Arc<Mutex<Tags>>,
    chronicle: Chronicle,
}

/// The operations on each tag, in the order in which they were written down; what was refused had
/// no effect, and is none.
type Tags = BTreeMap<String, Vec<Option<Operation>>>;

impl History {
    pub(crate) fn new(chronicle: Chronicle) -> Self {
        Self { tags: Arc::default(), chronicle }
    }

    fn tags(&self) -> MutexGuard<'_, Tags> {
        self.tags.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When a request is sent.
    pub(crate) fn call(&self) -> u64 {
        self.chronicle.next()
    }

    /// Writes down that the request of `called` is to do `action` to `tag`. From now on, and for as
    /// long as it is not known what became of it, it may happen: also when nobody waits for it any
    /// more.
    pub(crate) fn begin(&self, tag: &str, by: &str, called: u64, action: Action) -> Pending {
        self.add(tag, Operation { by: by.to_owned(), action, called, returned: None })
    }

    /// Writes down that `by` was answered now that it is done.
    pub(crate) fn done(&self, pending: &Pending, by: &str) {
        let returned = Some(self.chronicle.next());
        self.end(pending, |change| Some(Operation { by: by.to_owned(), returned, ..change }));
    }

    /// Writes down that it was refused.
    pub(crate) fn refused(&self, pending: &Pending) {
        self.end(pending, |_| None);
    }

    /// Counts that nobody waits any more to learn what became of it.
    pub(crate) fn doubt(&self, _: &Pending) {
        self.chronicle.count("changes of unknown outcome");
    }

    /// Writes down that by now all changes have happened, or never will, that were asked for before
    /// `asked` and not answered.
    pub(crate) fn settle(&self, asked: u64) {
        let tags: Vec<String> = self.tags().keys().cloned().collect();
        for tag in tags {
            self.answered(
                &tag,
                "the end of all that was wrong",
                self.call(),
                Action::Settled(asked),
            );
        }
    }

    fn end(&self, pending: &Pending, outcome: impl FnOnce(Operation) -> Option<Operation>) {
        if let Some(changes) = self.tags().get_mut(&pending.tag)
            && let Some(slot) = changes.get_mut(pending.index)
        {
            *slot = slot.take().and_then(outcome);
            tracing::debug!(target: "history", tag = pending.tag, operation = ?slot);
        }
    }

    /// Writes down that `by` was answered now, and what the answer to the request of `called` said
    /// of `tag`.
    pub(crate) fn answered(&self, tag: &str, by: &str, called: u64, action: Action) {
        let returned = Some(self.chronicle.next());
        self.add(tag, Operation { by: by.to_owned(), action, called, returned });
    }

    fn add(&self, tag: &str, operation: Operation) -> Pending {
        tracing::debug!(target: "history", tag, %operation);
        let mut tags = self.tags();
        let operations = tags.entry(tag.to_owned()).or_default();
        operations.push(Some(operation));
        Pending { tag: tag.to_owned(), index: operations.len() - 1 }
    }

    /// The operations on each tag, in the order in which they were sent.
    pub(crate) fn by_tag(&self) -> BTreeMap<String, Vec<Operation>> {
        let in_order = |operations: &Vec<Option<Operation>>| {
            let mut operations: Vec<Operation> = operations.iter().flatten().cloned().collect();
            operations.sort_by_key(|operation| operation.called);
            operations
        };
        self.tags().iter().map(|(tag, operations)| (tag.clone(), in_order(operations))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_whose_answer_is_still_awaited_may_have_happened() {
        let history = History::new(Chronicle::default());
        let set = |number| Action::Set(Some(number));
        let [done, refused, awaited] =
            [1, 2, 3].map(|number| history.begin("tag-1", "client", number, set(number)));
        history.done(&done, "client through node-1");
        history.refused(&refused);
        history.doubt(&awaited);
        let known: Vec<_> = history.by_tag()["tag-1"]
            .iter()
            .map(|operation| (operation.action, operation.returned.is_some()))
            .collect();
        assert_eq!(known, [(set(1), true), (set(3), false)]);
    }
}
