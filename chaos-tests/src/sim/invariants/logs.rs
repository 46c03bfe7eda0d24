//! I11: two logs that have an entry of the same index and term have the same entry there, after
//! entries of the same term; what a node has known to be committed has no other in its place that
//! comes from a later term, and is not taken out of that node's log (Ongaro and Ousterhout, "In
//! Search of an Understandable Consensus Algorithm", sections 5.3 and 5.4). A leader of an earlier
//! term, which does not know yet that it leads no more, may have another there for a while.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use prost::Message as _;
use proto::pb::raft as pb;
use storage::Batch;
use storage::kv::Write;

use crate::sim::chronicle::Chronicle;
use crate::sim::invariant::Invariant;

/// The keys of the log's rows, as `raft/src/log/keys.rs` has them.
const ENTRY: u8 = b'e';
const COMMITTED: &[u8] = b"committed";
const PURGED: &[u8] = b"purged";

/// What was ever seen of any log. Clones are the same watch.
#[derive(Clone)]
pub(crate) struct Logs {
    seen: Arc<Mutex<Seen>>,
    chronicle: Chronicle,
}

#[derive(Default)]
struct Seen {
    /// Each entry by index and term: its bytes, and the term of the entry before it, when that was
    /// there.
    entries: BTreeMap<(u64, u64), (Bytes, Option<u64>)>,
    /// The last term of which an entry was seen.
    term: u64,
    /// Each entry by index that a node has known to be committed.
    committed: BTreeMap<u64, Committed>,
}

/// An entry that is committed.
#[derive(Clone, Copy)]
struct Committed {
    /// The entry's term.
    term: u64,
    /// The last term of which an entry was seen when that was first known: no leader of an earlier
    /// one has committed it, since leaders begin with an entry of their own.
    known_in: u64,
}

/// The log of one node as its process sees it.
#[derive(Debug, Default)]
pub(crate) struct Log {
    /// The term of each entry by its index.
    terms: BTreeMap<u64, u64>,
    committed: u64,
    purged: u64,
}

impl Log {
    /// The log that a process finds, row by row.
    pub(crate) fn find(&mut self, key: &[u8], value: &[u8]) {
        match index(key) {
            Some(index) => {
                let entry = pb::Entry::decode(value).unwrap_or_default();
                self.terms.insert(index, term(entry.log_id.as_ref()));
            }
            None if key == COMMITTED => self.committed = position(value),
            None if key == PURGED => self.purged = position(value),
            None => {}
        }
    }
}

impl Logs {
    pub(crate) fn new(chronicle: Chronicle) -> Self {
        Self { seen: Arc::default(), chronicle }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at what `node` writes to its log.
    pub(crate) fn observe(&self, node: &str, log: &mut Log, batch: &Batch) {
        for write in batch.writes() {
            let outcome = match write {
                Write::Put { key, value } => self.put(log, key, value),
                Write::DeleteRange { from, to } => remove(log, from, to),
                Write::Delete { .. } => Ok(()),
            };
            if let Err(reason) = outcome {
                self.chronicle.violated(Invariant::LogsMatch, format_args!("{node}: {reason}"));
            }
        }
    }

    fn put(&self, log: &mut Log, key: &[u8], value: &[u8]) -> Result<(), String> {
        log.find(key, value);
        if let Some(index) = index(key) {
            self.chronicle.count("log entries compared");
            return self.entry(log, index, value);
        }
        if key == COMMITTED {
            return self.commit(log);
        }
        Ok(())
    }

    fn entry(&self, log: &Log, index: u64, value: &[u8]) -> Result<(), String> {
        let term = log.terms.get(&index).copied().unwrap_or_default();
        let before = index.checked_sub(1).and_then(|before| log.terms.get(&before)).copied();
        let mut seen = self.seen();
        if let Some(committed) = seen.committed.get(&index)
            && committed.term != term
            && committed.known_in < term
        {
            return Err(format!(
                "entry {index} of term {term} comes where the one of term {} is committed",
                committed.term
            ));
        }
        seen.term = seen.term.max(term);
        let (first, first_before) = seen
            .entries
            .entry((index, term))
            .or_insert_with(|| (Bytes::copy_from_slice(value), before));
        if first != value {
            return Err(format!("entry {index} of term {term} is another one than elsewhere"));
        }
        match (*first_before, before) {
            (Some(elsewhere), Some(here)) if elsewhere != here => Err(format!(
                "entry {index} of term {term} comes after one of term {here}, elsewhere {elsewhere}"
            )),
            (None, Some(_)) => {
                *first_before = before;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn commit(&self, log: &Log) -> Result<(), String> {
        let mut seen = self.seen();
        let known = seen.committed.last_key_value().map_or(0, |(index, _)| *index);
        let known_in = seen.term;
        for (index, term) in log.terms.range(..=log.committed) {
            let committed = Committed { term: *term, known_in };
            let first = seen.committed.entry(*index).or_insert(committed);
            if first.term != *term {
                return Err(format!(
                    "entry {index} is committed in term {term}, and in term {} elsewhere",
                    first.term
                ));
            }
        }
        if log.committed > known {
            self.chronicle.count("commits seen in logs");
        }
        Ok(())
    }
}

/// Takes entries out of a log: those at its start when they are purged, those at its end when a
/// leader has others.
fn remove(log: &mut Log, from: &[u8], to: &[u8]) -> Result<(), String> {
    let is_within = |index: u64| {
        let key = key(index);
        key.as_slice() >= from && key.as_slice() < to
    };
    let removed: Vec<u64> = log.terms.keys().copied().filter(|index| is_within(*index)).collect();
    log.terms.retain(|index, _| !is_within(*index));
    match removed.iter().find(|index| **index > log.purged && **index <= log.committed) {
        None => Ok(()),
        Some(index) => Err(format!(
            "entry {index} is taken out of the log, of which {} are committed",
            log.committed
        )),
    }
}

fn index(key: &[u8]) -> Option<u64> {
    match key {
        [ENTRY, index @ ..] => index.try_into().ok().map(u64::from_be_bytes),
        _ => None,
    }
}

fn key(index: u64) -> [u8; 9] {
    let mut key = [ENTRY; 9];
    key[1..].copy_from_slice(&index.to_be_bytes());
    key
}

fn term(position: Option<&pb::LogId>) -> u64 {
    position.map(|position| position.term).unwrap_or_default()
}

fn position(value: &[u8]) -> u64 {
    pb::LogId::decode(value).map(|position| position.index).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(entries: &[(u64, u64)]) -> Batch {
        let mut batch = Batch::new();
        for (index, term) in entries {
            let log_id = Some(pb::LogId { term: *term, index: *index });
            batch.put(key(*index), pb::Entry { log_id, payload: None }.encode_to_vec());
        }
        batch
    }

    fn hint(name: &[u8], index: u64, term: u64) -> Batch {
        let mut batch = Batch::new();
        batch.put(name, pb::LogId { term, index }.encode_to_vec());
        batch
    }

    fn without(from: u64, to: u64) -> Batch {
        let mut batch = Batch::new();
        batch.delete_range(key(from), key(to));
        batch
    }

    /// What is wrong after nodes have written these batches.
    fn seen(written: &[(&str, Batch)]) -> Option<String> {
        let chronicle = Chronicle::default();
        let logs = Logs::new(chronicle.clone());
        let mut nodes = BTreeMap::<&str, Log>::new();
        for (node, batch) in written {
            logs.observe(node, nodes.entry(node).or_default(), batch);
        }
        chronicle.violation().map(|violation| violation.evidence)
    }

    #[test]
    fn logs_that_differ_only_where_nothing_is_committed_are_well() {
        let history = [
            ("a", entries(&[(1, 1), (2, 1), (3, 1)])),
            ("b", entries(&[(1, 1), (2, 1)])),
            ("a", hint(COMMITTED, 2, 1)),
            ("b", entries(&[(3, 2)])),
            ("a", without(3, u64::MAX)),
            ("a", entries(&[(3, 2)])),
            ("a", hint(COMMITTED, 3, 2)),
            ("a", hint(PURGED, 2, 1)),
            ("a", without(1, 3)),
        ];
        assert_eq!(seen(&history), None);
    }

    #[test]
    fn an_entry_that_is_another_one_elsewhere_is_found() {
        let mut other = Batch::new();
        let log_id = Some(pb::LogId { term: 1, index: 1 });
        let payload = Some(pb::entry::Payload::Blank(pb::Blank {}));
        other.put(key(1), pb::Entry { log_id, payload }.encode_to_vec());
        let history = [("a", entries(&[(1, 1)])), ("b", other)];
        assert!(seen(&history).is_some_and(|found| found.contains("another one")));
    }

    #[test]
    fn an_entry_after_another_one_than_elsewhere_is_found() {
        let history = [("a", entries(&[(1, 1), (2, 3)])), ("b", entries(&[(1, 2), (2, 3)]))];
        assert!(seen(&history).is_some_and(|found| found.contains("comes after one of term 2")));
    }

    #[test]
    fn an_entry_in_the_place_of_a_committed_one_is_found() {
        let committed =
            [("a", entries(&[(1, 1)])), ("a", hint(COMMITTED, 1, 1)), ("b", entries(&[(1, 2)]))];
        assert!(seen(&committed).is_some_and(|found| found.contains("is committed")));
    }

    #[test]
    fn a_leader_of_an_earlier_term_may_have_another_entry_for_a_while() {
        let history = [
            ("a", entries(&[(1, 1)])),
            ("b", entries(&[(1, 1), (2, 3)])),
            ("a", hint(COMMITTED, 1, 1)),
            ("c", entries(&[(1, 2)])),
        ];
        assert_eq!(seen(&history), None);
    }

    #[test]
    fn two_entries_that_are_both_committed_are_found() {
        let history = [
            ("a", entries(&[(1, 1)])),
            ("b", entries(&[(1, 2)])),
            ("a", hint(COMMITTED, 1, 1)),
            ("b", hint(COMMITTED, 1, 2)),
        ];
        assert!(seen(&history).is_some_and(|found| found.contains("in term 1 elsewhere")));
    }

    #[test]
    fn a_committed_entry_that_is_taken_out_is_found() {
        let history = [
            ("a", entries(&[(1, 1), (2, 1)])),
            ("a", hint(COMMITTED, 2, 1)),
            ("a", without(2, u64::MAX)),
        ];
        assert!(seen(&history).is_some_and(|found| found.contains("taken out")));
    }
}
