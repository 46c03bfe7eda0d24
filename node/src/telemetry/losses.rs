//! Records of the audit log that could not be written: that they are lost must not go unseen.

use std::io::{self, Write};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use prometheus_client::metrics::counter::Counter;
use tracing_subscriber::fmt::MakeWriter;

/// How often they are spoken of at most.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// How many there are: of this process, as its log is.
static LOST: LazyLock<Counter> = LazyLock::new(Counter::default);
/// When they were last spoken of.
static SAID: Mutex<Option<Instant>> = Mutex::new(None);

/// How many records were lost, now and later.
pub(crate) fn lost() -> Counter {
    LOST.clone()
}

/// A writer whose records, each of them a write of its own, are counted when they are lost.
pub(super) struct Watched<W>(pub(super) W);

impl<'a, W: MakeWriter<'a>> MakeWriter<'a> for Watched<W> {
    type Writer = Watched<W::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        Watched(self.0.make_writer())
    }
}

impl<W: Write> Write for Watched<W> {
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        self.0.write(record)
    }

    fn write_all(&mut self, record: &[u8]) -> io::Result<()> {
        self.0.write_all(record).inspect_err(note)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Counts a record that is lost, and says so, unless that was done a moment ago. Not in the log,
/// from within which this is called; and whoever closed standard error does not want to know.
fn note(reason: &io::Error) {
    LOST.inc();
    let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
    if said.is_none_or(|at| at.elapsed() >= SAY_EVERY) {
        *said = Some(Instant::now());
        let _ = writeln!(
            io::stderr().lock(),
            "roadstead: the audit log cannot be written, and its records are lost: {reason}"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Full;

    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_record_that_cannot_be_written_is_counted() {
        let before = lost().get();
        assert!(Watched(io::sink).make_writer().write_all(b"kept").is_ok());
        assert_eq!(lost().get(), before);
        assert!(Watched(|| Full).make_writer().write_all(b"lost").is_err());
        assert_eq!(lost().get(), before + 1);
    }
}
