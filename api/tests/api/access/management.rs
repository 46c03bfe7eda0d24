//! Managing accounts, keys, roles and grants.

use http::{StatusCode, header};
use proto::limits::KEY_USE_INTERVAL;
use serde_json::{Value, json};

use super::{As, PASSWORD, closed};
use crate::abuse::begin;
use crate::world::{World, eventually};

#[tokio::test]
async fn a_key_that_would_mislead_who_reads_of_it_is_refused() {
    let world = closed().await;
    world.add_user("alice", &[]).await;
    let path = "/roadstead/v1/accounts/alice/keys";
    for wrong in [
        json!({ "description": "ci\nanother row" }),
        json!({ "description": "\u{1b}[2Kci" }),
        json!({ "description": "\u{9b}2Kci" }),
        json!({ "expires_in": 0 }),
        json!({ "expires_in": 400_000_000_000_u64 }),
        json!({ "expires_in": u64::MAX }),
    ] {
        let refused = world.ask(&As::admin(), "POST", path, wrong).await;
        refused.fails(400, "UNSUPPORTED");
    }
    world.add_key("alice", json!({ "description": "Zoë’s laptop" })).await;
}

#[tokio::test]
async fn a_key_shows_when_it_was_last_used() {
    let world = closed().await;
    world.add_user("alice", &[]).await;
    let (key, id) = world.add_key("alice", json!({})).await;
    let used = async || {
        let listed = world.manage("GET", "accounts/alice/keys", Value::Null).await.json();
        listed["keys"][0]["last_used"].clone()
    };
    assert_eq!(used().await, Value::Null);
    let token = world.token(&key, "repository:team/app:pull").await;
    eventually(async || used().await.is_string()).await;
    let first = used().await;
    world.ask(&token, "GET", "/v2/", Value::Null).await.is(StatusCode::OK);
    world.pass(KEY_USE_INTERVAL);
    world.token(&key, "repository:team/app:pull").await;
    eventually(async || used().await != first).await;
    let gone = world.manage("DELETE", &format!("accounts/alice/keys/{id}"), Value::Null).await;
    gone.is(StatusCode::NO_CONTENT);
    assert_eq!(used().await, Value::Null);
}

#[tokio::test]
async fn accounts_are_made_shown_changed_and_removed() {
    let world = closed().await;
    let made = json!({ "name": "alice", "password": PASSWORD, "groups": ["web"] });
    let reply = world.manage("POST", "accounts", made.clone()).await;
    assert_eq!(reply.location(), "/roadstead/v1/accounts/alice");
    let admin = As::admin();
    let again = world.ask(&admin, "POST", "/roadstead/v1/accounts", made).await;
    again.fails(409, "DENIED");
    let shown = world.manage("GET", "accounts/alice", Value::Null).await.json();
    let expected = json!({
        "name": "alice", "kind": "user", "groups": ["web"], "enabled": true, "password": true,
    });
    assert_eq!(shown, expected);
    world.manage("POST", "accounts", json!({ "name": "ci", "kind": "robot" })).await;
    let page = world.manage("GET", "accounts?n=2", Value::Null).await;
    let names = |page: &Value| {
        let all = page["accounts"].as_array().unwrap().iter();
        all.map(|account| account["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&page.json()), ["admin", "alice"]);
    assert!(page.header("link").contains("last=alice"));
    world.manage("DELETE", "accounts/alice", Value::Null).await;
    let gone = world.ask(&admin, "GET", "/roadstead/v1/accounts/alice", Value::Null).await;
    gone.fails(404, "UNKNOWN");
    let last = world.ask(&admin, "DELETE", "/roadstead/v1/accounts/admin", Value::Null).await;
    last.fails(409, "DENIED");
}

#[tokio::test]
async fn whoever_is_no_administrator_changes_their_own_password_alone() {
    let world = closed().await;
    let alice = world.add_user("alice", &[]).await;
    world.add_user("bob", &[]).await;
    let patch = async |who: &As, name: &str, change: Value| {
        world.ask(who, "PATCH", &format!("/roadstead/v1/accounts/{name}"), change).await
    };
    let password = json!({ "password": "another horse" });
    patch(&alice, "bob", password.clone()).await.fails(403, "DENIED");
    patch(&alice, "alice", json!({ "groups": ["admins"] })).await.fails(403, "DENIED");
    patch(&alice, "alice", json!({ "enabled": true })).await.fails(403, "DENIED");
    patch(&alice, "alice", json!({ "password": "short" })).await.fails(400, "UNSUPPORTED");
    let like_a_key = json!({ "password": "rsk_and_a_horse" });
    patch(&alice, "alice", like_a_key).await.fails(400, "UNSUPPORTED");
    patch(&alice, "alice", password).await.is(StatusCode::NO_CONTENT);
    let alice = As::basic("alice", "another horse");
    let own = world.ask(&alice, "GET", "/roadstead/v1/accounts/alice", Value::Null).await;
    own.is(StatusCode::OK);
    for (method, path) in [
        ("GET", "accounts"),
        ("POST", "accounts"),
        ("GET", "accounts/bob"),
        ("DELETE", "accounts/alice"),
        ("GET", "accounts/bob/keys"),
        ("POST", "accounts/bob/keys"),
        ("GET", "roles"),
        ("PUT", "roles/x"),
        ("DELETE", "roles/x"),
        ("GET", "grants"),
        ("POST", "grants"),
        ("DELETE", "grants"),
        ("GET", "explanation?verb=pull"),
        ("GET", "cluster"),
        ("DELETE", "cluster/nodes/7"),
    ] {
        let path = format!("/roadstead/v1/{path}");
        world.ask(&alice, method, &path, Value::Null).await.fails(403, "DENIED");
        world.ask(&As::Nobody, method, &path, Value::Null).await.fails(401, "UNAUTHORIZED");
    }
}

#[tokio::test]
async fn who_loses_administration_while_they_send_changes_nothing_by_it() {
    let world = closed().await;
    let alice = world.add_user("alice", &[]).await;
    let path = "/roadstead/v1/accounts/alice";
    let send = async |change: &'static str| {
        world.grant("user:alice", "administrator", "**").await;
        let call = world.request("PATCH", path).by(&alice);
        let call = call.header(header::CONTENT_TYPE, "application/json");
        let (end, sent) = begin(call, change).await;
        world.revoke("user:alice", "administrator", "**").await;
        end.send(()).unwrap();
        sent.await.unwrap()
    };
    for change in [r#"{ "groups": ["admins"] }"#, r#"{ "enabled": false }"#] {
        assert_eq!(send(change).await, 403, "{change}");
    }
    let account = world.manage("GET", "accounts/alice", Value::Null).await.json();
    assert_eq!((&account["groups"], &account["enabled"]), (&json!([]), &json!(true)));
    assert_eq!(send(r#"{ "password": "another horse" }"#).await, 204, "it is her own");
}

#[tokio::test]
async fn what_decides_is_explained() {
    let world = closed().await;
    world.add_user("alice", &["web"]).await;
    world.grant("group:web", "developer", "team/**").await;
    let explain = async |query: &str| {
        world.manage("GET", &format!("explanation?{query}"), Value::Null).await.json()
    };
    let grant = json!({ "grantee": "group:web", "role": "developer", "pattern": "team/**" });
    let yes = explain("account=alice&verb=push&repository=team/app").await;
    assert_eq!(yes, json!({ "permitted": true, "enabled": true, "grant": grant }));
    for query in [
        "account=alice&verb=delete&repository=team/app",
        "account=alice&verb=manage",
        "account=nobody&verb=pull&repository=team/app",
        "verb=pull&repository=team/app",
    ] {
        assert_eq!(explain(query).await["permitted"], json!(false), "{query}");
    }
    world.manage("PATCH", "accounts/alice", json!({ "enabled": false })).await;
    let closed = explain("account=alice&verb=push&repository=team/app").await;
    assert_eq!((&closed["permitted"], &closed["enabled"]), (&json!(false), &json!(false)));
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_with_its_reason() {
    let world = closed().await;
    for (method, path, body) in [
        ("POST", "accounts", json!({})),
        ("POST", "accounts", json!({ "name": "Alice" })),
        ("POST", "accounts", json!({ "name": "a", "password": "short" })),
        ("POST", "accounts", json!({ "name": "a", "kind": "king" })),
        ("POST", "accounts", json!({ "name": "a", "administrator": true })),
        ("POST", "accounts", json!({ "name": "a", "kind": "robot", "password": PASSWORD })),
        ("GET", "accounts/Alice", Value::Null),
        ("POST", "accounts/admin/keys", json!({ "scope": ["everything"] })),
        ("PUT", "roles/x", json!({ "verbs": [] })),
        ("PUT", "roles/x", json!({ "verbs": ["fly"] })),
        ("POST", "grants", json!({ "grantee": "alice", "role": "x", "pattern": "**" })),
        ("POST", "grants", json!({ "grantee": "anonymous", "role": "X", "pattern": "**" })),
        ("POST", "grants", json!({ "grantee": "anonymous", "role": "x", "pattern": "a**" })),
        ("DELETE", "grants", Value::Null),
        ("GET", "explanation", Value::Null),
    ] {
        let path = format!("/roadstead/v1/{path}");
        let reply = world.ask(&As::admin(), method, &path, body.clone()).await;
        reply.fails(400, "UNSUPPORTED");
    }
    let unknown = json!({ "grantee": "anonymous", "role": "x", "pattern": "**" });
    world.ask(&As::admin(), "POST", "/roadstead/v1/grants", unknown).await.fails(404, "UNKNOWN");
}

#[tokio::test]
async fn what_a_page_of_another_site_can_send_changes_nothing() {
    let world = closed().await;
    let grant = json!({ "grantee": "anonymous", "role": "administrator", "pattern": "**" });
    let send = async |content_type: Option<&str>| {
        let mut call = world.request("POST", "/roadstead/v1/grants").by(&As::admin());
        if let Some(content_type) = content_type {
            call = call.header(header::CONTENT_TYPE, content_type);
        }
        call.body(grant.to_string().as_bytes()).send().await
    };
    // All that a browser sends to another site without asking it first (Fetch, section 2.2.2).
    for content_type in [
        None,
        Some("text/plain"),
        Some("application/x-www-form-urlencoded"),
        Some("text/plain; json"),
    ] {
        send(content_type).await.fails(400, "UNSUPPORTED");
    }
    let nobody = world.ask(&As::Nobody, "GET", "/v2/a/tags/list", Value::Null).await;
    nobody.fails(401, "UNAUTHORIZED");
    assert!(send(Some("application/JSON; charset=utf-8")).await.status.is_success());
}

#[tokio::test]
async fn an_open_registry_has_no_accounts_to_manage() {
    let world = World::start().await;
    for path in ["accounts", "grants", "token", "roles"] {
        let reply = world.get(&format!("/roadstead/v1/{path}")).await;
        reply.fails(409, "UNSUPPORTED");
    }
    world.request("GET", "/v2/").by(&As::admin()).send().await.is(StatusCode::OK);
}
