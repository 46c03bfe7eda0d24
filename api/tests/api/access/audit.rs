//! What the audit log has of those who log in, are refused and change things.

use serde_json::{Value, json};
use tracing_subscriber::filter::LevelFilter;

use super::{As, PASSWORD, closed};
use crate::log::Log;
use crate::world::{World, sha256};

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
