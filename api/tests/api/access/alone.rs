//! What a node of a closed registry answers whose cluster cannot agree: by what it knows.

use std::time::Duration;

use api::{Issuer, Options};
use futures::future::join_all;
use http::{StatusCode, header};
use serde_json::{Value, json};

use super::repositories::{filled, put};
use super::{As, closed_as, closed_with};
use crate::world::{Reply, World, image, sha256};

const PULL: &str = "repository:team/app:pull";

/// A registry without a quorum, with an image in `team/app` that alice may pull and push: what she
/// may show, the image, and where it is under its digest.
async fn bereft() -> (World, [As; 2], String, String) {
    let world = filled().await;
    let alice = world.add_user("alice", &[]).await;
    world.grant("user:alice", "developer", "team/**").await;
    let (key, _) = world.add_key("alice", json!({})).await;
    world.token(&alice, PULL).await;
    // The key that signs has served its time, and nobody can agree on another one.
    world.pass(proto::limits::TOKEN_KEY_LIFETIME + Duration::from_secs(1));
    world.cease().await;
    let image = image(&[b"layer", b"team/app"], None).to_string();
    let path = format!("/v2/team/app/manifests/{}", sha256(image.as_bytes()));
    (world, [alice, key], image, path)
}

async fn get(world: &World, who: &As, path: &str) -> Reply {
    world.ask(who, "GET", path, Value::Null).await
}

/// Where tokens to pull are.
fn token_path() -> String {
    format!("/roadstead/v1/token?service=roadstead&scope={PULL}")
}

/// The token in `reply`, which a node has signed alone.
#[track_caller]
fn token_of(reply: &Reply) -> As {
    let warning = reply.is(StatusCode::OK).header("warning");
    assert!(warning.contains("may have been taken back meanwhile"), "{warning}");
    As::Bearer(reply.json()["token"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn without_a_quorum_clients_log_in_and_pull_by_digest_as_with_one() {
    let (world, ways, image, path) = bereft().await;
    let asked = get(&world, &As::Nobody, "/v2/").await;
    asked.fails(401, "UNAUTHORIZED");
    assert!(asked.header("www-authenticate").starts_with("Bearer realm="));
    let asked = get(&world, &As::Nobody, &path).await;
    asked.fails(401, "UNAUTHORIZED");
    assert!(asked.header("www-authenticate").ends_with(&format!("scope=\"{PULL}\"")));

    for who in ways {
        token_of(&get(&world, &who, &token_path()).await);
        let As::Basic(name, password) = &who else { panic!("{who:?}") };
        let form = format!("grant_type=password&username={name}&password={password}&scope={PULL}");
        let posted = world.request("POST", "/roadstead/v1/token").body(form.as_bytes());
        let token = token_of(&posted.send().await);
        for shown in [&who, &token] {
            let greeted = get(&world, shown, "/v2/").await;
            greeted.is(StatusCode::OK);
            assert!(greeted.header("warning").contains("may have been taken back meanwhile"));
            let nodes = get(&world, shown, "/roadstead/v1/cluster").await;
            assert!(nodes.status != StatusCode::OK || nodes.headers.contains_key("warning"));
            let pulled = get(&world, shown, &path).await;
            assert_eq!(pulled.is(StatusCode::OK).body, image);
            assert!(pulled.header("warning").contains("may have been deleted meanwhile"));
        }
    }
}

#[tokio::test]
async fn a_token_that_was_signed_without_a_quorum_is_good_for_nothing_that_needs_one() {
    let (world, [alice, _], image, path) = bereft().await;
    let scope = "repository:team/app:pull,push&scope=repository:secret/app:pull";
    let asked = format!("/roadstead/v1/token?scope={scope}");
    let token = token_of(&get(&world, &alice, &asked).await);
    let nobody = token_of(&get(&world, &As::Nobody, &token_path()).await);
    // Whom this node does not let in, the cluster might.
    let stranger = As::basic("alice", "another horse");
    let (secret, tokens) = (format!("/v2/secret/app/blobs/{}", sha256(b"layer")), token_path());
    let (tag, push, private, anonymous, exchange, greeting) = tokio::join!(
        get(&world, &token, "/v2/team/app/manifests/1"),
        put(&world, &token, "team/app", "2", image.as_bytes()),
        get(&world, &token, &secret),
        get(&world, &nobody, &path),
        get(&world, &stranger, &tokens),
        get(&world, &stranger, "/v2/"),
    );
    for reply in [tag, push, private, anonymous, exchange, greeting] {
        reply.fails(503, "UNAVAILABLE");
        assert!(!reply.headers[header::RETRY_AFTER].is_empty());
    }
}

#[tokio::test]
async fn a_token_that_was_signed_without_a_quorum_counts_in_no_other_registry() {
    let world = filled().await;
    let admin = As::admin();
    let with_quorum = world.token(&admin, PULL).await;
    let keys = world.get("/roadstead/v1/token/keys").await.json().to_string();
    let cluster = get(&world, &admin, "/roadstead/v1/cluster").await.json();
    let name = format!("roadstead:{}", cluster["cluster"].as_str().unwrap());
    let issuer = Issuer::new(&name, &keys).unwrap();
    let other = closed_as(|options| options.issuer = Some(issuer)).await;
    world.cease().await;
    let alone = token_of(&get(&world, &admin, &token_path()).await);

    let path = format!("/v2/team/app/blobs/{}", sha256(b"layer"));
    get(&other, &with_quorum, &path).await.fails(404, "BLOB_UNKNOWN");
    get(&other, &alone, &path).await.fails(401, "UNAUTHORIZED");
    get(&world, &alone, &path).await.is(StatusCode::OK);
    other.stop().await;
}

/// By what the node knows, and then by what the cluster does.
#[tokio::test]
async fn a_request_that_is_judged_twice_counts_once() {
    let options = Options { requests_per_account_per_minute: 30, ..Options::default() };
    let world = closed_with(options, |_| {}).await;
    world.add_user("alice", &[]).await;
    let (key, _) = world.add_key("alice", json!({})).await;
    world.cease().await;
    let path = format!("/v2/secret/app/blobs/{}", sha256(b"layer"));
    let asked = join_all((0..31).map(|_| get(&world, &key, &path))).await;
    let count = |status| asked.iter().filter(|reply| reply.status == status).count();
    let counts = (count(StatusCode::SERVICE_UNAVAILABLE), count(StatusCode::TOO_MANY_REQUESTS));
    assert_eq!(counts, (30, 1));
}
