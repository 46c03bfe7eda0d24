//! Names and references, good and bad, and the headers that every answer carries.

use http::StatusCode;

use crate::world::{IMAGE, World, sha256};

#[tokio::test]
async fn the_base_says_that_this_is_a_registry() {
    let world = World::start().await;
    for path in ["/v2/", "/v2"] {
        let reply = world.get(path).await;
        reply.is(StatusCode::OK);
        assert_eq!(reply.header("docker-distribution-api-version"), "registry/2.0");
        assert_eq!(reply.header("x-content-type-options"), "nosniff");
    }
    world.head("/v2/").await.is(StatusCode::OK);
    world.get("/favicon.ico").await.fails(404, "UNSUPPORTED");
    world.stop().await;
}

#[tokio::test]
async fn a_bad_repository_name_is_refused_and_never_resolved() {
    let world = World::start().await;
    for name in [
        "Upper",
        "a/../b",
        "..",
        "a//b",
        "/a",
        "a-",
        "a_",
        "%2e%2e",
        "a%2fb",
        "a%00",
        "a%c0%af",
        "a%5cb",
        &"a".repeat(256),
    ] {
        for rest in ["tags/list", "manifests/v1", &format!("blobs/{}", sha256(b"x"))] {
            world.get(&format!("/v2/{name}/{rest}")).await.fails(400, "NAME_INVALID");
        }
        world
            .request("POST", &format!("/v2/{name}/blobs/uploads/"))
            .send()
            .await
            .fails(400, "NAME_INVALID");
    }
    world.stop().await;
}

#[tokio::test]
async fn a_bad_tag_is_invalid_to_push_and_unknown_to_pull() {
    let world = World::start().await;
    for tag in [".x", "-x", "a%2fb", &"a".repeat(129)] {
        world.put_manifest("a", tag, IMAGE, b"{}").await.fails(400, "MANIFEST_INVALID");
        let path = format!("/v2/a/manifests/{tag}");
        world.get(&path).await.fails(404, "MANIFEST_UNKNOWN");
        world.delete(&path).await.fails(404, "MANIFEST_UNKNOWN");
        world.head(&path).await.is(StatusCode::NOT_FOUND);
    }
    world.stop().await;
}

#[tokio::test]
async fn a_bad_digest_is_invalid_everywhere() {
    let world = World::start().await;
    let upper = sha256(b"x").as_str().to_uppercase().replace("SHA256", "sha256");
    let extra = format!("sha256:{}", sha256(b"x"));
    for digest in ["md5:d41d8cd98f00b204e9800998ecf8427e", "sha256:e3", &upper, &extra] {
        for kind in ["blobs", "manifests", "referrers"] {
            world.get(&format!("/v2/a/{kind}/{digest}")).await.fails(400, "DIGEST_INVALID");
        }
        world.put_manifest("a", digest, IMAGE, b"{}").await.fails(400, "DIGEST_INVALID");
    }
    world.stop().await;
}

#[tokio::test]
async fn what_does_not_exist_is_unknown_by_its_kind() {
    let world = World::start().await;
    let digest = sha256(b"nothing");
    world.get("/v2/no/tags/list").await.fails(404, "NAME_UNKNOWN");
    world.get("/v2/no/manifests/v1").await.fails(404, "NAME_UNKNOWN");
    world.delete("/v2/no/manifests/v1").await.fails(404, "NAME_UNKNOWN");
    world.push_image("team/app", "v1", b"layer").await;
    world.get("/v2/team/app/manifests/v2").await.fails(404, "MANIFEST_UNKNOWN");
    world.get(&format!("/v2/team/app/manifests/{digest}")).await.fails(404, "MANIFEST_UNKNOWN");
    world.get(&format!("/v2/team/app/blobs/{digest}")).await.fails(404, "BLOB_UNKNOWN");
    world.head(&format!("/v2/team/app/blobs/{digest}")).await.is(StatusCode::NOT_FOUND);
    for id in ["nonsense", "0123456789abcdef0123456789abcdef"] {
        let path = format!("/v2/team/app/blobs/uploads/{id}");
        for method in ["GET", "PATCH", "PUT", "DELETE"] {
            world.request(method, &path).send().await.fails(404, "BLOB_UPLOAD_UNKNOWN");
        }
    }
    world.stop().await;
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_ones() {
    let world = World::start().await;
    for (method, path, allow) in [
        ("POST", "/v2/", "GET, HEAD"),
        ("DELETE", "/v2/_catalog", "GET, HEAD"),
        ("PATCH", "/v2/a/manifests/v1", "GET, HEAD, PUT, DELETE"),
        ("GET", "/v2/a/blobs/uploads/", "POST"),
    ] {
        let reply = world.request(method, path).send().await;
        reply.fails(405, "UNSUPPORTED");
        assert_eq!(reply.header("allow"), allow, "{method} {path}");
    }
    world.stop().await;
}

#[tokio::test]
async fn requests_are_counted_by_endpoint_and_not_by_path() {
    let world = World::start().await;
    world.get("/v2/some/name/tags/list").await.fails(404, "NAME_UNKNOWN");
    world.request("BREW", "/coffee").send().await.fails(404, "UNSUPPORTED");
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &world.metrics).unwrap();
    for line in [
        r#"requests_total{route="/v2/{name}/tags/list",method="GET",status="404"} 1"#,
        r#"requests_total{route="other",method="other",status="404"} 1"#,
        r#"request_duration_seconds_count{route="other",method="other"} 1"#,
    ] {
        let line = format!("roadstead_http_{line}");
        assert!(text.contains(&line), "{line} is not in\n{text}");
    }
    world.stop().await;
}

#[tokio::test]
async fn the_cluster_shows_its_nodes() {
    let world = World::start().await;
    let status = world.get("/roadstead/v1/cluster").await.json();
    assert_eq!(status["role"], "leader");
    assert_eq!(status["leader"], status["node"]);
    assert_eq!(status["nodes"][0]["peer_address"], "127.0.0.1:1");
    assert_eq!(status["cluster"].as_str().map(str::len), Some(32));
    world.stop().await;
}

#[tokio::test]
async fn a_node_that_cannot_be_removed_is_not() {
    let world = World::start().await;
    let node = world.get("/roadstead/v1/cluster").await.json()["node"].clone();
    let own = format!("/roadstead/v1/cluster/nodes/{node}");
    world.request("DELETE", &own).send().await.fails(409, "DENIED");
    let unknown = "/roadstead/v1/cluster/nodes/987654321";
    world.request("DELETE", unknown).send().await.fails(404, "UNKNOWN");
    for path in ["/roadstead/v1/cluster/nodes/", "/roadstead/v1/cluster/nodes/-1"] {
        world.request("DELETE", path).send().await.fails(404, "UNSUPPORTED");
    }
    let reply = world.request("GET", &own).send().await;
    reply.fails(405, "UNSUPPORTED");
    assert_eq!(reply.header("allow"), "DELETE");
    world.stop().await;
}
