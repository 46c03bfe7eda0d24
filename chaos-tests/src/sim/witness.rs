//! What only the product itself can say that it did: events of its log, counted.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

/// The parts of the product that say it.
const SPEAKERS: [&str; 2] = ["api::content::damage", "raft::catalog"];
/// Their events by their messages, and as what they are counted.
const EVENTS: [(&str, &str); 3] = [
    ("a blob came damaged once, and is whole", "blobs that came damaged once"),
    ("a snapshot has taken the place of the catalog", "snapshots installed"),
    ("a repeated request gets its first answer", "repeated requests answered from memory"),
];

thread_local! {
    static SEEN: RefCell<BTreeMap<&'static str, u64>> = const { RefCell::new(BTreeMap::new()) };
}

/// Counts the events of this thread.
#[derive(Clone, Copy, Debug, Default)]
pub struct Witness;

/// What was counted on this thread.
pub(crate) fn seen() -> BTreeMap<&'static str, u64> {
    SEEN.with_borrow(BTreeMap::clone)
}

impl Witness {
    /// Looks at an event.
    pub fn see(event: &Event<'_>) {
        let target = event.metadata().target();
        if !SPEAKERS.iter().any(|speaker| target.starts_with(speaker)) {
            return;
        }
        let mut message = Message(String::new());
        event.record(&mut message);
        if let Some((_, what)) = EVENTS.iter().find(|(text, _)| *text == message.0) {
            SEEN.with_borrow_mut(|seen| *seen.entry(what).or_default() += 1);
        }
    }
}

impl<S: Subscriber> Layer<S> for Witness {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        Self::see(event);
    }
}

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}
