//! Finding what may be needed by nobody.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::TryStreamExt as _;
use proto::ObjectKey;

use super::trial::{Trial, body, content, fresh_key};
use crate::blob::{Blobs, Stale};

/// An age that nothing has here.
const LONG: Duration = Duration::from_secs(60 * 60);

/// Bytes that no engine puts together with what follows them.
const LARGE: usize = 6 * 1024 * 1024;

pub(super) async fn all(blobs: &dyn Blobs) {
    what_rests_is_found_until_it_is_removed(blobs).await;
    a_piece_of_something_is_not_found(blobs).await;
    what_was_sealed_of_an_upload_before_goes_and_harms_nothing(blobs).await;
    an_object_that_others_were_made_of_stays(blobs).await;
}

/// What was just written is not found; what rests is, until it is abandoned or deleted.
async fn what_rests_is_found_until_it_is_removed(blobs: &dyn Blobs) {
    let before = resting(blobs).await;
    let mut upload = Trial::new(blobs);
    upload.add(&["abc"]).await;
    upload.add(&["def"]).await;
    let (object, _) = blobs.put(fresh_key(), body(&["abc"])).await.unwrap();
    let mut found = &resting(blobs).await - &before;
    assert!(stale(blobs, LONG).await.is_disjoint(&found), "all of it is new");
    assert!(found.remove(&Stale::Object(object)), "{found:?}");
    assert_eq!(keys(&found), [upload.key]);
    blobs.abandon(upload.key).await.unwrap();
    assert_eq!(&resting(blobs).await - &before, BTreeSet::from([Stale::Object(object)]));
    blobs.delete(object).await.unwrap();
    assert_eq!(resting(blobs).await, before);
}

/// While an upload is open it stands for all its bytes, and what it was sealed as does once it is
/// settled. When that is deleted, nothing is left in the end.
async fn a_piece_of_something_is_not_found(blobs: &dyn Blobs) {
    let before = resting(blobs).await;
    let mut upload = Trial::new(blobs);
    for part in [LARGE, 3, 4, LARGE] {
        upload.add(&[&"x".repeat(part)]).await;
        assert_eq!(keys(&(&resting(blobs).await - &before)), [upload.key]);
    }
    let object = upload.seal().await;
    assert_eq!(keys(&(&resting(blobs).await - &before)), [upload.key]);
    blobs.settle(upload.key, object, object).await.unwrap();
    assert_eq!(&resting(blobs).await - &before, BTreeSet::from([Stale::Object(object)]));
    blobs.delete(object).await.unwrap();
    remove(blobs, &before, None).await;
}

/// An upload may be sealed more than once, and only what was linked of it is needed: that has its
/// bytes when all else is gone.
async fn what_was_sealed_of_an_upload_before_goes_and_harms_nothing(blobs: &dyn Blobs) {
    let before = resting(blobs).await;
    let mut upload = Trial::new(blobs);
    for part in [LARGE, LARGE, LARGE, 3] {
        upload.add(&[&"x".repeat(part)]).await;
        upload.seal().await;
    }
    let (kept, end) = (upload.seal().await, upload.at.extent);
    blobs.settle(upload.key, kept, kept).await.unwrap();
    remove(blobs, &before, Some(kept)).await;
    assert_eq!(content(blobs, kept, 0..end).await.len() as u64, end);
    blobs.delete(kept).await.unwrap();
    remove(blobs, &before, None).await;
}

/// What was linked of an upload that went on stays, also when later states of it were sealed.
async fn an_object_that_others_were_made_of_stays(blobs: &dyn Blobs) {
    let before = resting(blobs).await;
    let mut upload = Trial::new(blobs);
    upload.add(&[&"x".repeat(LARGE)]).await;
    let (kept, end) = (upload.seal().await, upload.at.extent);
    for part in ["abc", "def"] {
        upload.add(&[part]).await;
        upload.seal().await;
    }
    upload.add(&["ghi"]).await;
    blobs.settle(upload.key, kept, kept).await.unwrap();
    remove(blobs, &before, Some(kept)).await;
    assert!(content(blobs, kept, 0..end).await.iter().all(|byte| *byte == b'x'));
    blobs.delete(kept).await.unwrap();
    remove(blobs, &before, None).await;
}

/// Removes all that rests but what did `before`, and the object `kept`, as a sweep does whose
/// catalog knows only these.
async fn remove(blobs: &dyn Blobs, before: &BTreeSet<Stale>, kept: Option<ObjectKey>) {
    let kept: BTreeSet<_> = kept.into_iter().map(Stale::Object).collect();
    // What something else needed until now comes up the next time.
    for _ in 0..4 {
        let found = &resting(blobs).await - before;
        for unneeded in &found - &kept {
            match unneeded {
                Stale::Upload(upload) => blobs.abandon(upload).await.unwrap(),
                Stale::Object(object) => blobs.delete(object).await.unwrap(),
            }
        }
    }
    assert_eq!(&resting(blobs).await - before, kept);
}

/// All that is there.
async fn resting(blobs: &dyn Blobs) -> BTreeSet<Stale> {
    stale(blobs, Duration::ZERO).await
}

async fn stale(blobs: &dyn Blobs, age: Duration) -> BTreeSet<Stale> {
    let found: Vec<_> = blobs.sweep(age).try_collect().await.expect("finds what there is");
    let distinct: BTreeSet<_> = found.iter().copied().collect();
    assert_eq!(distinct.len(), found.len(), "everything is found once: {found:?}");
    distinct
}

fn keys(found: &BTreeSet<Stale>) -> Vec<ObjectKey> {
    found.iter().map(|(Stale::Upload(key) | Stale::Object(key))| *key).collect()
}
