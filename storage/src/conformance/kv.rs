//! The promises of [`Kv`] and [`KvRead`].

use std::ops::ControlFlow;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use bytes::Bytes;

use crate::kv::{Batch, Kv, KvRead, Space};

/// Both spaces; what holds in one must hold in the other.
const SPACES: [Space; 2] = [Space::Log, Space::Catalog];

/// How long a sync may take on a busy machine before it counts as never answered.
const SYNC_DEADLINE: Duration = Duration::from_secs(30);

/// Checks all that holds while a store is open. Each call of `fresh` gives a new, empty store.
///
/// # Panics
/// When the engine breaks a promise.
pub fn all<K: Kv>(fresh: impl Fn() -> K) {
    a_written_key_is_read_until_it_is_deleted(&fresh());
    spaces_do_not_share_keys(&fresh());
    a_batch_happens_in_order(&fresh());
    an_empty_batch_changes_nothing(&fresh());
    keys_and_values_hold_any_bytes(&fresh());
    a_scan_visits_its_range_in_order(&fresh());
    a_scan_ends_where_the_visitor_breaks(&fresh());
    a_visitor_may_read_and_write(&fresh());
    the_last_pair_lies_within_the_range(&fresh());
    a_range_is_deleted_from_its_first_key_to_before_its_end(&fresh());
    a_frozen_view_shows_no_later_write(&fresh());
    a_frozen_view_outlives_its_store(fresh());
    readers_see_all_of_a_batch_or_nothing(&fresh());
    syncs_are_answered_in_order(&fresh());
    a_sync_may_ask_for_the_next(fresh());
    dropping_the_store_answers_every_sync(fresh());
}

/// Checks what a store keeps when it is dropped and opened again. Each call of `open` opens the
/// same store, which is empty at first.
///
/// # Panics
/// When the engine breaks a promise.
pub fn reopening<K: Kv>(open: impl Fn() -> K) {
    for round in 0..3_u8 {
        let store = open();
        for earlier in 0..round {
            for space in SPACES {
                assert_eq!(value(&store, space, &[earlier]), Some(vec![earlier; 100]));
            }
            let removed = value(&store, Space::Log, &[earlier, 0]);
            assert_eq!(removed, None, "a deleted key came back");
        }
        write(&store, Space::Log, |batch| batch.put([round, 0], "to be deleted"));
        for space in SPACES {
            write(&store, space, |batch| batch.put([round], [round; 100]));
        }
        write(&store, Space::Log, |batch| batch.delete_range([round, 0], [round, 1]));
        synced(&store);
        store.flush().expect("flushes");
    }
}

/// Checks what a store keeps when the machine crashes. `fresh` gives a new, empty store, and
/// `crash` the store as it is found after a crash at this moment, which lost as much as the engine
/// may lose.
///
/// # Panics
/// When the engine breaks a promise.
pub fn crashing<K: Kv>(fresh: impl Fn() -> K, crash: impl Fn(K) -> K) {
    // Which of the writes to the log and to the catalog are followed by a sync or a flush.
    for (sync_at, flush_at) in [(None, None), (Some(3), None), (None, Some(5)), (Some(6), Some(2))]
    {
        let store = fresh();
        for number in 0..10_u8 {
            write(&store, Space::Log, |batch| batch.put([number], [number; 100]));
            if sync_at == Some(number) {
                synced(&store);
            }
            write(&store, Space::Catalog, |batch| batch.put([number], [number; 100]));
            if flush_at == Some(number) {
                store.flush().expect("flushes");
            }
        }
        let store = crash(store);
        let [log, catalog] = SPACES.map(|space| kept(&store, space));
        let first = |last: Option<u8>| last.map_or(0, |last| usize::from(last) + 1);
        assert!(log >= first(sync_at), "the log lost what was synced");
        assert!(catalog >= first(flush_at), "the catalog lost what was flushed");
        assert!(log >= catalog, "of {catalog} durable batches, the log has only {log}");
    }
}

/// How many batches there are of those that [`crashing`] writes, checked to be the first.
fn kept(store: &impl Kv, space: Space) -> usize {
    let keys: Vec<u8> = pairs(store, space, &[0], &[100]).iter().map(|(key, _)| key[0]).collect();
    assert!(
        keys.iter().zip(0..).all(|(key, place)| *key == place),
        "{space:?} has a gap: {keys:?}"
    );
    keys.len()
}

/// A key has the value that was written last, and none once it is deleted.
pub fn a_written_key_is_read_until_it_is_deleted(store: &impl Kv) {
    for space in SPACES {
        assert_eq!(value(store, space, b"k"), None);
        write(store, space, |batch| batch.put("k", "one"));
        assert_eq!(value(store, space, b"k"), Some(b"one".to_vec()));
        write(store, space, |batch| batch.put("k", "two"));
        assert_eq!(value(store, space, b"k"), Some(b"two".to_vec()));
        write(store, space, |batch| batch.delete("k"));
        assert_eq!(value(store, space, b"k"), None);
        write(store, space, |batch| batch.delete("k"));
    }
}

/// A key in one space says nothing of the same key in the other.
pub fn spaces_do_not_share_keys(store: &impl Kv) {
    write(store, Space::Log, |batch| batch.put("k", "log"));
    assert_eq!(value(store, Space::Catalog, b"k"), None);
    write(store, Space::Catalog, |batch| batch.put("k", "catalog"));
    write(store, Space::Log, |batch| batch.delete_range("", "z"));
    assert_eq!(value(store, Space::Log, b"k"), None);
    assert_eq!(value(store, Space::Catalog, b"k"), Some(b"catalog".to_vec()));
}

/// Of writes to one key within a batch, the last counts.
pub fn a_batch_happens_in_order(store: &impl Kv) {
    for space in SPACES {
        write(store, space, |batch| {
            batch.put("a", "1");
            batch.delete("a");
            batch.put("b", "1");
            batch.put("c", "1");
            batch.delete_range("b", "d");
            batch.put("c", "2");
            batch.put("d", "1");
            batch.put("d", "2");
        });
        assert_eq!(pairs(store, space, b"", b"z"), [pair("c", "2"), pair("d", "2")]);
    }
}

/// A batch without writes is accepted.
pub fn an_empty_batch_changes_nothing(store: &impl Kv) {
    for space in SPACES {
        write(store, space, |_| {});
        assert_eq!(pairs(store, space, b"", &[0xff]), []);
    }
}

/// Keys and values may hold zeros and 0xff, values may be empty or large.
pub fn keys_and_values_hold_any_bytes(store: &impl Kv) {
    let large = vec![0xa5_u8; 5 * 1024 * 1024];
    for space in SPACES {
        write(store, space, |batch| {
            batch.put([0], []);
            batch.put([0, 0], [0]);
            batch.put([0xff, 0xff], large.clone());
        });
        assert_eq!(value(store, space, &[0]), Some(vec![]));
        assert_eq!(value(store, space, &[0, 0]), Some(vec![0]));
        assert_eq!(value(store, space, &[0xff, 0xff]), Some(large.clone()));
    }
}

/// A scan visits `from <= key < to`, ordered bytewise, longer keys after their prefixes.
pub fn a_scan_visits_its_range_in_order(store: &impl Kv) {
    for space in SPACES {
        for key in ["b", "a", "ba", "c", "aa", "d"] {
            write(store, space, |batch| batch.put(key, key.to_uppercase()));
        }
        let expected = [pair("aa", "AA"), pair("b", "B"), pair("ba", "BA")];
        assert_eq!(pairs(store, space, b"aa", b"c"), expected);
        assert_eq!(pairs(store, space, b"aaa", b"bz"), expected[1..]);
        assert_eq!(pairs(store, space, b"", &[0xff]).len(), 6);
        assert_eq!(pairs(store, space, b"e", b"z"), []);
        assert_eq!(pairs(store, space, b"b", b"b"), []);
        assert_eq!(pairs(store, space, b"c", b"a"), []);
    }
}

/// A scan stops at the pair at which the visitor breaks.
pub fn a_scan_ends_where_the_visitor_breaks(store: &impl Kv) {
    for space in SPACES {
        write(store, space, |batch| (0..10_u8).for_each(|key| batch.put([key], [key])));
        let mut seen = Vec::new();
        let scan = store.scan(space, &[2], &[9], &mut |key, _| {
            seen.extend_from_slice(key);
            if key == [4] { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert_eq!((scan, seen), (Ok(()), vec![2, 3, 4]));
    }
}

/// A visitor may use the store that it visits; the scan goes on as if it had not.
pub fn a_visitor_may_read_and_write(store: &impl Kv) {
    for space in SPACES {
        write(store, space, |batch| (0..5_u8).for_each(|key| batch.put([key], [key])));
        let mut visited = 0;
        let scan = store.scan(space, &[0], &[100], &mut |key, _| {
            visited += 1;
            assert!(value(store, space, key).is_some());
            write(store, space, |batch| {
                batch.delete(key);
                batch.put([key[0] + 10], "later");
            });
            ControlFlow::Continue(())
        });
        assert_eq!((scan, visited), (Ok(()), 5));
        assert_eq!(pairs(store, space, &[0], &[10]), []);
    }
}

/// The last pair of a range is the greatest before its end, wherever the range begins and ends.
pub fn the_last_pair_lies_within_the_range(store: &impl Kv) {
    for space in SPACES {
        let last = |from: &[u8], to: &[u8]| {
            store
                .last(space, from, to)
                .unwrap()
                .map(|(key, _)| String::from_utf8_lossy(&key).into())
        };
        assert_eq!(last(b"", b"z"), None::<String>);
        write(store, space, |batch| ["a", "c", "ca"].iter().for_each(|key| batch.put(*key, "v")));
        assert_eq!(last(b"", b"z").as_deref(), Some("ca"));
        assert_eq!(last(b"", b"ca").as_deref(), Some("c"));
        assert_eq!(last(b"a", b"b").as_deref(), Some("a"));
        assert_eq!(last(b"b", b"c"), None);
        assert_eq!(last(b"c", b"c"), None);
        assert_eq!(last(b"z", b"a"), None);
        write(store, space, |batch| batch.delete("ca"));
        assert_eq!(last(b"", b"z").as_deref(), Some("c"));
        let whole = store.last(space, b"", b"z").unwrap();
        assert_eq!(whole, Some((Bytes::from("c"), Bytes::from("v"))));
    }
}

/// A deleted range takes its first key with it, and leaves its end.
pub fn a_range_is_deleted_from_its_first_key_to_before_its_end(store: &impl Kv) {
    for space in SPACES {
        write(store, space, |batch| (0..10_u8).for_each(|key| batch.put([key], [key])));
        write(store, space, |batch| batch.delete_range([3], [6]));
        let left: Vec<u8> =
            pairs(store, space, &[0], &[99]).iter().map(|(key, _)| key[0]).collect();
        assert_eq!(left, [0, 1, 2, 6, 7, 8, 9]);
        write(store, space, |batch| {
            batch.delete_range([6], [6]);
            batch.delete_range([8], [1]);
            batch.put([4], "again");
        });
        let left: Vec<u8> =
            pairs(store, space, &[0], &[99]).iter().map(|(key, _)| key[0]).collect();
        assert_eq!(left, [0, 1, 2, 4, 6, 7, 8, 9]);
        assert_eq!(value(store, space, &[4]), Some(b"again".to_vec()));
    }
}

/// A view shows what was there when it was frozen, through every way of reading.
pub fn a_frozen_view_shows_no_later_write(store: &impl Kv) {
    for space in SPACES {
        write(store, space, |batch| batch.put("a", "1"));
        let first = store.freeze();
        write(store, space, |batch| {
            batch.put("a", "2");
            batch.put("b", "2");
        });
        let second = store.freeze();
        write(store, space, |batch| batch.delete_range("", "z"));
        store.flush().expect("flushes");
        assert_eq!(pairs(&*first, space, b"", b"z"), [pair("a", "1")]);
        assert_eq!(pairs(&*second, space, b"", b"z"), [pair("a", "2"), pair("b", "2")]);
        assert_eq!(pairs(store, space, b"", b"z"), []);
        assert_eq!(value(&*first, space, b"b"), None);
        assert_eq!(value(&*second, space, b"b"), Some(b"2".to_vec()));
        let last = first.last(space, b"", b"z").unwrap();
        assert_eq!(last, Some((Bytes::from("a"), Bytes::from("1"))));
    }
}

/// A view can be read after its store was dropped, on another thread.
#[expect(clippy::disallowed_methods, reason = "threads are what this is about")]
pub fn a_frozen_view_outlives_its_store(store: impl Kv) {
    write(&store, Space::Catalog, |batch| batch.put("a", "1"));
    let view = store.freeze();
    drop(store);
    let read = thread::spawn(move || value(&*view, Space::Catalog, b"a"));
    assert_eq!(read.join().unwrap(), Some(b"1".to_vec()));
}

/// Readers beside a writer never see half a batch.
pub fn readers_see_all_of_a_batch_or_nothing(store: &impl Kv) {
    for space in SPACES {
        thread::scope(|scope| {
            scope.spawn(|| {
                for round in 0..500_u32 {
                    write(store, space, |batch| {
                        batch.put("a", round.to_be_bytes());
                        batch.put("b", round.to_be_bytes());
                    });
                }
            });
            scope.spawn(|| {
                for _ in 0..500 {
                    let seen = pairs(store, space, b"a", b"c");
                    assert!(seen.is_empty() || (seen.len() == 2 && seen[0].1 == seen[1].1));
                }
            });
        });
    }
}

/// Syncs are answered once each, in the order in which they were asked for.
pub fn syncs_are_answered_in_order(store: &impl Kv) {
    let (answers, answered) = channel();
    for number in 0..100_u8 {
        write(store, Space::Log, |batch| batch.put([number], [number]));
        let answers: Sender<u8> = answers.clone();
        store.sync(Box::new(move |result| {
            assert_eq!(result, Ok(()));
            answers.send(number).unwrap();
        }));
    }
    drop(answers);
    for number in 0..100 {
        assert_eq!(answered.recv_timeout(SYNC_DEADLINE), Ok(number));
    }
    assert_eq!(answered.recv_timeout(SYNC_DEADLINE), Err(RecvTimeoutError::Disconnected));
}

/// The answer to a sync may use the store, be it to sync again.
pub fn a_sync_may_ask_for_the_next(store: impl Kv) {
    let store = std::sync::Arc::new(store);
    let (answers, answered) = channel();
    let inner = std::sync::Arc::clone(&store);
    store.sync(Box::new(move |_| {
        write(&*inner, Space::Log, |batch| batch.put("k", "v"));
        inner.sync(Box::new(move |result| answers.send(result).unwrap()));
    }));
    drop(store);
    assert_eq!(answered.recv_timeout(SYNC_DEADLINE), Ok(Ok(())));
}

/// No sync is forgotten when the store is dropped.
pub fn dropping_the_store_answers_every_sync(store: impl Kv) {
    let (answers, answered) = channel();
    for number in 0..20_u8 {
        write(&store, Space::Log, |batch| batch.put([number], [number]));
        let answers = answers.clone();
        store.sync(Box::new(move |result| answers.send(result).unwrap()));
    }
    drop(store);
    assert_eq!(answered.try_iter().collect::<Vec<_>>(), vec![Ok(()); 20]);
}

/// Writes a batch that `fill` fills.
fn write(store: &impl Kv, space: Space, fill: impl FnOnce(&mut Batch)) {
    let mut batch = Batch::new();
    fill(&mut batch);
    store.write(space, batch).expect("writes");
}

/// Waits until the log is durable.
fn synced(store: &impl Kv) {
    let (answer, answered) = channel();
    store.sync(Box::new(move |result| answer.send(result).unwrap()));
    assert_eq!(answered.recv_timeout(SYNC_DEADLINE), Ok(Ok(())));
}

fn value(store: &(impl KvRead + ?Sized), space: Space, key: &[u8]) -> Option<Vec<u8>> {
    store.get(space, key).expect("reads").map(Vec::from)
}

fn pairs(
    store: &(impl KvRead + ?Sized),
    space: Space,
    from: &[u8],
    to: &[u8],
) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut pairs = Vec::new();
    let scan = store.scan(space, from, to, &mut |key, value| {
        pairs.push((key.to_vec(), value.to_vec()));
        ControlFlow::Continue(())
    });
    scan.expect("scans");
    pairs
}

fn pair(key: &str, value: &str) -> (Vec<u8>, Vec<u8>) {
    (key.into(), value.into())
}
