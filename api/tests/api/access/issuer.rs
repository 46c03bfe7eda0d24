//! Tokens of an issuer outside of the cluster.

use api::{Issuer, IssuerError};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};

use super::{As, closed_as};
use crate::world::{World, sha256};

const NAME: &str = "https://tokens.example";
/// The time at which these worlds begin, in seconds.
const NOW: u64 = 1_700_000_000;

/// A token server of a company.
struct Company(EcdsaKeyPair);

impl Company {
    fn found() -> Self {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let key = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        Self(EcdsaKeyPair::from_pkcs8(algorithm, key.as_ref(), &random).unwrap())
    }

    fn keys(&self) -> String {
        let (x, y) = self.0.public_key().as_ref()[1..].split_at(32);
        let [x, y] = [x, y].map(|bytes| URL_SAFE_NO_PAD.encode(bytes));
        let key = json!({ "kty": "EC", "crv": "P-256", "kid": "k1", "x": x, "y": y });
        json!({ "keys": [key] }).to_string()
    }

    fn sign(&self, header: &Value, claims: &Value) -> As {
        let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let message = format!("{}.{}", encode(header), encode(claims));
        let signature = self.0.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        As::Bearer(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    fn token(&self, access: &Value) -> As {
        self.sign(&header(), &claims(access))
    }
}

fn header() -> Value {
    json!({ "alg": "ES256", "kid": "k1" })
}

fn claims(access: &Value) -> Value {
    json!({
        "iss": NAME, "sub": "dave", "aud": "roadstead", "iat": NOW, "nbf": NOW, "exp": NOW + 60,
        "access": access,
    })
}

fn repository(name: &str, actions: &[&str]) -> Value {
    json!({ "type": "repository", "name": name, "actions": actions })
}

fn catalog(actions: &[&str]) -> Value {
    json!({ "type": "registry", "name": "catalog", "actions": actions })
}

async fn status(world: &World, who: &As, method: &str, path: &str) -> StatusCode {
    world.ask(who, method, path, Value::Null).await.status
}

#[tokio::test]
async fn a_token_of_a_known_issuer_gives_what_it_says_and_no_more() {
    let company = Company::found();
    let issuer = Issuer::new(NAME, &company.keys()).unwrap();
    let url = "https://tokens.example/token".to_owned();
    let world = closed_as(|options| {
        options.issuer = Some(issuer.clone());
        options.token_url = Some(url);
    })
    .await;
    let reply = world.ask(&As::Nobody, "GET", "/v2/a/tags/list", Value::Null).await;
    assert!(reply.header("www-authenticate").contains("realm=\"https://tokens.example/token\""));

    // What is granted to the name here adds nothing.
    world.grant("user:dave", "administrator", "**").await;
    let token = company.token(&json!([repository("team/app", &["pull", "push"])]));
    let begun = status(&world, &token, "POST", "/v2/team/app/blobs/uploads/").await;
    assert_eq!(begun, StatusCode::ACCEPTED);
    for (method, path) in [
        ("DELETE", "/v2/team/app/manifests/1"),
        ("GET", "/v2/team/web/tags/list"),
        ("GET", "/v2/team/application/tags/list"),
        ("GET", "/roadstead/v1/accounts"),
    ] {
        let refused = status(&world, &token, method, path).await;
        assert!(matches!(refused.as_u16(), 401 | 403), "{method} {path}: {refused}");
    }
    let all = company.token(&json!([repository("team/app", &["*"])]));
    let deleted = status(&world, &all, "DELETE", "/v2/team/app/manifests/1").await;
    assert_eq!(deleted, StatusCode::NOT_FOUND);
    let catalog = company.token(&json!([catalog(&["*"])]));
    assert_eq!(status(&world, &catalog, "GET", "/v2/_catalog").await, StatusCode::OK);
    let pull = status(&world, &catalog, "GET", "/v2/team/app/tags/list").await;
    assert_eq!(pull, StatusCode::UNAUTHORIZED);
    world.ask(&token, "GET", "/v2/", Value::Null).await.is(StatusCode::OK);

    issuer.replace(&Issuer::new(NAME, &Company::found().keys()).unwrap());
    let replaced = status(&world, &token, "GET", "/v2/team/app/tags/list").await;
    assert_eq!(replaced, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_token_that_is_not_quite_the_issuers_does_not_count() {
    let company = Company::found();
    let issuer = Issuer::new(NAME, &company.keys()).unwrap();
    let world = closed_as(|options| options.issuer = Some(issuer)).await;
    let access = json!([repository("a", &["pull"])]);
    let right = claims(&access);
    let counts = async |token: &As| {
        status(&world, token, "GET", "/v2/a/tags/list").await != StatusCode::UNAUTHORIZED
    };
    assert!(counts(&company.sign(&header(), &right)).await);
    for (claim, value) in [
        ("iss", json!("https://other.example")),
        ("aud", json!("other")),
        ("sub", json!("Not A Name")),
        ("exp", json!(NOW)),
        ("nbf", json!(NOW + 61)),
        ("iat", json!(NOW + 61)),
        ("iat", Value::Null),
        ("exp", Value::Null),
    ] {
        let mut wrong = right.clone();
        wrong[claim] = value;
        assert!(!counts(&company.sign(&header(), &wrong)).await, "{claim}");
    }
    for header in [
        json!({ "alg": "ES256" }),
        json!({ "alg": "ES256", "kid": "k2" }),
        json!({ "alg": "ES384", "kid": "k1" }),
        json!({ "alg": "HS256", "kid": "k1" }),
        json!({ "alg": "none", "kid": "k1" }),
    ] {
        assert!(!counts(&company.sign(&header, &right)).await, "{header}");
    }
    assert!(!counts(&Company::found().sign(&header(), &right)).await, "another's signature");
}

#[tokio::test]
async fn a_token_for_the_catalog_mounts_from_nothing_that_it_does_not_name() {
    let company = Company::found();
    let issuer = Issuer::new(NAME, &company.keys()).unwrap();
    let world = closed_as(|options| options.issuer = Some(issuer)).await;
    let secret = format!("/v2/secret/blobs/uploads/?digest={}", sha256(b"layer"));
    let call = world.request("POST", &secret).by(&As::admin()).body(b"layer");
    call.send().await.is(StatusCode::CREATED);
    let token = company.token(&json!([catalog(&["*"]), repository("mine", &["pull", "push"])]));
    for content in [&b"layer"[..], b"other"] {
        let digest = sha256(content);
        let mount = format!("/v2/mine/blobs/uploads/?from=secret&mount={digest}");
        let answer = status(&world, &token, "POST", &mount).await;
        assert_eq!(answer, StatusCode::ACCEPTED, "the same whether {digest} is there");
    }
}

#[tokio::test]
async fn an_issuer_that_refuses_the_catalog_shows_none_of_it() {
    let company = Company::found();
    let issuer = Issuer::new(NAME, &company.keys()).unwrap();
    let world = closed_as(|options| options.issuer = Some(issuer)).await;
    let secret = format!("/v2/secret/blobs/uploads/?digest={}", sha256(b"layer"));
    let call = world.request("POST", &secret).by(&As::admin()).body(b"layer");
    call.send().await.is(StatusCode::CREATED);
    let list = async |token: As| world.ask(&token, "GET", "/v2/_catalog", Value::Null).await;
    let given = list(company.token(&json!([catalog(&["*"])]))).await;
    assert_eq!(given.is(StatusCode::OK).json()["repositories"], json!(["secret"]));
    for actions in [&[][..], &["pull"]] {
        for access in
            [json!([catalog(actions)]), json!([catalog(actions), repository("mine", &["pull"])])]
        {
            let refused = list(company.token(&access)).await;
            refused.fails(401, "UNAUTHORIZED");
        }
    }
}

#[tokio::test]
async fn a_token_for_nobody_gives_what_it_says_to_nobody_in_particular() {
    let company = Company::found();
    let issuer = Issuer::new(NAME, &company.keys()).unwrap();
    let world = closed_as(|options| options.issuer = Some(issuer)).await;
    let named = claims(&json!([repository("public", &["pull", "push"])]));
    let mut absent = named.clone();
    absent.as_object_mut().unwrap().remove("sub");
    let [mut empty, mut null] = [named.clone(), named];
    empty["sub"] = json!("");
    null["sub"] = Value::Null;
    for claims in [absent, empty, null] {
        let token = company.sign(&header(), &claims);
        assert_eq!(status(&world, &token, "GET", "/v2/").await, StatusCode::OK);
        let listed = status(&world, &token, "GET", "/v2/public/tags/list").await;
        assert_eq!(listed, StatusCode::NOT_FOUND, "{claims}");
        let begun = status(&world, &token, "POST", "/v2/public/blobs/uploads/").await;
        assert_eq!(begun, StatusCode::ACCEPTED, "{claims}");
        // It is asked who it is, and not told that it may not.
        for (method, path) in [("GET", "/v2/other/tags/list"), ("DELETE", "/v2/public/manifests/1")]
        {
            let refused = status(&world, &token, method, path).await;
            assert_eq!(refused, StatusCode::UNAUTHORIZED, "{claims} {method} {path}");
        }
    }
}

#[tokio::test]
async fn all_keys_of_a_name_or_of_none_are_tried_and_those_to_encrypt_are_left_out() {
    let (now, next) = (Company::found(), Company::found());
    let key_of = |company: &Company| {
        let mut keys: Value = serde_json::from_str(&company.keys()).unwrap();
        let mut key = keys["keys"][0].take();
        key.as_object_mut().unwrap().remove("kid");
        key
    };
    let secret = json!({ "kty": "RSA", "use": "enc", "alg": "RSA-OAEP", "n": "AQAB", "e": "AQAB" });
    let keys = json!({ "keys": [secret, key_of(&now), key_of(&next)] });
    let issuer = Issuer::new(NAME, &keys.to_string()).unwrap();
    let world = closed_as(|options| options.issuer = Some(issuer)).await;
    let claims = claims(&json!([repository("a", &["pull"])]));
    for (company, expected) in [(now, 404), (next, 404), (Company::found(), 401)] {
        let token = company.sign(&json!({ "alg": "ES256" }), &claims);
        let answer = status(&world, &token, "GET", "/v2/a/tags/list").await;
        assert_eq!(answer.as_u16(), expected);
    }
}

#[test]
fn keys_that_cannot_be_used_are_named() {
    let set = |key: Value| json!({ "keys": [key] }).to_string();
    let secret = json!({ "kty": "oct", "kid": "shared", "k": "c2VjcmV0" });
    let curve = json!({ "kty": "OKP", "crv": "Ed448", "kid": "x", "x": "AAAA" });
    for (keys, expected) in [
        (set(secret), IssuerError::Key("shared".to_owned())),
        (set(curve), IssuerError::Key("x".to_owned())),
        (json!({ "keys": [] }).to_string(), IssuerError::Empty),
    ] {
        assert_eq!(Issuer::new(NAME, &keys).unwrap_err(), expected);
    }
    assert!(matches!(Issuer::new(NAME, "{}"), Err(IssuerError::Json(_))));
}
