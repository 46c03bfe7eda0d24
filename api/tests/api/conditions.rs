//! Conditional requests: pushes and deletions that depend on what a tag names, and reads that
//! depend on what the client has.

use std::collections::BTreeSet;

use http::{HeaderName, StatusCode, header};
use proto::Digest;

use crate::world::{IMAGE, Reply, World, image, sha256};

/// Pushes `content` as `reference` under the condition `name: value`.
async fn put_if(
    world: &World,
    reference: &str,
    (name, value): (HeaderName, &str),
    content: &[u8],
) -> Reply {
    let call = world.request("PUT", &format!("/v2/a/manifests/{reference}"));
    let call = call.header(header::CONTENT_TYPE, IMAGE).header(name, value);
    call.body(content).send().await
}

async fn delete_if(world: &World, path: &str, (name, value): (HeaderName, &str)) -> Reply {
    world.request("DELETE", path).header(name, value).send().await
}

/// A manifest whose blobs repository `a` has, other than those with another `layer`.
async fn manifest(world: &World, layer: &[u8]) -> (Vec<u8>, Digest) {
    world.push_blob("a", b"{}").await;
    world.push_blob("a", layer).await;
    let manifest = image(&[layer], None).to_string().into_bytes();
    let digest = sha256(&manifest);
    (manifest, digest)
}

fn quoted(digest: &Digest) -> String {
    format!("\"{digest}\"")
}

/// What tag `name` names in repository `a`, as its entity tag.
async fn etag(world: &World, name: &str) -> String {
    world.head(&format!("/v2/a/manifests/{name}")).await.header("etag").to_owned()
}

#[tokio::test]
async fn of_two_jobs_that_read_the_same_latest_only_one_moves_it() {
    let world = World::start().await;
    world.push_image("a", "latest", b"old").await;
    let seen = etag(&world, "latest").await;
    let (left, left_digest) = manifest(&world, b"left").await;
    let (right, right_digest) = manifest(&world, b"right").await;
    let condition = || (header::IF_MATCH, seen.as_str());
    let replies = tokio::join!(
        put_if(&world, "latest", condition(), &left),
        put_if(&world, "latest", condition(), &right),
    );
    let (winner, loser, winning) = match replies.0.status {
        StatusCode::CREATED => (replies.0, replies.1, left_digest),
        _ => (replies.1, replies.0, right_digest),
    };
    winner.is(StatusCode::CREATED);
    loser.fails(412, "DENIED");
    assert_eq!(loser.header("etag"), quoted(&winning), "it tells what the tag names now");
    assert_eq!(loser.json()["errors"][0]["detail"]["digest"], winning.as_str());
    assert!(loser.json()["errors"][0]["message"].to_string().contains(winning.as_str()));
    assert_eq!(etag(&world, "latest").await, quoted(&winning));
    world.stop().await;
}

#[tokio::test]
async fn of_many_jobs_that_each_add_to_latest_none_is_lost() {
    let world = World::start().await;
    world.push_image("a", "latest", b"0").await;
    let job = async |number: u8| {
        let (manifest, digest) = manifest(&world, &[b'a' + number]).await;
        loop {
            let seen = etag(&world, "latest").await;
            let reply = put_if(&world, "latest", (header::IF_MATCH, &seen), &manifest).await;
            if reply.status == StatusCode::CREATED {
                return (seen, quoted(&digest));
            }
            reply.fails(412, "DENIED");
        }
    };
    let moves = tokio::join!(job(0), job(1), job(2), job(3));
    let moves = [moves.0, moves.1, moves.2, moves.3];
    let seen: BTreeSet<&String> = moves.iter().map(|(seen, _)| seen).collect();
    assert_eq!(seen.len(), moves.len(), "no two of them moved it away from the same: {moves:?}");
    world.stop().await;
}

#[tokio::test]
async fn a_tag_that_must_be_new_is_pushed_once() {
    let world = World::start().await;
    let (first, digest) = manifest(&world, b"one").await;
    let (second, _) = manifest(&world, b"two").await;
    let new = || (header::IF_NONE_MATCH, "*");
    put_if(&world, "1.0", new(), &first).await.is(StatusCode::CREATED);
    let refused = put_if(&world, "1.0", new(), &second).await;
    refused.fails(412, "DENIED");
    assert_eq!(refused.header("etag"), quoted(&digest));
    assert_eq!(world.get("/v2/a/manifests/1.0").await.body, first);
    world.get(&format!("/v2/a/manifests/{}", sha256(&second))).await.is(StatusCode::NOT_FOUND);
    world.stop().await;
}

#[tokio::test]
async fn a_tag_that_must_be_there_is_not_made() {
    let world = World::start().await;
    let (content, digest) = manifest(&world, b"one").await;
    for condition in ["*", &quoted(&digest), "\"another registry's\""] {
        let refused = put_if(&world, "1.0", (header::IF_MATCH, condition), &content).await;
        refused.fails(412, "DENIED");
        assert_eq!(refused.header("etag"), "", "{condition}");
    }
    world.get("/v2/a/manifests/1.0").await.fails(404, "MANIFEST_UNKNOWN");
    world.stop().await;
}

#[tokio::test]
async fn a_push_that_is_repeated_because_its_answer_was_lost_succeeds() {
    let world = World::start().await;
    world.push_image("a", "latest", b"old").await;
    let seen = etag(&world, "latest").await;
    let (content, _) = manifest(&world, b"new").await;
    for _ in 0..2 {
        let reply = put_if(&world, "latest", (header::IF_MATCH, &seen), &content).await;
        reply.is(StatusCode::CREATED);
    }
    world.stop().await;
}

#[tokio::test]
async fn a_condition_of_a_push_by_digest_is_about_each_of_its_tags() {
    let world = World::start().await;
    world.push_image("a", "1", b"old").await;
    let seen = etag(&world, "1").await;
    let (content, digest) = manifest(&world, b"new").await;
    let both = format!("{digest}?tag=1.1&tag=1");
    put_if(&world, &both, (header::IF_NONE_MATCH, "*"), &content).await.fails(412, "DENIED");
    world.get("/v2/a/manifests/1.1").await.fails(404, "MANIFEST_UNKNOWN");
    let moved = format!("{digest}?tag=1");
    let reply = put_if(&world, &moved, (header::IF_MATCH, &seen), &content).await;
    reply.is(StatusCode::CREATED);
    assert_eq!(etag(&world, "1").await, quoted(&digest));
    let again = put_if(&world, digest.as_str(), (header::IF_NONE_MATCH, "*"), &content).await;
    again.fails(412, "DENIED");
    world.stop().await;
}

#[tokio::test]
async fn a_condition_that_cannot_be_read_is_not_passed_over() {
    let world = World::start().await;
    let old = world.push_image("a", "latest", b"old").await;
    let (content, _) = manifest(&world, b"new").await;
    let bare = sha256(&old);
    for condition in ["", "latest", bare.as_str(), "\"", "*, \"x\""] {
        for name in [header::IF_MATCH, header::IF_NONE_MATCH] {
            let reply = put_if(&world, "latest", (name.clone(), condition), &content).await;
            reply.fails(400, "UNSUPPORTED");
            let path = "/v2/a/manifests/latest";
            delete_if(&world, path, (name, condition)).await.fails(400, "UNSUPPORTED");
        }
    }
    assert_eq!(world.get("/v2/a/manifests/latest").await.body, old);
    world.stop().await;
}

#[tokio::test]
async fn a_tag_is_deleted_only_where_it_names_what_was_seen() {
    let world = World::start().await;
    world.push_image("a", "latest", b"old").await;
    let seen = etag(&world, "latest").await;
    let new = world.push_image("a", "latest", b"new").await;
    let path = "/v2/a/manifests/latest";
    let refused = delete_if(&world, path, (header::IF_MATCH, &seen)).await;
    refused.fails(412, "DENIED");
    assert_eq!(refused.header("etag"), quoted(&sha256(&new)));
    assert_eq!(world.get(path).await.body, new);
    let matching = quoted(&sha256(&new));
    delete_if(&world, path, (header::IF_MATCH, &matching)).await.is(StatusCode::ACCEPTED);
    let absent = delete_if(&world, path, (header::IF_MATCH, &matching)).await;
    absent.fails(404, "MANIFEST_UNKNOWN");
    world.stop().await;
}

#[tokio::test]
async fn content_is_deleted_by_digest_only_where_the_condition_is_about_it() {
    let world = World::start().await;
    let manifest = world.push_image("a", "v1", b"layer").await;
    let blob = world.push_blob("a", b"alone").await;
    let other = quoted(&sha256(b"other"));
    for (path, digest) in [
        (format!("/v2/a/manifests/{}", sha256(&manifest)), sha256(&manifest)),
        (format!("/v2/a/blobs/{blob}"), blob),
    ] {
        delete_if(&world, &path, (header::IF_MATCH, &other)).await.fails(412, "DENIED");
        delete_if(&world, &path, (header::IF_NONE_MATCH, "*")).await.fails(412, "DENIED");
        world.get(&path).await.is(StatusCode::OK);
        let matching = quoted(&digest);
        delete_if(&world, &path, (header::IF_MATCH, &matching)).await.is(StatusCode::ACCEPTED);
        delete_if(&world, &path, (header::IF_MATCH, &other)).await.is(StatusCode::NOT_FOUND);
    }
    world.stop().await;
}

#[tokio::test]
async fn a_read_that_wants_other_content_than_is_there_fails() {
    let world = World::start().await;
    let manifest = world.push_image("a", "v1", b"layer").await;
    let other = quoted(&sha256(b"other"));
    for (path, digest) in [
        ("/v2/a/manifests/v1".to_owned(), sha256(&manifest)),
        (format!("/v2/a/blobs/{}", sha256(b"layer")), sha256(b"layer")),
    ] {
        let get = |value: &str| world.request("GET", &path).header(header::IF_MATCH, value).send();
        get(&other).await.fails(412, "DENIED");
        get(&quoted(&digest)).await.is(StatusCode::OK);
        get("*").await.is(StatusCode::OK);
        let two = format!("{other}, {}", quoted(&digest));
        let known = world.request("GET", &path).header(header::IF_NONE_MATCH, two);
        known.send().await.is(StatusCode::NOT_MODIFIED);
    }
    world.stop().await;
}
