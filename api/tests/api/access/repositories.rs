//! What repositories show to those who may not see them: nothing.

use std::time::Duration;

use api::Options;
use axum::body::Body;
use futures::StreamExt as _;
use http::{HeaderName, StatusCode, header};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::{As, closed, closed_with};
use crate::abuse::{begin, held_body};
use crate::world::{IMAGE, Reply, World, image, sha256};

/// A registry with an image in `team/app` and another in `secret/app`.
pub(super) async fn filled() -> World {
    let world = closed().await;
    for repository in ["team/app", "secret/app"] {
        for blob in [&b"{}"[..], b"layer", repository.as_bytes()] {
            let path = format!("/v2/{repository}/blobs/uploads/?digest={}", sha256(blob));
            let call = world.request("POST", &path).by(&As::admin()).body(blob);
            call.send().await.is(StatusCode::CREATED);
        }
        let image = image(&[b"layer", repository.as_bytes()], None).to_string();
        put(&world, &As::admin(), repository, "1", image.as_bytes()).await.is(StatusCode::CREATED);
    }
    world
}

pub(super) async fn put(
    world: &World,
    who: &As,
    repository: &str,
    tag: &str,
    content: &[u8],
) -> Reply {
    let call = world.request("PUT", &format!("/v2/{repository}/manifests/{tag}")).by(who);
    call.header(header::CONTENT_TYPE, IMAGE).body(content).send().await
}

#[tokio::test]
async fn what_is_private_looks_like_what_does_not_exist() {
    let world = filled().await;
    let alice = world.add_user("alice", &[]).await;
    world.grant("user:alice", "maintainer", "team/**").await;
    let digest = sha256(b"layer");
    for who in [As::Nobody, alice] {
        for (method, path) in [
            ("GET", "tags/list".to_owned()),
            ("GET", "manifests/1".to_owned()),
            ("HEAD", "manifests/1".to_owned()),
            ("PUT", "manifests/1".to_owned()),
            ("DELETE", "manifests/1".to_owned()),
            ("GET", format!("manifests/{digest}")),
            ("GET", format!("blobs/{digest}")),
            ("HEAD", format!("blobs/{digest}")),
            ("DELETE", format!("blobs/{digest}")),
            ("GET", format!("referrers/{digest}")),
            ("POST", "blobs/uploads/".to_owned()),
            ("GET", "blobs/uploads/00000000000000000000000000000001".to_owned()),
        ] {
            let ask = async |repository: &str| {
                let path = format!("/v2/{repository}/{path}");
                let mut reply = world.ask(&who, method, &path, Value::Null).await;
                // The challenge names the repository that was asked for, and the refusal too.
                let challenge = reply.headers.remove("www-authenticate");
                let challenge =
                    challenge.map(|text| text.to_str().unwrap().replace(repository, "R"));
                let body = String::from_utf8(reply.body.to_vec()).unwrap().replace(repository, "R");
                reply.headers.remove("content-length");
                (reply.status, reply.headers, challenge, body)
            };
            let (private, absent) = (ask("secret/app").await, ask("no/such").await);
            assert_eq!(private, absent, "{who:?} {method} {path}");
            assert!(matches!(private.0.as_u16(), 401 | 403), "{private:?}");
        }
    }
}

#[tokio::test]
async fn the_catalog_shows_what_its_reader_may_pull() {
    let world = filled().await;
    let alice = world.add_user("alice", &[]).await;
    world.grant("user:alice", "read-only", "team/**").await;
    let names = async |who: &As, query: &str| {
        let reply = world.ask(who, "GET", &format!("/v2/_catalog{query}"), Value::Null).await;
        let link = reply.header("link").to_owned();
        (reply.is(StatusCode::OK).json()["repositories"].clone(), link)
    };
    assert_eq!(names(&alice, "").await.0, json!(["team/app"]));
    assert_eq!(names(&alice, "?n=1").await, (json!(["team/app"]), String::new()));
    assert_eq!(names(&As::admin(), "?n=0").await, (json!([]), String::new()));
    assert_eq!(names(&As::admin(), "").await.0, json!(["secret/app", "team/app"]));
    let token = world.token(&alice, "registry:catalog:*").await;
    assert_eq!(names(&token, "").await.0, json!(["team/app"]));
    let token = world.token(&alice, "repository:team/app:pull").await;
    let other = world.ask(&token, "GET", "/v2/_catalog", Value::Null).await;
    assert!(other.fails(401, "UNAUTHORIZED").header("www-authenticate").contains("catalog"));
    let bob = world.add_user("bob", &[]).await;
    assert_eq!(names(&bob, "").await.0, json!([]));
    let nobody = world.ask(&As::Nobody, "GET", "/v2/_catalog", Value::Null).await;
    assert!(
        nobody.fails(401, "UNAUTHORIZED").header("www-authenticate").contains("registry:catalog:*")
    );
    world.grant("anonymous", "read-only", "team/app").await;
    assert_eq!(names(&bob, "").await.0, json!(["team/app"]));
}

#[tokio::test]
async fn who_has_credentials_is_asked_for_them_before_the_catalog_is_shown_to_nobody() {
    let world = filled().await;
    world.grant("anonymous", "read-only", "team/app").await;
    let list = async |who: &As| world.ask(who, "GET", "/v2/_catalog", Value::Null).await;
    let asked = list(&As::Nobody).await;
    let challenge = asked.fails(401, "UNAUTHORIZED").header("www-authenticate");
    assert!(challenge.ends_with(",scope=\"registry:catalog:*\""), "{challenge}");
    for (who, expected) in
        [(As::Nobody, json!(["team/app"])), (As::admin(), json!(["secret/app", "team/app"]))]
    {
        let token = world.token(&who, "registry:catalog:*").await;
        assert_eq!(list(&token).await.is(StatusCode::OK).json()["repositories"], expected);
    }
}

#[tokio::test]
async fn a_mount_takes_only_from_what_may_be_pulled() {
    let world = filled().await;
    let alice = world.add_user("alice", &[]).await;
    world.grant("user:alice", "developer", "mine/**").await;
    let layer = sha256(b"layer");
    let mount = async |from: &str| {
        let path = format!("/v2/mine/app/blobs/uploads/?mount={layer}{from}");
        world.ask(&alice, "POST", &path, Value::Null).await.status
    };
    for from in ["", "&from=secret/app", "&from=team/app", "&from=no/such", "&from=%21"] {
        assert_eq!(mount(from).await, StatusCode::ACCEPTED, "{from}");
    }
    world.grant("user:alice", "read-only", "team/**").await;
    assert_eq!(mount("&from=secret/app").await, StatusCode::ACCEPTED);
    assert_eq!(mount("").await, StatusCode::CREATED, "from what may be pulled");
    assert_eq!(mount("&from=team/app").await, StatusCode::CREATED);
    let path = format!("/v2/mine/other/blobs/uploads/?mount={layer}&from=team/app");
    let token = world.token(&alice, "repository:mine/other:pull,push").await;
    let refused = world.ask(&token, "POST", &path, Value::Null).await;
    let challenge = refused.fails(401, "UNAUTHORIZED").header("www-authenticate");
    // Who names no source is not asked for a token for one.
    let anywhere = format!("/v2/mine/other/blobs/uploads/?mount={layer}");
    world.ask(&token, "POST", &anywhere, Value::Null).await.is(StatusCode::ACCEPTED);
    let both = "repository:mine/other:pull,push repository:team/app:pull";
    assert!(challenge.ends_with(&format!(",scope=\"{both}\",error=\"insufficient_scope\"")));
    let token = world.token(&alice, &both.replace(' ', "%20")).await;
    world.ask(&token, "POST", &path, Value::Null).await.is(StatusCode::CREATED);
}

#[tokio::test]
async fn who_is_removed_while_they_send_has_sent_nothing() {
    let world = filled().await;
    let image = image(&[b"layer", b"team/app"], None).to_string();
    let manifest = "/v2/team/app/manifests/2".to_owned();
    let blob = format!("/v2/team/app/blobs/{}", sha256(b"blob"));
    let upload = format!("/v2/team/app/blobs/uploads/?digest={}", sha256(b"blob"));
    for (method, path, content, made) in
        [("PUT", &manifest, &*image.leak(), &manifest), ("POST", &upload, "blob", &blob)]
    {
        let alice = world.add_user("alice", &[]).await;
        world.grant("user:alice", "maintainer", "team/**").await;
        let call = world.request(method, path).by(&alice).header(header::CONTENT_TYPE, IMAGE);
        let (end, sent) = begin(call, content).await;
        world.manage("DELETE", "accounts/alice", Value::Null).await;
        end.send(()).unwrap();
        assert_eq!(sent.await.unwrap(), 401);
        let found = world.ask(&As::admin(), "HEAD", made, Value::Null).await;
        found.is(StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn a_token_that_ends_while_its_blob_is_sent_was_good_when_that_began() {
    let world = filled().await;
    let alice = world.add_user("alice", &[]).await;
    world.grant("user:alice", "maintainer", "team/**").await;
    let token = world.token(&alice, "repository:team/app:pull,push").await;
    let upload = format!("/v2/team/app/blobs/uploads/?digest={}", sha256(b"blob"));
    let (end, sent) = begin(world.request("POST", &upload).by(&token), "blob").await;
    world.pass(Duration::from_secs(60 * 60));
    world.add_user("bob", &[]).await;
    end.send(()).unwrap();
    assert_eq!(sent.await.unwrap(), 201, "nothing was taken from her");
    let again = world.request("POST", &upload).by(&token).body(b"blob").send().await;
    again.fails(401, "UNAUTHORIZED");
}

#[tokio::test]
async fn who_may_not_pull_does_not_learn_what_a_tag_is() {
    let world = filled().await;
    let alice = world.add_user("alice", &[]).await;
    world.manage("PUT", "roles/pusher", json!({ "verbs": ["push", "move-tag", "delete"] })).await;
    world.grant("user:alice", "pusher", "team/**").await;
    let tagged = sha256(image(&[b"layer", b"team/app"], None).to_string().as_bytes());
    let pushed = image(&[b"layer"], None).to_string();
    let other = format!("\"{}\"", sha256(b"other"));
    let ask = async |method: &str| {
        let call = world.request(method, "/v2/team/app/manifests/1").by(&alice);
        let call = call.header(header::IF_MATCH, &other).header(header::CONTENT_TYPE, IMAGE);
        call.body(pushed.as_bytes()).send().await
    };
    for (method, told) in [("PUT", false), ("DELETE", false), ("PUT", true), ("DELETE", true)] {
        if told {
            world.grant("user:alice", "read-only", "team/**").await;
        }
        let reply = ask(method).await;
        reply.fails(412, "DENIED");
        assert_eq!(reply.headers.contains_key(header::ETAG), told, "{method}");
        assert_eq!(reply.json().to_string().contains(tagged.as_str()), told, "{method}");
    }
}

#[tokio::test]
async fn who_may_not_send_holds_up_nobody_who_may() {
    let options = Options { transfers: 1, transfers_per_client: 1, ..Options::default() };
    let world = closed_with(options, |_| {}).await;
    let (end, body) = held_body("x");
    let (taken, was_taken) = oneshot::channel();
    let mut taken = Some(taken);
    let body = body.into_data_stream().inspect(move |_| {
        let _ = taken.take().map(|taken| taken.send(()));
    });
    // The refusal waits for what is still being sent.
    let call = world.request("POST", "/v2/a/blobs/uploads/").with(Body::from_stream(body));
    let sent = tokio::spawn(call.send());
    was_taken.await.unwrap();
    let pull = world.ask(&As::admin(), "GET", "/v2/a/tags/list", Value::Null).await;
    pull.fails(404, "NAME_UNKNOWN");
    end.send(()).unwrap();
    sent.await.unwrap().fails(401, "UNAUTHORIZED");
}

#[tokio::test]
async fn who_may_create_tags_alone_moves_none() {
    let world = filled().await;
    let robot = world.add_user("releaser", &[]).await;
    let verbs = json!({ "verbs": ["pull", "push", "create-tag"] });
    world.manage("PUT", "roles/releaser", verbs).await;
    world.grant("user:releaser", "releaser", "team/**").await;
    let manifest = image(&[b"layer"], None).to_string();
    put(&world, &robot, "team/app", "1", manifest.as_bytes()).await.fails(403, "DENIED");
    let digest = sha256(manifest.as_bytes());
    let by_digest = format!("{digest}?tag=1");
    put(&world, &robot, "team/app", &by_digest, manifest.as_bytes()).await.fails(403, "DENIED");
    put(&world, &robot, "team/app", "2", manifest.as_bytes()).await.is(StatusCode::CREATED);
    put(&world, &robot, "team/app", "2", manifest.as_bytes()).await.is(StatusCode::CREATED);
    let other = image(&[b"team/app"], None).to_string();
    put(&world, &robot, "team/app", "2", other.as_bytes()).await.fails(403, "DENIED");
    let tag = world.ask(&robot, "HEAD", "/v2/team/app/manifests/2", Value::Null).await;
    assert_eq!(tag.header("docker-content-digest"), digest.to_string());
}

#[tokio::test]
async fn an_upload_goes_on_for_whoever_began_it_alone() {
    let world = closed().await;
    let alice = world.add_user("alice", &[]).await;
    let bob = world.add_user("bob", &[]).await;
    world.grant("authenticated", "developer", "team/**").await;
    let begun = world.ask(&alice, "POST", "/v2/team/app/blobs/uploads/", Value::Null).await;
    let location = begun.is(StatusCode::ACCEPTED).location();
    let send = async |who: &As| world.request("PATCH", &location).by(who).body(b"x").send().await;
    send(&bob).await.fails(404, "BLOB_UPLOAD_UNKNOWN");
    send(&As::admin()).await.fails(404, "BLOB_UPLOAD_UNKNOWN");
    send(&As::Nobody).await.fails(401, "UNAUTHORIZED");
    send(&alice).await.is(StatusCode::ACCEPTED);
}

#[tokio::test]
async fn an_account_that_asks_too_often_is_told_to_come_back_from_wherever_it_asks() {
    let options = Options { requests_per_account_per_minute: 5, ..Options::default() };
    let world = closed_with(options, |_| {}).await;
    let ask =
        async |who: &As, from: &str| world.request("GET", "/v2/").from(from).by(who).send().await;
    let admin = As::admin();
    for host in 1..=3 {
        ask(&admin, &format!("10.0.0.{host}")).await.is(StatusCode::OK);
    }
    // Tokens count, and so does what is denied.
    let token = world.token(&admin, "repository:a:pull").await;
    let denied = world.request("DELETE", "/v2/a/manifests/1").by(&token).send().await;
    denied.fails(401, "UNAUTHORIZED");
    let refused = ask(&admin, "10.0.0.9").await;
    refused.fails(429, "TOOMANYREQUESTS");
    assert!((1..=60).contains(&refused.header("retry-after").parse::<u64>().unwrap()));
    ask(&As::Nobody, "10.0.0.9").await.is(StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn behind_a_trusted_proxy_with_tls_clients_are_sent_for_tokens_by_it() {
    let trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()];
    let options = Options { trusted_proxies, ..Options::default() };
    let world = closed_with(options, |_| {}).await;
    for (from, scheme) in [("10.0.0.1", "https"), ("192.0.2.1", "http")] {
        let call = world.request("GET", "/v2/").from(from);
        let call = call.header(header::HOST, "registry.example");
        let call = call.header(HeaderName::from_static("x-forwarded-proto"), "https");
        let reply = call.send().await;
        let realm = format!("Bearer realm=\"{scheme}://registry.example/");
        assert!(reply.header("www-authenticate").starts_with(&realm), "{reply:?}");
    }
}
