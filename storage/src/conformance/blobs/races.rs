//! Several appends at once, through two handles.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _, future, stream};
use tokio::sync::Barrier;

use super::trial::{Trial, body, content};
use crate::blob::{Blobs, BlobsError, Position};

/// Lengths of the frames that racers send: of which they make chunks that are kept aside until they
/// are more, and such that are sent in parts.
const FRAME_BYTES: [usize; 2] = [1000, 1_100_000];

/// What a store promises of appends to one upload through several nodes at the same moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Races {
    /// Exactly one succeeds.
    OneWins,
    /// At least one does, and the last counts.
    LastCounts,
}

pub(super) async fn all(one: &dyn Blobs, other: &dyn Blobs, races: Races) {
    for frame in FRAME_BYTES {
        of_racing_appends_one_counts(one, one, Races::OneWins, frame).await;
        of_racing_appends_one_counts(one, other, races, frame).await;
    }
    appends_racing_with_the_end_leave_nothing(one, other, races).await;
}

/// Of several appends at one position one counts: its bytes alone are there, whole, and the others
/// learn where the upload ends or that its bytes are others.
async fn of_racing_appends_one_counts(
    one: &dyn Blobs,
    other: &dyn Blobs,
    races: Races,
    frame: usize,
) {
    let mut upload = Trial::new(one);
    for _ in 0..5 {
        // Each racer's body ends only when all have begun, so that none is refused for coming late.
        let begun = Arc::new(Barrier::new(8));
        let racers = (1..=8_u8).map(|racer| {
            let begun = Arc::clone(&begun);
            let frames = stream::iter(0..racer)
                .map(move |_| Ok(Bytes::from(vec![racer; frame])))
                .chain(stream::once(async move {
                    begun.wait().await;
                    Ok(Bytes::new())
                }));
            let through = if racer % 2 == 0 { one } else { other };
            let append = through.append(upload.key, upload.at, frames.boxed());
            append.map(move |outcome| (racer, outcome))
        });
        let outcomes = future::join_all(racers).await;
        let start = upload.at.extent;
        upload.at = one.position(upload.key).await.unwrap();
        let mut winners = 0;
        let mut counts = None;
        for (racer, outcome) in &outcomes {
            match outcome {
                Ok(position) => {
                    winners += 1;
                    assert_eq!(position.extent, start + u64::from(*racer) * frame as u64);
                    if *position == upload.at {
                        counts = Some(*racer);
                    }
                }
                Err(BlobsError::Offset { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        assert!(winners == 1 || races == Races::LastCounts && winners > 1, "{outcomes:?}");
        let winner = counts.expect("what counts was acknowledged");
        let object = upload.seal().await;
        let added = content(one, object, start..upload.at.extent).await;
        assert!(added.iter().all(|byte| *byte == winner), "bytes are mixed");
        for (racer, outcome) in outcomes {
            if let Ok(lost) = outcome
                && racer != winner
            {
                let refused = other.append(upload.key, lost, body(&["x"])).await;
                assert!(matches!(refused, Err(BlobsError::Offset { .. })), "{refused:?}");
            }
        }
    }
    one.abandon(upload.key).await.unwrap();
}

/// When an upload is abandoned while parts are added, abandoning it again finds all that is left:
/// the upload either starts with its first byte or is not there. Where the last append counts, one
/// that was under way brings the upload back; a caller who abandons it goes on until none is.
async fn appends_racing_with_the_end_leave_nothing(
    one: &dyn Blobs,
    other: &dyn Blobs,
    races: Races,
) {
    for _ in 0..50 {
        let mut upload = Trial::new(one);
        upload.add(&["abc"]).await;
        let (key, start) = (upload.key, upload.at);
        let has_ended = AtomicBool::new(false);
        let appending = async {
            let mut at = start;
            while let Ok(end) = one.append(key, at, body(&["def"])).await {
                at = end;
                // Engines that need not wait would never let the end begin.
                tokio::task::yield_now().await;
            }
            has_ended.store(true, Ordering::Relaxed);
            at.extent
        };
        let abandoning = async {
            tokio::task::yield_now().await;
            other.abandon(key).await.unwrap();
            // An append may have brought it back, any number of times.
            while races == Races::LastCounts && !has_ended.load(Ordering::Relaxed) {
                other.abandon(key).await.unwrap();
            }
        };
        let (reached, ()) = future::join(appending, abandoning).await;
        other.abandon(key).await.unwrap();
        assert_eq!(one.position(key).await.unwrap(), Position::START);
        // Were a part left behind, it would show once there is a way to it.
        one.append(key, Position::START, body(&["xyz"])).await.unwrap();
        let extent = other.position(key).await.unwrap().extent;
        assert_eq!(extent, 3, "after {reached} bytes");
        other.abandon(key).await.unwrap();
    }
}
