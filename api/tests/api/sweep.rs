//! What is left in the store is freed, and nothing that anybody needs.

use std::time::Duration;

use futures::{StreamExt as _, stream};
use http::StatusCode;
use proto::ObjectKey;
use storage::Blobs as _;
use tokio::time::Instant;

use crate::abuse::begin;
use crate::world::{World, sha256};

#[tokio::test]
async fn an_upload_that_was_left_is_freed_and_cannot_be_ended_any_more() {
    let world = World::start().await;
    let begun = world.begin("a").await;
    let sent = world.request("PATCH", &begun).body(b"content").send().await.location();
    assert_eq!(world.registry.sweep(Duration::from_secs(3600)).await, 0, "it may go on");
    assert_eq!(world.extent(&sent).await, 7);

    assert_eq!(world.registry.sweep(Duration::ZERO).await, 1);
    assert_eq!(world.extent(&sent).await, 0);
    let end = format!("{sent}&digest={}", sha256(b"content"));
    world.request("PUT", &end).send().await.fails(404, "BLOB_UPLOAD_UNKNOWN");
    world.request("PATCH", &sent).body(b"more").send().await.fails(404, "BLOB_UPLOAD_UNKNOWN");
    world.get(&sent).await.fails(404, "BLOB_UPLOAD_UNKNOWN");
    assert_eq!(world.registry.sweep(Duration::ZERO).await, 0);
    world.stop().await;
}

#[tokio::test]
async fn the_end_of_an_upload_that_was_freed_is_a_yes_only_while_the_blob_has_its_bytes() {
    let world = World::start().await;
    let digest = world.push_blob("a", b"content").await;
    let begun = world.begin("a").await;
    let sent = world.request("PATCH", &begun).body(b"content").send().await.location();
    assert_eq!(world.registry.sweep(Duration::ZERO).await, 1);
    let end = format!("{sent}&digest={digest}");
    world.request("PUT", &end).send().await.is(StatusCode::CREATED);

    let [object] = world.blobs.keys().await[..] else { panic!("there is one blob") };
    world.blobs.delete(object).await.unwrap();
    world.request("PUT", &end).send().await.fails(404, "BLOB_UPLOAD_UNKNOWN");
    world.push_blob("a", b"content").await;
    assert_eq!(world.get(&format!("/v2/a/blobs/{digest}")).await.body, "content");
    world.stop().await;
}

#[tokio::test]
async fn bytes_whose_fact_never_came_are_freed() {
    let world = World::start().await;
    let object = ObjectKey::from_random(1);
    let body = stream::iter([Ok(b"content".as_slice().into())]).boxed();
    world.blobs.put(object, body).await.unwrap();
    assert_eq!(world.registry.sweep(Duration::ZERO).await, 1);
    assert_eq!(world.blobs.extent(object).await.unwrap(), 0);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_slow_to_remove_what_was_left_is_asked_for_much_of_it_at_once() {
    let world = World::start().await;
    for n in 0..1_000 {
        let body = stream::iter([Ok(b"content".as_slice().into())]).boxed();
        world.blobs.put(ObjectKey::from_random(n), body).await.unwrap();
    }
    world.blobs.set_slow(true);
    let begun = Instant::now();
    assert_eq!(world.registry.sweep(Duration::ZERO).await, 1_000);
    // One after the other, it takes a hundred seconds.
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    assert!(world.blobs.keys().await.is_empty());
    world.stop().await;
}

#[tokio::test]
async fn what_is_linked_stays_however_old_it_is() {
    let world = World::start().await;
    let digest = world.push_blob("a", b"content").await;
    world.push_image("b", "v1", b"layer").await;
    assert_eq!(world.registry.sweep(Duration::ZERO).await, 0);
    assert_eq!(world.get(&format!("/v2/a/blobs/{digest}")).await.body, "content");
    assert_eq!(world.get(&format!("/v2/b/blobs/{}", sha256(b"layer"))).await.body, "layer");
    world.stop().await;
}

#[tokio::test]
async fn what_came_for_an_upload_after_it_had_ended_is_freed() {
    let world = World::start().await;
    let begun = world.begin("a").await;
    let sent = world.request("PATCH", &begun).body(b"content").send().await.location();
    let longer = format!("{sent}&digest={}", sha256(b"content and"));
    let (rest, late) = begin(world.request("PUT", &longer), " and").await;
    let digest = sha256(b"content");
    let end = format!("{sent}&digest={digest}");
    world.request("PUT", &end).send().await.is(StatusCode::CREATED);
    rest.send(()).unwrap();
    assert_eq!(late.await.unwrap(), 404);
    assert_eq!(world.extent(&sent).await, 11, "the store knows nothing of blobs");
    world.request("PUT", &end).send().await.is(StatusCode::CREATED);

    assert_eq!(world.registry.sweep(Duration::from_secs(3600)).await, 0);
    assert_eq!(world.extent(&sent).await, 11, "it is young");
    assert_eq!(world.registry.sweep(Duration::ZERO).await, 0);
    assert_eq!(world.extent(&sent).await, 7);
    assert_eq!(world.get(&format!("/v2/a/blobs/{digest}")).await.body, "content");
    world.stop().await;
}

#[tokio::test]
async fn an_upload_that_ends_while_it_is_swept_is_a_blob_or_gone() {
    let world = World::start().await;
    for round in 0..50 {
        let content = format!("content {round}").into_bytes();
        let digest = sha256(&content);
        let begun = world.begin("a").await;
        let sent = world.request("PATCH", &begun).body(&content).send().await.location();
        let end = world.request("PUT", &format!("{sent}&digest={digest}")).send();
        let (ended, swept) = tokio::join!(end, world.registry.sweep(Duration::ZERO));
        let pulled = world.get(&format!("/v2/a/blobs/{digest}")).await;
        if ended.status == StatusCode::CREATED {
            assert_eq!((swept, &*pulled.body), (0, &*content));
        } else {
            ended.fails(404, "BLOB_UPLOAD_UNKNOWN");
            pulled.fails(404, "BLOB_UNKNOWN");
            assert_eq!((swept, world.extent(&sent).await), (1, 0));
        }
    }
    world.stop().await;
}
