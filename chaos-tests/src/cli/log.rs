//! What becomes of the events of all libraries: written, or made and forgotten.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use chaos_tests::sim::Witness;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::interpose;

/// Libraries whose events and spans ask for no chance, by the beginnings of their targets.
const QUIET: [&str; 6] = ["h2", "hyper", "openraft", "tonic", "tower", "turmoil"];

/// A target that shows, at the finest level, where functions are in memory: elsewhere in each
/// process.
const SHOWS_ADDRESSES: &str = "aws_smithy_runtime::client::orchestrator";

/// A target that shows requests with all that they carry, some of them several MiB.
const SHOWS_BODIES: &str = "s3s::service";

/// Writes events to standard output when `is_written`. Without, events are made all the same: what
/// a library does to fill one in may ask for chance. But no span is kept, and those libraries are
/// not asked that make most events and are [known](QUIET) not to: each would cost a tenth of a run
/// and more.
pub(super) fn log(is_written: bool) {
    if !is_written {
        Attentive::default().init();
        return;
    }
    let written = tracing_subscriber::fmt::layer()
        .with_timer(SimulatedTime)
        .with_ansi(false)
        .with_writer(io::stdout)
        .with_filter(
            Targets::new()
                .with_default(LevelFilter::TRACE)
                .with_target(SHOWS_ADDRESSES, LevelFilter::DEBUG)
                .with_target(SHOWS_BODIES, LevelFilter::INFO),
        );
    tracing_subscriber::registry().with(Everything).with(Witness).with(written).init();
}

/// A layer to which everything matters and which does nothing: so each event is made, also where
/// another layer has a coarser level.
struct Everything;

impl<S: Subscriber> Layer<S> for Everything {
    fn enabled(&self, _: &Metadata<'_>, _: Context<'_, S>) -> bool {
        true
    }
}

/// A subscriber to which everything matters, which shows it to the [`Witness`] and forgets it.
#[derive(Default)]
struct Attentive {
    spans: AtomicU64,
}

impl Subscriber for Attentive {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        let is_quiet = QUIET.iter().any(|library| metadata.target().starts_with(library));
        if is_quiet { Interest::never() } else { Interest::always() }
    }

    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(self.spans.fetch_add(1, Ordering::Relaxed) + 1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        Witness::see(event);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct SimulatedTime;

impl FormatTime for SimulatedTime {
    fn format_time(&self, w: &mut Writer<'_>) -> fmt::Result {
        let elapsed = interpose::elapsed();
        write!(w, "{:>6}.{:03}", elapsed.as_secs(), elapsed.subsec_millis())
    }
}
