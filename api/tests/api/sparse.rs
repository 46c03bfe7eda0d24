//! Manifests that name what the repository lacks, where the operator allows them, and the warnings
//! of answers.

use api::Options;
use http::{StatusCode, header};
use serde_json::json;

use crate::world::{IMAGE, INDEX, World, descriptor, image, sha256};

async fn sparse() -> World {
    World::start_with(Options { sparse: true, ..Options::default() }).await
}

#[tokio::test]
async fn a_sparse_manifest_is_taken_with_a_warning_of_what_is_missing() {
    let world = sparse().await;
    world.push_blob("a", b"{}").await;
    let manifest = image(&[b"elsewhere", b"elsewhere too"], None).to_string();
    let pushed = world.put_manifest("a", "v1", IMAGE, manifest.as_bytes()).await;
    pushed.is(StatusCode::CREATED);
    let warning = pushed.header("warning");
    assert!(warning.starts_with("299 - \"the repository lacks 2 of what"), "{warning}");
    assert!(warning.contains("sha256:"), "{warning}");
    assert_eq!(world.get("/v2/a/manifests/v1").await.body, manifest);
    world.get(&format!("/v2/a/blobs/{}", sha256(b"elsewhere"))).await.fails(404, "BLOB_UNKNOWN");

    let index = json!({ "schemaVersion": 2, "manifests": [descriptor(IMAGE, b"no child")] });
    let pushed = world.put_manifest("a", "all", INDEX, index.to_string().as_bytes()).await;
    pushed.is(StatusCode::CREATED);
    assert!(!pushed.header("warning").is_empty());
    world.stop().await;
}

#[tokio::test]
async fn a_push_that_lacks_nothing_has_no_warning() {
    let world = sparse().await;
    let manifest = world.push_image("a", "v1", b"layer").await;
    let again = world.put_manifest("a", "v2", IMAGE, &manifest).await;
    assert_eq!(again.header("warning"), "");
    world.stop().await;
}

#[tokio::test]
async fn sizes_of_a_sparse_manifest_must_be_right_all_the_same() {
    let world = sparse().await;
    world.push_blob("a", b"{}").await;
    let manifest = image(&[b"elsewhere"], None).to_string().replace("\"size\":2", "\"size\":3");
    let reply = world.put_manifest("a", "v1", IMAGE, manifest.as_bytes()).await;
    reply.fails(400, "SIZE_INVALID");
    world.stop().await;
}

#[tokio::test]
async fn a_manifest_of_a_type_that_is_not_accepted_comes_with_a_warning() {
    let world = World::start().await;
    let manifest = world.push_image("a", "v1", b"layer").await;
    let path = "/v2/a/manifests/v1";
    let get = async |accept: &str| {
        let reply = world.request("GET", path).header(header::ACCEPT, accept).send().await;
        reply.is(StatusCode::OK);
        assert_eq!(reply.header("content-type"), IMAGE);
        assert_eq!(reply.body, manifest);
        reply.header("warning").to_owned()
    };
    assert_eq!(
        get(INDEX).await,
        format!("299 - \"this manifest is of type {IMAGE}, which Accept does not list\"")
    );
    for accept in ["*/*", "application/*", IMAGE, &format!("{INDEX}, {IMAGE};q=0.1")] {
        assert_eq!(get(accept).await, "", "{accept}");
    }
    assert_eq!(world.get(path).await.header("warning"), "");
    world.stop().await;
}
