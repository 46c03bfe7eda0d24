//! Pushing, pulling and deleting manifests and tags.

use http::{StatusCode, header};
use serde_json::json;

use crate::world::{IMAGE, INDEX, World, descriptor, image, sha256, sha512};

#[tokio::test]
async fn a_manifest_is_pulled_byte_for_byte_by_tag_and_by_digest() {
    let world = World::start().await;
    let manifest = world.push_image("team/app", "v1", b"layer").await;
    let digest = sha256(&manifest);
    for reference in ["v1", digest.as_str(), &digest.as_str().replace(':', "%3a")] {
        let path = format!("/v2/team/app/manifests/{reference}");
        let get = world.get(&path).await;
        get.is(StatusCode::OK);
        assert_eq!(get.body, manifest);
        let head = world.head(&path).await;
        head.is(StatusCode::OK);
        for reply in [get, head] {
            assert_eq!(reply.header("content-type"), IMAGE);
            assert_eq!(reply.header("content-length"), manifest.len().to_string());
            assert_eq!(reply.header("docker-content-digest"), digest.as_str());
            assert_eq!(reply.header("etag"), format!("\"{digest}\""));
        }
    }
    world.stop().await;
}

#[tokio::test]
async fn a_manifest_that_the_client_has_is_not_sent_again() {
    let world = World::start().await;
    let digest = sha256(&world.push_image("a", "v1", b"layer").await);
    let call = world.request("GET", "/v2/a/manifests/v1");
    let reply = call.header(header::IF_NONE_MATCH, format!("W/\"{digest}\"")).send().await;
    reply.is(StatusCode::NOT_MODIFIED);
    assert!(reply.body.is_empty());
    assert_eq!(reply.header("docker-content-digest"), digest.as_str());
    world.stop().await;
}

#[tokio::test]
async fn a_manifest_comes_in_its_own_type_whatever_is_accepted() {
    let world = World::start().await;
    world.push_image("a", "v1", b"layer").await;
    let reply = world.request("GET", "/v2/a/manifests/v1").header(header::ACCEPT, INDEX);
    assert_eq!(reply.send().await.header("content-type"), IMAGE);
    world.stop().await;
}

#[tokio::test]
async fn a_tag_moves_to_the_last_push() {
    let world = World::start().await;
    world.push_image("a", "latest", b"one").await;
    let second = world.push_image("a", "latest", b"two").await;
    assert_eq!(world.get("/v2/a/manifests/latest").await.body, second);
    world.stop().await;
}

#[tokio::test]
async fn a_push_by_digest_sets_the_tags_it_asks_for() {
    let world = World::start().await;
    let manifest = world.push_image("a", "v1", b"layer").await;
    let digest = sha256(&manifest);
    let reference = format!("{digest}?tag=v2&tag=v3");
    let pushed = world.put_manifest("a", &reference, IMAGE, &manifest).await;
    pushed.is(StatusCode::CREATED);
    let tags: Vec<_> = pushed.headers.get_all("oci-tag").iter().collect();
    assert_eq!(tags, ["v2", "v3"]);
    assert_eq!(world.get("/v2/a/manifests/v3").await.body, manifest);
    let bad = format!("{digest}?tag=v4&tag=.bad");
    world.put_manifest("a", &bad, IMAGE, &manifest).await.fails(400, "MANIFEST_INVALID");
    world.get("/v2/a/manifests/v4").await.fails(404, "MANIFEST_UNKNOWN");
    world.stop().await;
}

#[tokio::test]
async fn a_push_of_too_many_tags_sets_none() {
    let world = World::start().await;
    let manifest = world.push_image("a", "v1", b"layer").await;
    let push = |tags: usize| {
        let query: Vec<String> = (0..tags).map(|number| format!("tag=t{number}")).collect();
        format!("{}?{}", sha256(&manifest), query.join("&"))
    };
    let most = proto::limits::TAGS_PER_PUSH_MAX;
    let refused = world.put_manifest("a", &push(most + 1), IMAGE, &manifest).await;
    refused.fails(414, "MANIFEST_INVALID");
    assert_eq!(world.get("/v2/a/tags/list").await.json()["tags"], json!(["v1"]));
    let pushed = world.put_manifest("a", &push(most), IMAGE, &manifest).await;
    pushed.is(StatusCode::CREATED);
    assert_eq!(pushed.headers.get_all("oci-tag").iter().count(), most);
    let twice = format!("{}?tag=v2&tag=v2", sha256(&manifest));
    let pushed = world.put_manifest("a", &twice, IMAGE, &manifest).await;
    assert_eq!(pushed.headers.get_all("oci-tag").iter().count(), 1);
    world.stop().await;
}

#[tokio::test]
async fn a_manifest_can_have_a_digest_of_sha512() {
    let world = World::start().await;
    let manifest = world.push_image("a", "v1", b"layer").await;
    let digest = sha512(&manifest);
    let pushed = world.put_manifest("a", digest.as_str(), IMAGE, &manifest).await;
    pushed.is(StatusCode::CREATED);
    assert_eq!(pushed.header("docker-content-digest"), digest.as_str());
    assert_eq!(world.get(&pushed.location()).await.body, manifest);
    world.stop().await;
}

#[tokio::test]
async fn a_push_by_a_digest_that_is_not_the_content_s_is_refused() {
    let world = World::start().await;
    let manifest = world.push_image("a", "v1", b"layer").await;
    for digest in [sha256(b"other"), sha512(b"other")] {
        let reply = world.put_manifest("a", digest.as_str(), IMAGE, &manifest).await;
        reply.fails(400, "DIGEST_INVALID");
    }
    world.stop().await;
}

#[tokio::test]
async fn what_is_not_a_manifest_is_refused_with_its_reason() {
    let world = World::start().await;
    world.push_image("a", "v1", b"layer").await;
    let good = image(&[b"layer"], None);
    let both = {
        let mut both = good.clone();
        both["manifests"] = json!([]);
        both.to_string()
    };
    let size = |size: &str| good.to_string().replace("\"size\":5", &format!("\"size\":{size}"));
    let data = {
        let mut image = good.clone();
        image["layers"][0]["data"] = json!("bm90IGl0");
        image.to_string()
    };
    let deep = "[".repeat(100_000);
    let trailing = format!("{good} x");
    let bom = format!("\u{feff}{good}");
    let twice = good.to_string().replacen('{', "{\"layers\":[],", 1);
    let schema_1 = r#"{"schemaVersion":1,"name":"a","tag":"v1","fsLayers":[],"history":[]}"#;
    let sizes = [size("-1"), size("1.5"), size("99999999999999999999")];
    let null = good.to_string().replacen('{', "{\"manifests\":null,", 1);
    let mut contents = vec!["", "nonsense", "[]", "{\"schemaVersion\":NaN}", schema_1];
    contents.extend([&*both, &null, &data, &deep, &trailing, &bom, &twice]);
    contents.extend(sizes.iter().map(String::as_str));
    for content in contents {
        let reply = world.put_manifest("a", "bad", IMAGE, content.as_bytes()).await;
        reply.fails(400, "MANIFEST_INVALID");
    }
    let reply = world.put_manifest("a", "bad", IMAGE, size("4").as_bytes()).await;
    reply.fails(400, "SIZE_INVALID");
    world.get("/v2/a/manifests/bad").await.fails(404, "MANIFEST_UNKNOWN");
    world.stop().await;
}

#[tokio::test]
async fn a_manifest_needs_the_content_type_that_it_has() {
    let world = World::start().await;
    let manifest = world.push_image("a", "v1", b"layer").await;
    for content_type in ["", "nonsense", "text/plain", INDEX] {
        let reply = world.put_manifest("a", "bad", content_type, &manifest).await;
        reply.fails(400, "MANIFEST_INVALID");
    }
    let missing = world.request("PUT", "/v2/a/manifests/bad").body(&manifest).send().await;
    missing.fails(400, "MANIFEST_INVALID");
    let with_parameter = format!("{IMAGE}; charset=utf-8");
    world.put_manifest("a", "v2", &with_parameter, &manifest).await.is(StatusCode::CREATED);
    world.stop().await;
}

#[tokio::test]
async fn the_type_of_a_stored_manifest_never_changes() {
    let world = World::start().await;
    let index = json!({ "schemaVersion": 2, "manifests": [] }).to_string();
    world.put_manifest("a", "v1", INDEX, index.as_bytes()).await.is(StatusCode::CREATED);
    let other = "application/vnd.docker.distribution.manifest.list.v2+json";
    let reply = world.put_manifest("a", "v2", other, index.as_bytes()).await;
    reply.fails(400, "MANIFEST_INVALID");
    assert_eq!(world.get("/v2/a/manifests/v1").await.header("content-type"), INDEX);
    world.stop().await;
}

#[tokio::test]
async fn a_manifest_over_the_limit_is_refused_with_and_without_a_length() {
    let world = World::start().await;
    let large = vec![b' '; proto::limits::MANIFEST_BYTES_MAX + 1];
    let reply = world.put_manifest("a", "v1", IMAGE, &large).await;
    reply.fails(413, "MANIFEST_INVALID");
    let chunked = world
        .request("PUT", "/v2/a/manifests/v1")
        .header(header::CONTENT_TYPE, IMAGE)
        .stream(&large.chunks(100_000).collect::<Vec<_>>());
    chunked.send().await.fails(413, "MANIFEST_INVALID");
    world.stop().await;
}

#[tokio::test]
async fn a_large_manifest_that_comes_without_a_length_is_taken() {
    let world = World::start().await;
    world.push_image("a", "v1", b"layer").await;
    let mut manifest = image(&[b"layer"], None);
    manifest["annotations"] = json!({ "padding": "x".repeat(3_900_000) });
    let manifest = manifest.to_string().into_bytes();
    let call = world
        .request("PUT", "/v2/a/manifests/large")
        .header(header::CONTENT_TYPE, IMAGE)
        .stream(&manifest.chunks(65_536).collect::<Vec<_>>());
    call.send().await.is(StatusCode::CREATED);
    assert_eq!(world.get("/v2/a/manifests/large").await.body, manifest);
    world.stop().await;
}

#[tokio::test]
async fn every_reference_that_is_missing_is_listed() {
    let world = World::start().await;
    world.push_blob("a", b"{}").await;
    world.push_blob("b", b"elsewhere").await;
    let manifest = image(&[b"elsewhere", b"nowhere"], None).to_string();
    let reply = world.put_manifest("a", "v1", IMAGE, manifest.as_bytes()).await;
    reply.fails(404, "MANIFEST_BLOB_UNKNOWN");
    let mut missing: Vec<String> = reply.json()["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["detail"]["digest"].as_str().unwrap().to_owned())
        .collect();
    missing.sort();
    let mut expected = [sha256(b"elsewhere").to_string(), sha256(b"nowhere").to_string()];
    expected.sort();
    assert_eq!(missing, expected);

    let index = json!({ "schemaVersion": 2, "manifests": [descriptor(IMAGE, b"no child")] });
    let reply = world.put_manifest("a", "v1", INDEX, index.to_string().as_bytes()).await;
    reply.fails(404, "MANIFEST_BLOB_UNKNOWN");
    world.get("/v2/a/manifests/v1").await.fails(404, "MANIFEST_UNKNOWN");
    world.stop().await;
}

#[tokio::test]
async fn twenty_thousand_layers_are_refused_and_a_mebibyte_of_annotation_is_not() {
    let world = World::start().await;
    world.push_image("a", "v1", b"layer").await;
    let mut many = image(&[], None);
    let layer = descriptor("application/vnd.oci.image.layer.v1.tar", b"layer");
    many["layers"] = vec![layer; 20_000].into();
    let reply = world.put_manifest("a", "many", IMAGE, many.to_string().as_bytes()).await;
    reply.fails(400, "MANIFEST_INVALID");
    let mut wordy = image(&[b"layer"], None);
    wordy["annotations"] = json!({ "a": "x".repeat(1024 * 1024) });
    let reply = world.put_manifest("a", "wordy", IMAGE, wordy.to_string().as_bytes()).await;
    reply.is(StatusCode::CREATED);
    world.stop().await;
}

#[tokio::test]
async fn a_foreign_layer_is_neither_asked_for_nor_fetched() {
    let world = World::start().await;
    world.push_blob("a", b"{}").await;
    let mut manifest = image(&[], None);
    let foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
    let mut layer = descriptor(foreign, b"foreign");
    layer["urls"] = json!(["file:///etc/passwd", "http://169.254.169.254/latest/meta-data"]);
    manifest["layers"] = json!([layer]);
    let reply = world.put_manifest("a", "v1", IMAGE, manifest.to_string().as_bytes()).await;
    reply.is(StatusCode::CREATED);
    world.stop().await;
}

#[tokio::test]
async fn a_deleted_tag_is_gone_and_its_manifest_stays() {
    let world = World::start().await;
    let manifest = world.push_image("a", "v1", b"layer").await;
    world.delete("/v2/a/manifests/v1").await.is(StatusCode::ACCEPTED);
    world.get("/v2/a/manifests/v1").await.fails(404, "MANIFEST_UNKNOWN");
    world.delete("/v2/a/manifests/v1").await.fails(404, "MANIFEST_UNKNOWN");
    let path = format!("/v2/a/manifests/{}", sha256(&manifest));
    assert_eq!(world.get(&path).await.body, manifest);
    world.stop().await;
}

#[tokio::test]
async fn a_deleted_manifest_takes_its_tags_with_it() {
    let world = World::start().await;
    let manifest = world.push_image("a", "v1", b"layer").await;
    world.put_manifest("a", "v2", IMAGE, &manifest).await.is(StatusCode::CREATED);
    let path = format!("/v2/a/manifests/{}", sha256(&manifest));
    world.delete(&path).await.is(StatusCode::ACCEPTED);
    for path in [path.as_str(), "/v2/a/manifests/v1", "/v2/a/manifests/v2"] {
        world.head(path).await.is(StatusCode::NOT_FOUND);
    }
    assert_eq!(world.get("/v2/a/tags/list").await.json()["tags"], json!([]));
    world.stop().await;
}

#[tokio::test]
async fn a_manifest_that_an_index_needs_is_not_deleted() {
    let world = World::start().await;
    let child = world.push_image("a", "child", b"layer").await;
    let index = json!({ "schemaVersion": 2, "manifests": [descriptor(IMAGE, &child)] });
    let pushed = world.put_manifest("a", "all", INDEX, index.to_string().as_bytes()).await;
    pushed.is(StatusCode::CREATED);
    let path = format!("/v2/a/manifests/{}", sha256(&child));
    world.delete(&path).await.fails(409, "DENIED");
    world.delete(&pushed.location()).await.is(StatusCode::ACCEPTED);
    world.delete(&path).await.is(StatusCode::ACCEPTED);
    world.stop().await;
}

#[tokio::test]
async fn a_body_that_breaks_off_puts_nothing() {
    let world = World::start().await;
    let manifest = world.push_image("a", "v1", b"layer").await;
    let call = world
        .request("PUT", "/v2/a/manifests/broken")
        .header(header::CONTENT_TYPE, IMAGE)
        .header(header::CONTENT_LENGTH, manifest.len());
    call.broken(&manifest[..9]).send().await.fails(400, "SIZE_INVALID");
    world.get("/v2/a/manifests/broken").await.fails(404, "MANIFEST_UNKNOWN");
    world.stop().await;
}
