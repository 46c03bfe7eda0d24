//! Records of the audit log that could not be written: that they are lost must not go unseen.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
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
pub(super) struct Watched<W> {
    inner: W,
    /// Whether the last record may be there in part: the next one begins a line of its own.
    is_torn: Arc<AtomicBool>,
}

impl<W> Watched<W> {
    /// Counts what `inner` does not take.
    pub(super) fn new(inner: W) -> Self {
        Self { inner, is_torn: Arc::default() }
    }
}

impl<'a, W: MakeWriter<'a>> MakeWriter<'a> for Watched<W> {
    type Writer = Watched<W::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        Watched { inner: self.inner.make_writer(), is_torn: Arc::clone(&self.is_torn) }
    }
}

impl<W: Write> Write for Watched<W> {
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        self.inner.write(record)
    }

    fn write_all(&mut self, record: &[u8]) -> io::Result<()> {
        let ends_a_torn_one = self.is_torn.swap(true, Ordering::Relaxed);
        let begun = if ends_a_torn_one { self.inner.write_all(b"\n") } else { Ok(()) };
        begun.and_then(|()| self.inner.write_all(record)).inspect_err(note)?;
        self.is_torn.store(false, Ordering::Relaxed);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Counts a record that is lost, and says so on standard error, unless that was done a moment ago
/// or nobody reads there. Not in the log, from within which this is called.
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
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use super::*;

    /// A disk with so much room.
    #[derive(Clone, Default)]
    struct Disk(Arc<Mutex<(Vec<u8>, usize)>>);

    impl Write for Disk {
        fn write(&mut self, record: &[u8]) -> io::Result<usize> {
            let mut disk = self.0.lock().unwrap();
            let (held, room) = &mut *disk;
            let taken = record.len().min(*room);
            if taken == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            held.extend_from_slice(&record[..taken]);
            *room -= taken;
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_record_that_cannot_be_written_is_counted_and_spoils_no_other() {
        let disk = Disk::default();
        let of_disk = disk.clone();
        let watched = Watched::new(move || of_disk.clone());
        let record = |text: &[u8]| watched.make_writer().write_all(text);
        let before = lost().get();
        disk.0.lock().unwrap().1 = 8;
        assert!(record(b"kept\n").is_ok());
        assert_eq!(lost().get(), before);
        assert!(record(b"lost\n").is_err());
        assert!(record(b"gone\n").is_err());
        assert_eq!(lost().get(), before + 2);
        disk.0.lock().unwrap().1 = 100;
        assert!(record(b"there\n").is_ok() && record(b"too\n").is_ok());
        assert_eq!(lost().get(), before + 2);
        let held = String::from_utf8(disk.0.lock().unwrap().0.clone()).unwrap();
        assert_eq!(held.lines().collect::<Vec<_>>(), ["kept", "los", "there", "too"]);
    }
}
