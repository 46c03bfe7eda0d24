//! What the audit log has of those who log in, are refused and change things.

use std::time::Duration;

use http::header;
use proto::limits::REFUSALS_RECORDED_PER_MINUTE;
use serde_json::{Value, json};
use tracing_subscriber::filter::LevelFilter;

use super::{As, PASSWORD, closed};
use crate::log::Log;
use crate::world::{Call, World, sha256};

/// Whether `records` has one with all of these fields.
fn has(records: &[Value], fields: &Value) -> bool {
    let fields = fields.as_object().unwrap();
    records.iter().any(|record| fields.iter().all(|(name, value)| record[name] == *value))
}

#[tokio::test]
async fn logins_refusals_and_changes_are_recorded_and_no_secret_is() {
    let (log, _recording) = Log::record("audit", LevelFilter::DEBUG);

    let world = closed().await;
    let alice = world.add_user("alice", &["web"]).await;
    world.grant("user:alice", "developer", "team/**").await;
    let (key, id) = world.add_key("alice", json!({})).await;
    let records = log.take();
    for change in [
        json!({ "actor": "admin", "change": "create user alice" }),
        json!({ "actor": "admin", "change": "grant: user:alice is developer on team/**" }),
        json!({ "actor": "admin", "change": format!("create key {id} of alice") }),
    ] {
        assert!(has(&records, &change), "{change} is not in {records:?}");
    }

    let ask = async |who: &As, method: &str, path: &str| {
        world.request(method, path).from("10.0.0.7").by(who).send().await
    };
    let token = world.token(&alice, "repository:team/app:pull,push").await;
    ask(&key, "POST", "/v2/team/app/blobs/uploads/").await;
    ask(&As::basic("alice", "wrong horse"), "GET", "/v2/").await;
    ask(&As::basic("eve\n", "wrong horse"), "GET", "/v2/").await;
    ask(&As::Bearer("forged".to_owned()), "GET", "/v2/").await;
    ask(&alice, "DELETE", "/v2/team/app/manifests/1").await;
    let records = log.take();
    for expected in [
        json!({ "message": "logged in", "account": "alice", "with": "password" }),
        json!({ "message": "logged in", "client": "10.0.0.7", "with": format!("key {id}") }),
        json!({ "message": "login failed", "client": "10.0.0.7", "account": "\"alice\"" }),
        json!({ "message": "login failed", "account": "\"eve\\n\"" }),
        json!({ "message": "token refused", "client": "10.0.0.7" }),
        json!({ "message": "denied", "actor": "alice", "need": "delete in team/app" }),
    ] {
        assert!(has(&records, &expected), "{expected} is not in {records:?}");
    }
    let (As::Basic(_, key), As::Bearer(token)) = (key, token) else { panic!("a key and a token") };
    let text = format!("{records:?}");
    for secret in [PASSWORD, "wrong horse", "forged", &key, &token] {
        assert!(!text.contains(secret), "{secret} is in {text}");
    }
}

#[tokio::test]
async fn what_is_refused_in_administration_is_recorded() {
    let (log, _recording) = Log::record("audit", LevelFilter::DEBUG);

    let world = closed().await;
    let alice = world.add_user("alice", &[]).await;
    let own = "/roadstead/v1/accounts/alice";
    world.ask(&alice, "PATCH", own, json!({ "enabled": true })).await.fails(403, "DENIED");
    let node = "/roadstead/v1/cluster/nodes/7";
    world.ask(&As::admin(), "DELETE", node, Value::Null).await.fails(404, "UNKNOWN");
    let records = log.take();
    for expected in [
        json!({ "message": "denied", "actor": "alice", "need": "manage on **" }),
        json!({ "message": "refused", "actor": "admin", "change": "remove node 7" }),
    ] {
        assert!(has(&records, &expected), "{expected} is not in {records:?}");
    }
}

#[tokio::test]
async fn wrong_passwords_are_recorded_whatever_else_their_client_sends() {
    let (log, _recording) = Log::record("audit", LevelFilter::DEBUG);

    let world = closed().await;
    let ask = async |call: Call| {
        call.from("10.0.0.7").send().await.fails(401, "UNAUTHORIZED");
    };
    let garbage = || world.request("GET", "/v2/").header(header::AUTHORIZATION, "Basic !");
    for _ in 0..2 * REFUSALS_RECORDED_PER_MINUTE {
        ask(garbage()).await;
    }
    ask(world.request("GET", "/v2/").by(&As::basic("admin", "wrong horse"))).await;
    let records = log.take();
    let guess = json!({ "message": "login failed", "account": "\"admin\"" });
    assert!(has(&records, &guess), "among {} records", records.len());
    assert!(!records.iter().any(|record| record["count"].is_number()), "it is told later");

    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(60)).await;
    ask(garbage()).await;
    let records = log.take();
    let told = records.iter().find(|record| record["count"].is_number()).unwrap();
    assert_eq!(told["client"], "10.0.0.7", "{told}");
    assert!(told["count"].as_u64().unwrap() > 0, "{told}");
}

#[tokio::test]
async fn what_an_upload_changes_is_recorded() {
    let (log, _recording) = Log::record("audit", LevelFilter::DEBUG);

    let world = World::start().await;
    let digest = sha256(&world.push_image("team/app", "1", b"layer").await);
    let records = log.take();
    let put = |record: &Value| {
        let change = record["change"].as_str().unwrap_or_default();
        change.starts_with(&format!("put team/app@{digest} as "))
    };
    assert!(records.iter().any(put), "{records:?}");
    assert!(records.iter().all(|record| record["actor"] == "anonymous"), "{records:?}");
}
