//! Logging in, and what tokens are good for.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use http::{HeaderName, StatusCode, header};
use serde_json::{Value, json};

use super::{As, PASSWORD, closed, closed_as};
use crate::world::{Reply, World, sha256};

async fn tags(world: &World, who: &As, repository: &str) -> Reply {
    world.ask(who, "GET", &format!("/v2/{repository}/tags/list"), Value::Null).await
}

/// That a request is refused for want of rights, or permitted: what it finds does not matter.
#[track_caller]
fn is_permitted(reply: &Reply) -> bool {
    match reply.status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => false,
        status => {
            assert!(!status.is_server_error(), "{reply:?}");
            true
        }
    }
}

#[tokio::test]
async fn whoever_has_not_logged_in_is_told_where_tokens_are() {
    let world = closed().await;
    let reply = world.ask(&As::Nobody, "GET", "/v2/", Value::Null).await;
    reply.fails(401, "UNAUTHORIZED");
    let realm = "Bearer realm=\"http://registry.example:5000/roadstead/v1/token\"";
    assert_eq!(reply.header("www-authenticate"), format!("{realm},service=\"roadstead\""));
    let reply = tags(&world, &As::Nobody, "team/app").await;
    reply.fails(401, "UNAUTHORIZED");
    let scope = ",service=\"roadstead\",scope=\"repository:team/app:pull\"";
    assert_eq!(reply.header("www-authenticate"), format!("{realm}{scope}"));
    let push = world.ask(&As::Nobody, "POST", "/v2/team/app/blobs/uploads/", Value::Null).await;
    assert!(push.header("www-authenticate").ends_with("scope=\"repository:team/app:pull,push\""));
    let manage = world.ask(&As::Nobody, "GET", "/roadstead/v1/accounts", Value::Null).await;
    assert_eq!(
        manage.fails(401, "UNAUTHORIZED").header("www-authenticate"),
        "Basic realm=\"Roadstead\""
    );
}

#[tokio::test]
async fn a_token_is_good_for_what_was_asked_for_and_is_granted() {
    let world = closed().await;
    let alice = world.add_user("alice", &[]).await;
    world.grant("user:alice", "developer", "team/**").await;
    let token = world.token(&alice, "repository:team/app:pull,push,delete").await;
    assert!(is_permitted(&tags(&world, &token, "team/app").await));
    world.ask(&token, "GET", "/v2/", Value::Null).await.is(StatusCode::OK);
    let begun = world.ask(&token, "POST", "/v2/team/app/blobs/uploads/", Value::Null).await;
    begun.is(StatusCode::ACCEPTED);

    let other = tags(&world, &token, "team/web").await;
    other.fails(401, "UNAUTHORIZED");
    assert!(other.header("www-authenticate").ends_with(",error=\"insufficient_scope\""));
    tags(&world, &token, "secret").await.fails(403, "DENIED");
    let delete = world.ask(&token, "DELETE", "/v2/team/app/manifests/1", Value::Null).await;
    delete.fails(403, "DENIED");
    let nobody = world.token(&As::Nobody, "repository:team/app:pull").await;
    world.ask(&nobody, "GET", "/v2/", Value::Null).await.is(StatusCode::OK);
    tags(&world, &nobody, "team/app").await.fails(401, "UNAUTHORIZED");
}

#[tokio::test]
async fn a_wrong_name_and_a_wrong_password_look_alike() {
    let world = closed().await;
    world.add_user("alice", &[]).await;
    world.add_user("bob", &[]).await;
    world.manage("PATCH", "accounts/bob", json!({ "enabled": false })).await;
    let attempts = [
        As::basic("alice", "wrong horse"),
        As::basic("nobody", PASSWORD),
        As::basic("Not A Name", PASSWORD),
        As::basic("bob", PASSWORD),
        As::basic("alice", "rsk_forged"),
        As::basic("", ""),
    ];
    let mut seen: Option<Reply> = None;
    for who in attempts {
        let reply = world.ask(&who, "GET", "/roadstead/v1/token", Value::Null).await;
        reply.fails(401, "UNAUTHORIZED");
        let same = seen.get_or_insert_with(|| Reply {
            status: reply.status,
            headers: reply.headers.clone(),
            body: reply.body.clone(),
        });
        assert_eq!((&same.headers, &same.body), (&reply.headers, &reply.body), "{who:?}");
        tags(&world, &who, "team/app").await.fails(401, "UNAUTHORIZED");
    }
}

#[tokio::test]
async fn a_password_can_be_exchanged_by_post() {
    let world = closed().await;
    world.add_user("alice", &[]).await;
    world.grant("user:alice", "read-only", "**").await;
    let form = |password: &str| {
        format!(
            "grant_type=password&service=roadstead&client_id=x&username=alice&password={password}\
                 &scope=repository%3Ateam%2Fapp%3Apull"
        )
    };
    let exchange = async |form: String| {
        world.request("POST", "/roadstead/v1/token").body(form.as_bytes()).send().await
    };
    let reply = exchange(form("correct+horse")).await;
    let token =
        As::Bearer(reply.is(StatusCode::OK).json()["access_token"].as_str().unwrap().into());
    assert!(is_permitted(&tags(&world, &token, "team/app").await));
    assert_eq!(reply.header("cache-control"), "no-store");
    exchange(form("wrong")).await.fails(401, "UNAUTHORIZED");
    exchange("grant_type=refresh_token&refresh_token=x".to_owned()).await.fails(400, "UNSUPPORTED");
    exchange("x".repeat(100_000)).await.fails(413, "UNSUPPORTED");
}

#[tokio::test]
async fn what_was_given_out_ends_with_what_it_rests_on() {
    let world = closed().await;
    let alice = world.add_user("alice", &[]).await;
    world.grant("user:alice", "developer", "team/**").await;
    let (key, id) = world.add_key("alice", json!({})).await;
    let scope = "repository:team/app:pull,push";
    let tokens = [world.token(&alice, scope).await, world.token(&key, scope).await];
    for token in &tokens {
        assert!(is_permitted(&tags(&world, token, "team/app").await));
    }
    world.manage("DELETE", &format!("accounts/alice/keys/{id}"), Value::Null).await;
    tags(&world, &tokens[1], "team/app").await.fails(401, "UNAUTHORIZED");
    tags(&world, &key, "team/app").await.fails(401, "UNAUTHORIZED");
    assert!(is_permitted(&tags(&world, &tokens[0], "team/app").await));

    world.manage("PATCH", "accounts/alice", json!({ "password": "another horse" })).await;
    tags(&world, &tokens[0], "team/app").await.fails(401, "UNAUTHORIZED");
    tags(&world, &alice, "team/app").await.fails(401, "UNAUTHORIZED");
    let alice = As::basic("alice", "another horse");
    let token = world.token(&alice, scope).await;
    world.revoke("user:alice", "developer", "team/**").await;
    tags(&world, &token, "team/app").await.fails(403, "DENIED");
    world.grant("user:alice", "read-only", "team/**").await;
    assert!(is_permitted(&tags(&world, &token, "team/app").await));
    let push = world.ask(&token, "POST", "/v2/team/app/blobs/uploads/", Value::Null).await;
    push.fails(403, "DENIED");

    world.manage("DELETE", "accounts/alice", Value::Null).await;
    tags(&world, &token, "team/app").await.fails(401, "UNAUTHORIZED");
    let account = json!({ "name": "alice", "password": "another horse" });
    world.manage("POST", "accounts", account).await;
    tags(&world, &token, "team/app").await.fails(401, "UNAUTHORIZED");
    tags(&world, &alice, "team/app").await.fails(403, "DENIED");
}

#[tokio::test]
async fn a_token_and_a_key_end_in_time() {
    let world = closed().await;
    let alice = world.add_user("alice", &[]).await;
    world.grant("user:alice", "developer", "**").await;
    let (key, _) = world.add_key("alice", json!({ "expires_in": 3600 })).await;
    let token = world.token(&alice, "repository:a:pull").await;
    assert!(is_permitted(&tags(&world, &key, "a").await));
    world.pass(Duration::from_secs(301));
    tags(&world, &token, "a").await.fails(401, "UNAUTHORIZED");
    assert!(is_permitted(&tags(&world, &key, "a").await));
    world.pass(Duration::from_secs(3600));
    tags(&world, &key, "a").await.fails(401, "UNAUTHORIZED");
    for _ in 0..2 {
        world.pass(Duration::from_secs(31 * 24 * 3600));
        let token = world.token(&alice, "repository:a:pull").await;
        assert!(is_permitted(&tags(&world, &token, "a").await));
    }
    let keys = world.get("/roadstead/v1/token/keys").await.json();
    assert_eq!(keys["keys"].as_array().unwrap().len(), 2, "{keys}");
    assert!(keys["keys"][0]["x"].is_string() && keys["keys"][0]["d"].is_null());
}

#[tokio::test]
async fn a_key_does_what_its_scope_leaves_and_no_administration_of_its_own() {
    let world = closed().await;
    let alice = world.add_user("alice", &[]).await;
    world.grant("user:alice", "maintainer", "**").await;
    let scope = json!({ "scope": ["team/**=pull,push"], "description": "ci" });
    let (key, _) = world.add_key("alice", scope).await;
    assert!(is_permitted(&tags(&world, &key, "team/app").await));
    tags(&world, &key, "other").await.fails(403, "DENIED");
    let token = world.token(&key, "repository:other:pull").await;
    tags(&world, &token, "other").await.fails(403, "DENIED");
    let delete = world.ask(&key, "DELETE", "/v2/team/app/manifests/1", Value::Null).await;
    delete.fails(403, "DENIED");
    let keys = "/roadstead/v1/accounts/alice/keys";
    world.ask(&key, "POST", keys, json!({})).await.fails(403, "DENIED");
    world.ask(&alice, "POST", keys, json!({})).await.is(StatusCode::CREATED);
    let (admin, _) = world.add_key("admin", json!({ "scope": ["team/**=manage"] })).await;
    world.ask(&admin, "GET", "/roadstead/v1/accounts", Value::Null).await.fails(403, "DENIED");
    let (admin, _) = world.add_key("admin", json!({})).await;
    world.ask(&admin, "GET", "/roadstead/v1/accounts", Value::Null).await.is(StatusCode::OK);
    // It administers others, and does not renew itself: who has stolen it loses it with it.
    let own = "/roadstead/v1/accounts/admin";
    let own_keys = "/roadstead/v1/accounts/admin/keys";
    world.ask(&admin, "GET", own_keys, Value::Null).await.is(StatusCode::OK);
    world.ask(&admin, "POST", own_keys, json!({})).await.fails(403, "DENIED");
    let password = json!({ "password": "another horse" });
    world.ask(&admin, "PATCH", own, password).await.fails(403, "DENIED");
    world.ask(&admin, "POST", keys, json!({})).await.is(StatusCode::CREATED);
    let token = world.token(&As::admin(), "registry:catalog:*").await;
    world
        .ask(&token, "GET", "/roadstead/v1/accounts", Value::Null)
        .await
        .fails(401, "UNAUTHORIZED");
}

#[tokio::test]
async fn users_of_a_file_log_in_until_the_file_changes() {
    let hash = bcrypt::hash(PASSWORD, 4).unwrap();
    let file: api::Htpasswd = format!("carol:{hash}\nadmin:{hash}").parse().unwrap();
    let world = closed_as(|options| options.htpasswd = Some(file.clone())).await;
    world.grant("user:carol", "read-only", "**").await;
    let carol = As::basic("carol", PASSWORD);
    let token = world.token(&carol, "repository:a:pull").await;
    assert!(is_permitted(&tags(&world, &token, "a").await));
    assert!(is_permitted(&tags(&world, &carol, "a").await));
    file.replace(&format!("carol:{}", bcrypt::hash("another horse", 4).unwrap()).parse().unwrap());
    tags(&world, &token, "a").await.fails(401, "UNAUTHORIZED");
    tags(&world, &carol, "a").await.fails(401, "UNAUTHORIZED");
    assert!(is_permitted(&tags(&world, &As::basic("carol", "another horse"), "a").await));
    // The cluster's own account of a name goes before the file's.
    world.manage("PATCH", "accounts/admin", json!({ "password": "third horse" })).await;
    tags(&world, &As::admin(), "a").await.fails(401, "UNAUTHORIZED");
}

#[tokio::test]
async fn credentials_that_cannot_be_read_are_no_good() {
    let world = closed().await;
    world.grant("anonymous", "read-only", "**").await;
    assert!(is_permitted(&tags(&world, &As::Nobody, "a").await));
    for value in ["Basic !", "Digest x", "Bearer ", "Bearer a.b.c", "Basic YWJj"] {
        let call = world.request("GET", "/v2/a/tags/list");
        let reply = call.header(header::AUTHORIZATION, value).send().await;
        reply.fails(401, "UNAUTHORIZED");
    }
}

#[tokio::test]
async fn who_has_mistyped_a_password_is_told_that_it_is_wrong_and_others_to_log_in() {
    let world = closed().await;
    let said = async |who: &As, path: &str| {
        let reply = world.ask(who, "GET", path, Value::Null).await;
        reply.fails(401, "UNAUTHORIZED");
        reply.json()["errors"][0]["message"].as_str().unwrap().to_owned()
    };
    for path in ["/roadstead/v1/token", "/v2/", "/v2/a/tags/list", "/roadstead/v1/accounts"] {
        let wrong = said(&As::basic("admin", "wrong horse"), path).await;
        assert!(wrong.contains("wrong or has ended"), "{path}: {wrong}");
        assert_eq!(said(&As::basic("nobody", PASSWORD), path).await, wrong);
    }
    let missing = said(&As::Nobody, "/v2/").await;
    assert!(missing.starts_with("log in"), "{missing}");
}

#[tokio::test]
async fn a_certificate_logs_in_the_account_that_it_names() {
    let world = closed().await;
    world.add_user("alice", &[]).await;
    world.grant("user:alice", "read-only", "**").await;
    let certificate = |name: &str| As::Certificate(name.to_owned());
    let alice = certificate("alice");
    assert!(is_permitted(&tags(&world, &alice, "a").await));
    let token = world.token(&alice, "repository:a:pull").await;
    assert!(is_permitted(&tags(&world, &token, "a").await));
    let push = world.ask(&alice, "POST", "/v2/a/blobs/uploads/", Value::Null).await;
    push.fails(403, "DENIED");
    for name in ["bob", "Alice", ""] {
        let reply = tags(&world, &certificate(name), "a").await;
        let challenge = reply.fails(401, "UNAUTHORIZED").header("www-authenticate").to_owned();
        assert!(challenge.starts_with("Bearer realm=\"https://"), "{challenge}");
    }
    let own = json!({ "password": "another horse" });
    let path = "/roadstead/v1/accounts/alice";
    world.ask(&alice, "PATCH", path, own).await.fails(403, "DENIED");
    world.manage("PATCH", "accounts/alice", json!({ "enabled": false })).await;
    tags(&world, &alice, "a").await.fails(401, "UNAUTHORIZED");
}

#[tokio::test]
async fn a_certificate_is_nobodys_for_what_a_page_of_another_site_would_change() {
    let world = closed().await;
    world.add_user("alice", &[]).await;
    world.grant("user:alice", "developer", "**").await;
    let alice = As::Certificate("alice".to_owned());
    let ask = async |method: &str, path: &str, from: Option<(HeaderName, &str)>| {
        let call = world.request(method, path).by(&alice).header(header::HOST, "registry.example");
        let call = match from {
            Some((name, value)) => call.header(name, value),
            None => call,
        };
        call.send().await.status.as_u16()
    };
    let site = HeaderName::from_static("sec-fetch-site");
    let elsewhere = [
        (header::ORIGIN, "https://evil.example"),
        (site.clone(), "cross-site"),
        (site.clone(), "same-site"),
    ];
    let mount = format!("/v2/public/blobs/uploads/?mount={}&from=secret", sha256(b"layer"));
    for path in [&*mount, "/v2/a/blobs/uploads/"] {
        for from in elsewhere.clone() {
            assert_eq!(ask("POST", path, Some(from)).await, 401, "{path}");
        }
        let here = (header::ORIGIN, "https://registry.example");
        for from in [None, Some(here), Some((site.clone(), "same-origin"))] {
            assert_eq!(ask("POST", path, from).await, 202, "{path}");
        }
    }
    for from in elsewhere {
        // What it reads, it does not get to see.
        assert_eq!(ask("GET", "/v2/a/tags/list", Some(from)).await, 404);
    }
}

/// What somebody shows who guesses at the password of `name`: each time another one.
fn guess_at(name: &str) -> As {
    static GUESSES: AtomicU32 = AtomicU32::new(0);
    As::basic(name, &format!("wrong horse {}", GUESSES.fetch_add(1, Ordering::Relaxed)))
}

#[tokio::test]
async fn one_address_uses_up_no_more_than_its_part_of_the_guesses_at_an_account() {
    let world = closed().await;
    let guess = async |from: &str| {
        let call = world.request("GET", "/roadstead/v1/token").from(from).by(&guess_at("admin"));
        call.send().await.status.as_u16()
    };
    let mut guesses = 0;
    let refused = loop {
        match guess("10.0.0.1").await {
            401 => guesses += 1,
            other => break other,
        }
        assert!(guesses < 100, "guesses without end");
    };
    assert_eq!(refused, 429);
    assert_eq!(guess("10.0.0.2").await, 401, "others may try");
    let admin = world.request("GET", "/roadstead/v1/token").from("10.0.0.3").by(&As::admin());
    admin.send().await.is(StatusCode::OK);
}

/// The memory of what was right tells no more than a check does.
#[tokio::test]
async fn the_right_password_is_no_answer_to_guesses_that_have_run_out() {
    let world = closed().await;
    let alice = world.add_user("alice", &[]).await;
    let ask = async |account: &As, from: &str| {
        let call = world.request("GET", "/roadstead/v1/token").from(from).by(account);
        call.send().await.status.as_u16()
    };
    let guess_to_the_end = async |from: &str| {
        let mut guesses = 0;
        while ask(&guess_at("alice"), from).await == 401 {
            guesses += 1;
            assert!(guesses < 100, "guesses without end");
        }
    };
    for from in ["10.0.0.1", "10.0.0.9"] {
        assert_eq!(ask(&alice, from).await, 200, "from {from}");
    }
    // A guess may have come back at any moment, so that the right one is the next to be counted.
    let mut answers = Vec::new();
    for _ in 0..5 {
        guess_to_the_end("10.0.0.1").await;
        answers.push(ask(&alice, "10.0.0.1").await);
    }
    assert!(answers.contains(&429), "from where she was let in: {answers:?}");
    assert_eq!(ask(&alice, "10.0.0.9").await, 200, "nobody has guessed there");
    let mut answers = Vec::new();
    for round in 0..5 {
        guess_to_the_end(&format!("10.1.0.{round}")).await;
        answers.push(ask(&alice, &format!("10.2.0.{round}")).await);
    }
    assert!(answers.contains(&429), "from where nobody has guessed or was let in: {answers:?}");
    assert_eq!(ask(&alice, "10.0.0.9").await, 200, "who is in stays in");
}

/// A machine with the password of before shares its address with others, who go on.
#[tokio::test]
async fn a_wrong_password_that_comes_again_and_again_uses_up_nobodys_guesses() {
    let world = closed().await;
    let alice = world.add_user("alice", &[]).await;
    let ask = async |account: &As| {
        let call = world.request("GET", "/roadstead/v1/token").from("10.0.0.1").by(account);
        call.send().await.status.as_u16()
    };
    for account in ["alice", "nobody"] {
        for _ in 0..100 {
            assert_eq!(ask(&As::basic(account, "outdated horse")).await, 401);
        }
    }
    assert_eq!(ask(&alice).await, 200);
    // What was wrong may be right one day.
    let anew = json!({ "password": "outdated horse" });
    world.manage("PATCH", "accounts/alice", anew).await;
    assert_eq!(ask(&As::basic("alice", "outdated horse")).await, 200);
    assert_eq!(ask(&alice).await, 401);
}

#[tokio::test]
async fn a_password_that_many_addresses_have_is_checked_once() {
    let world = closed().await;
    let alice = world.add_user("alice", &[]).await;
    for machine in 0..100 {
        let call = world.request("GET", "/roadstead/v1/token").by(&alice);
        call.from(&format!("10.0.0.{machine}")).send().await.is(StatusCode::OK);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_comes_many_times_at_once_is_checked_once() {
    let world = closed().await;
    world.add_user("alice", &[]).await;
    let alice = As::basic("alice", PASSWORD);
    let ask = |_| {
        let call = world.request("GET", "/roadstead/v1/token").from("10.0.0.1").by(&alice);
        tokio::spawn(call.send())
    };
    let asked: Vec<_> = (0..30).map(ask).collect();
    for reply in asked {
        reply.await.unwrap().is(StatusCode::OK);
    }
}

#[tokio::test]
async fn guesses_run_out_and_lock_nobody_out_who_is_in() {
    let world = closed().await;
    let alice = world.add_user("alice", &[]).await;
    world.grant("user:alice", "read-only", "**").await;
    world.token(&alice, "repository:a:pull").await;
    let guess = async |name: &str, from: &str| {
        let call = world.request("GET", "/roadstead/v1/token").from(from).by(&guess_at(name));
        call.send().await
    };
    let mut guesses = 0;
    let refused = loop {
        // Each from elsewhere.
        let reply = guess("alice", &format!("10.0.0.{guesses}")).await;
        if reply.status != StatusCode::UNAUTHORIZED {
            break reply;
        }
        guesses += 1;
        assert!(guesses < 100, "guesses without end");
    };
    refused.fails(429, "TOOMANYREQUESTS");
    assert!(refused.header("retry-after").parse::<u64>().unwrap() > 0);
    world.token(&alice, "repository:a:pull").await;
    let mut guesses = 0;
    while guess(&format!("user-{guesses}"), "10.1.0.1").await.status == StatusCode::UNAUTHORIZED {
        guesses += 1;
        assert!(guesses < 500, "guesses without end");
    }
    guess("bob", "10.2.0.1").await.fails(401, "UNAUTHORIZED");
}
