//! What each built-in role may do at each endpoint of a repository, inside and outside of what is
//! granted; and the tags that a role may set.

use http::{Method, StatusCode, header};
use proto::access::{Role, Verb};
use serde_json::{Value, json};

use super::{As, closed};
use crate::world::{IMAGE, World, image, sha256};

/// What is asked for in a repository, and the verb that it needs.
fn requests() -> Vec<(Method, String, Verb)> {
    let digest = sha256(b"x");
    let upload = "blobs/uploads/00000000000000000000000000000001?state=x";
    let mut requests = Vec::new();
    for path in [
        "tags/list".to_owned(),
        "manifests/1".to_owned(),
        format!("manifests/{digest}"),
        format!("blobs/{digest}"),
        format!("referrers/{digest}"),
    ] {
        requests.push((Method::GET, path.clone(), Verb::Pull));
        requests.push((Method::HEAD, path, Verb::Pull));
    }
    for path in ["manifests/1".to_owned(), format!("manifests/{digest}"), format!("blobs/{digest}")]
    {
        requests.push((Method::DELETE, path, Verb::Delete));
    }
    for path in ["manifests/1".to_owned(), format!("manifests/{digest}?tag=1")] {
        requests.push((Method::PUT, path, Verb::Push));
    }
    requests.push((Method::POST, "blobs/uploads/".to_owned(), Verb::Push));
    requests.push((Method::POST, format!("blobs/uploads/?mount={digest}"), Verb::Push));
    requests.push((Method::POST, format!("blobs/uploads/?digest={digest}"), Verb::Push));
    for method in [Method::GET, Method::PATCH, Method::PUT, Method::DELETE] {
        requests.push((method, upload.to_owned(), Verb::Push));
    }
    requests
}

/// How somebody shows who they are.
#[derive(Clone, Copy, Debug)]
enum Way {
    Password,
    Key,
    Token,
}

async fn shown(world: &World, way: Way, name: &str, repository: &str) -> As {
    let password = As::basic(name, super::PASSWORD);
    match way {
        Way::Password => password,
        Way::Key => world.add_key(name, serde_json::json!({})).await.0,
        Way::Token => {
            world.token(&password, &format!("repository:{repository}:pull,push,delete")).await
        }
    }
}

#[tokio::test]
async fn everybody_may_do_what_is_granted_and_nothing_else() {
    let world = closed().await;
    let roles: Vec<Role> = Role::built_in().collect();
    for role in &roles {
        let (name, group) = (format!("u-{}", role.name), format!("g-{}", role.name));
        world.add_user(&name, &[group.as_str()]).await;
        world.grant(&format!("user:{name}"), role.name.as_str(), "own/**").await;
        world.grant(&format!("group:{group}"), role.name.as_str(), "group/**").await;
    }
    world.grant("authenticated", "read-only", "shared").await;
    world.grant("anonymous", "read-only", "public").await;
    let mut asked = 0;
    for role in &roles {
        for repository in ["own/a", "group/a", "shared", "public", "other"] {
            for way in [Way::Password, Way::Key, Way::Token] {
                let who = shown(&world, way, &format!("u-{}", role.name), repository).await;
                for (method, path, verb) in requests() {
                    let is_granted = match repository {
                        "own/a" | "group/a" => role.verbs.has(verb),
                        "shared" | "public" => verb == Verb::Pull,
                        _ => false,
                    };
                    let path = format!("/v2/{repository}/{path}");
                    let reply = world.ask(&who, method.as_str(), &path, Value::Null).await;
                    let status = reply.status.as_u16();
                    assert!(status < 500, "{reply:?}");
                    let is_refused = status == 403 || status == 401;
                    assert_eq!(
                        !is_refused, is_granted,
                        "{role:?} {way:?} {method} {path}: {status}"
                    );
                    // Who is known is told that they may not, not to log in.
                    assert!(is_granted || status == 403, "{role:?} {way:?} {method} {path}");
                    asked += 1;
                }
            }
        }
    }
    for repository in ["own/a", "group/a", "shared", "public", "other"] {
        for (method, path, verb) in requests() {
            let path = format!("/v2/{repository}/{path}");
            let status = world.ask(&As::Nobody, method.as_str(), &path, Value::Null).await.status;
            let is_granted = repository == "public" && verb == Verb::Pull;
            assert_eq!(status.as_u16() != 401, is_granted, "{method} {path}: {status}");
            asked += 1;
        }
    }
    assert_eq!(asked, requests().len() * 5 * (roles.len() * 3 + 1));
}

/// Verbs of roles that push under tags.
const TAGGING: [&[&str]; 5] = [
    &["push"],
    &["push", "create-tag"],
    &["push", "move-tag"],
    &["push", "create-tag", "move-tag"],
    &["create-tag", "move-tag"],
];

#[tokio::test]
async fn a_role_sets_the_tags_that_its_verbs_name() {
    let world = closed().await;
    for blob in [&b"{}"[..], b"one", b"two"] {
        let path = format!("/v2/own/a/blobs/uploads/?digest={}", sha256(blob));
        let call = world.request("POST", &path).by(&As::admin()).body(blob);
        call.send().await.is(StatusCode::CREATED);
    }
    let put = async |who: &As, tag: &str, layer: &[u8]| {
        let image = image(&[layer], None).to_string();
        let call = world.request("PUT", &format!("/v2/own/a/manifests/{tag}")).by(who);
        let call = call.header(header::CONTENT_TYPE, IMAGE).body(image.as_bytes());
        call.send().await.status.as_u16()
    };
    for (number, verbs) in TAGGING.iter().enumerate() {
        let (name, tag) = (format!("u-{number}"), format!("tag-{number}"));
        world.add_user(&name, &[]).await;
        world.manage("PUT", &format!("roles/r-{number}"), json!({ "verbs": verbs })).await;
        world.grant(&format!("user:{name}"), &format!("r-{number}"), "own/**").await;
        assert_eq!(put(&As::admin(), &tag, b"one").await, 201);
        for way in [Way::Password, Way::Key] {
            let who = shown(&world, way, &name, "own/a").await;
            let may = |verb| verbs.contains(&"push") && verbs.contains(&verb);
            let status = |verb| if may(verb) { 201 } else { 403 };
            let fresh = format!("{tag}-{way:?}");
            assert_eq!(put(&who, &fresh, b"one").await, status("create-tag"), "{verbs:?} {way:?}");
            assert_eq!(put(&who, &tag, b"two").await, status("move-tag"), "{verbs:?} {way:?}");
            assert_eq!(put(&As::admin(), &tag, b"one").await, 201);
        }
    }
}
