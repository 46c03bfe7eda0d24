//! A simulated S3: a host in the network that speaks S3 over HTTP, to which every node talks with
//! the client that it has in production.
//!
//! ```text
//! storage::S3Blobs -> Amazon's client -> Transport --network--> host (what goes wrong)
//!                                                                 -> s3s -> service -> Bucket
//! ```
//!
//! What it holds outlives its connections, and is looked at from outside when all is swept.

mod bucket;
mod faults;
mod host;
mod left;
mod service;
mod transport;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use proto::ObjectKey;
use storage::blob::{S3Blobs, S3Credentials, S3OpenError, S3Settings};
use turmoil::Sim;

use self::bucket::{Bucket, Moment};
use self::faults::Mood;
use self::transport::Transport;
use super::chronicle::Chronicle;
use super::dice::Dice;
use super::havoc::Conditions;
use super::rot::Rot;
use super::world::EPOCH_MILLIS;

/// The name of the host.
const HOST: &str = "s3";
/// Where it listens.
const PORT: u16 = 9000;
const BUCKET: &str = "images";
/// The longest that a message travels between a node and the store.
const LATENCY: Duration = Duration::from_millis(3);
/// As what it is counted that a byte was another in a part of an object that was read.
pub(crate) const RANGE_CHANGED: &str = "S3: ranges with another byte";
const ACCESS_KEY: &str = "roadstead";
const SECRET_KEY: &str = "simulated-secret";

/// The store. Clones are the same one.
#[derive(Clone)]
pub(crate) struct SimS3 {
    bucket: Arc<Mutex<Bucket>>,
    mood: Arc<Mutex<Mood>>,
    chronicle: Chronicle,
}

/// Puts the store into the network, near the nodes. Nothing gets lost between them: turmoil's TCP
/// sends nothing twice, and what a real one makes of a loss is a request that takes longer, or a
/// connection that ends, which happen here without.
pub(crate) fn connect(sim: &mut Sim<'_>, store: &SimS3, nodes: Vec<String>) {
    let store = store.clone();
    sim.host(HOST, move || store.clone().serve());
    for node in nodes {
        sim.set_link_fail_rate(node.as_str(), HOST, 0.0);
        sim.set_link_max_message_latency(node.as_str(), HOST, LATENCY);
    }
}

impl SimS3 {
    pub(crate) fn new(dice: Dice, chronicle: Chronicle) -> Self {
        let (bucket, mood) = (Arc::default(), Arc::new(Mutex::new(Mood::new(dice))));
        Self { bucket, mood, chronicle }
    }

    /// Opens the store for a node that starts.
    ///
    /// # Errors
    /// See [`S3Blobs::open`].
    pub(crate) async fn open(&self) -> Result<S3Blobs, S3OpenError> {
        let settings = S3Settings {
            endpoint: Some(format!("http://{HOST}:{PORT}")),
            region: Some("simulated".to_owned()),
            path_style: true,
            credentials: Some(S3Credentials {
                access_key: ACCESS_KEY.to_owned(),
                secret_key: SECRET_KEY.to_owned(),
            }),
            ..S3Settings::new(BUCKET)
        };
        S3Blobs::open_through(&settings, Transport::default()).await
    }

    /// Makes the store as wrong as `wanted` says.
    pub(crate) fn apply(&self, wanted: &Conditions) {
        let mut mood = self.mood();
        mood.set_away(wanted.is_store_away);
        mood.is_denied = wanted.is_store_denied;
        mood.has_denied |= mood.is_denied;
        mood.fails_one_in = wanted.store_fails.unwrap_or(0);
        mood.slow = wanted.store_takes;
        mood.lists_late = wanted.store_lists_late.unwrap_or(0);
    }

    /// Whether it has ever refused all nodes.
    pub(crate) fn has_denied(&self) -> bool {
        self.mood().has_denied
    }

    /// From now on nothing is wrong, and what was late comes at once.
    pub(crate) fn end(&self) {
        self.mood().is_over = true;
    }

    /// Leaves what `rot` leaves of each object that has one of these `contents`, and no object
    /// where that is nothing. Answers how many those were.
    pub(crate) fn damage(&self, contents: &[Bytes], rot: Rot) -> usize {
        let mut bucket = self.bucket();
        let is_meant = |bytes: &Bytes| contents.contains(bytes);
        let objects = bucket.objects().filter(|(_, object)| is_meant(&object.bytes));
        let names: Vec<String> = objects.map(|(name, _)| name.to_owned()).collect();
        for name in &names {
            bucket.damage(name, rot, self.now());
        }
        names.len()
    }

    /// Has an object rot, one of those that `is_named` says a blob has. Answers what it held, and
    /// what became of it.
    pub(crate) fn rot(
        &self,
        dice: &mut Dice,
        is_named: impl Fn(ObjectKey) -> bool,
    ) -> Option<(Bytes, Rot)> {
        let mut bucket = self.bucket();
        let mut names: Vec<String> =
            left::blobs(&bucket, is_named).map(ToOwned::to_owned).collect();
        names.retain(|name| !bucket.is_rotten(name));
        let name = (!names.is_empty()).then(|| dice.pick(&names))?;
        let content = bucket.get(name).ok()?.bytes.clone();
        let rot = Rot::any(dice, content.len())?;
        bucket.rot(name, rot);
        Some((content, rot))
    }

    /// Gives everything back as it was written.
    pub(crate) fn mend(&self) {
        self.bucket().mend();
    }

    fn bucket(&self) -> MutexGuard<'_, Bucket> {
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn mood(&self) -> MutexGuard<'_, Mood> {
        self.mood.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, what: &'static str) {
        self.chronicle.count(what);
    }

    /// The time by the store's clock.
    #[expect(clippy::unused_self, reason = "the clock is the store's")]
    fn now(&self) -> Moment {
        Duration::from_millis(EPOCH_MILLIS) + turmoil::sim_elapsed().unwrap_or_default()
    }

    /// The time as of which the next list is.
    fn listed_at(&self) -> Moment {
        let lateness = self.mood().lateness();
        if lateness > Duration::ZERO {
            self.count("S3: late lists");
        }
        self.now().saturating_sub(lateness)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use std::collections::BTreeMap;

    use futures::future::join;
    use futures::{TryStreamExt as _, stream};
    use storage::blob::Position;
    use storage::conformance::blobs::{self, Races};
    use storage::{Blobs as _, ByteStream};
    use tokio::time::{sleep, timeout};

    use super::*;
    use crate::image::layer;

    /// Has a node do `work` with the store, while that is as `wrong` as said.
    fn with_store<W>(wrong: Conditions, work: impl FnOnce(SimS3) -> W) -> Chronicle
    where
        W: Future<Output = turmoil::Result> + 'static,
    {
        let mut sim = turmoil::Builder::new()
            .rng_seed(1)
            .simulation_duration(Duration::from_secs(3600))
            .min_message_latency(Duration::from_millis(1))
            .max_message_latency(LATENCY)
            .tcp_capacity(1024)
            .build();
        let chronicle = Chronicle::default();
        let store = SimS3::new(Dice::new(1, "test"), chronicle.clone());
        sim.client("node", work(store.clone()));
        connect(&mut sim, &store, vec!["node".to_owned()]);
        store.apply(&wrong);
        sim.run().unwrap();
        chronicle
    }

    // All that one node asks of a store is not tried here: s3s takes no range that ends beyond the
    // largest signed number, which `a_range_beyond_the_end_is_missing` asks for.
    #[test]
    fn two_nodes_share_it_and_of_appends_that_race_one_wins() {
        with_store(Conditions::default(), |store| async move {
            let (one, other) = (store.open().await?, store.open().await?);
            blobs::shared(&one, &other, Races::OneWins).await;
            Ok(())
        });
    }

    fn body(content: &Bytes) -> ByteStream {
        Box::pin(stream::iter([Ok(content.clone())]))
    }

    async fn open(store: &SimS3) -> S3Blobs {
        loop {
            if let Ok(blobs) = store.open().await {
                return blobs;
            }
        }
    }

    /// Ends an upload as soon as it has more than `before`: it becomes an object, which is a blob
    /// then.
    async fn end(blobs: &S3Blobs, upload: ObjectKey, before: Position) -> ObjectKey {
        loop {
            sleep(Duration::from_millis(1)).await;
            let Ok(at) = blobs.position(upload).await else { continue };
            if at != before
                && let Ok(object) = blobs.seal(upload, at).await
            {
                // It is a blob, whether or not all else that was the upload's goes.
                let _ = blobs.settle(upload, object, object).await;
                return object;
            }
        }
    }

    #[test]
    fn bytes_that_became_a_blob_stay_although_whoever_sent_them_was_not_told() {
        let wrong = Conditions { store_fails: Some(4), ..Conditions::default() };
        with_store(wrong, |store| async move {
            let (one, other) = (open(&store).await, open(&store).await);
            let mut blobs = BTreeMap::new();
            for number in 0..100 {
                let upload = ObjectKey::from_random(u128::from(number));
                let content = layer(number, 3000);
                let (head, rest) = (content.slice(..1000), content.slice(1000..));
                let Ok(at) = one.append(upload, Position::START, body(&head)).await else {
                    continue;
                };
                let ending = timeout(Duration::from_secs(10), end(&other, upload, at));
                let appending = one.append(upload, at, body(&rest));
                if let (_, Ok(object)) = join(appending, ending).await {
                    blobs.insert(object, content);
                }
            }
            assert!(blobs.len() > 50, "{} of 100", blobs.len());
            store.apply(&Conditions::default());
            for (object, content) in blobs {
                let bytes = other.read(object, 0..3000).await?;
                assert!(bytes.try_collect::<Vec<_>>().await?.concat() == content);
            }
            Ok(())
        });
    }

    #[test]
    fn what_was_written_is_read_as_it_was_but_for_a_byte_whatever_goes_wrong() {
        let wrong = Conditions { store_fails: Some(4), ..Conditions::default() };
        let chronicle = with_store(wrong, |store| async move {
            let blobs = open(&store).await;
            let mut written = BTreeMap::new();
            for number in 0..60 {
                let content = layer(number, 3000);
                let upload = ObjectKey::from_random(u128::from(number));
                if let Ok((object, extent)) = blobs.put(upload, body(&content)).await {
                    assert_eq!(extent, 3000);
                    written.insert(object, content);
                }
            }
            assert!(written.len() > 30, "{} of 60", written.len());
            for (object, content) in written {
                let mut changed = 0;
                for _ in 0..3 {
                    let Ok(bytes) = blobs.read(object, 0..3000).await else { continue };
                    let read = bytes.try_collect::<Vec<_>>().await?.concat();
                    assert_eq!(read.len(), content.len());
                    changed += usize::from(read != content);
                }
                // That a part of it came with another byte, a reader of all of it finds out.
                assert!(changed <= 1, "{object} has changed");
            }
            Ok(())
        });
        for what in [
            "S3: answers lost",
            "S3: bodies broken off",
            "S3: requests that came late",
            RANGE_CHANGED,
        ] {
            assert!(chronicle.times(what) > 0, "{what}: {:?}", chronicle.coverage());
        }
    }
}
