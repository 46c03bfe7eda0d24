//! A closed registry: who logs in how, and who may do what.

mod alone;
mod audit;
mod issuer;
mod management;
mod matrix;
mod repositories;
mod tokens;

use api::{
    AccessMode, AccessOptions, CertificateName, ClientCertificate, NameKind, Options, Scheme,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{StatusCode, header};
use serde_json::{Value, json};

use crate::world::{Call, Reply, World};

/// The client of a request.
#[derive(Clone, Debug)]
pub(super) enum As {
    /// Nobody in particular.
    Nobody,
    /// A name and a password or an access key.
    Basic(String, String),
    /// A token.
    Bearer(String),
    /// A certificate with this common name, over TLS.
    Certificate(String),
}

impl As {
    pub(super) fn basic(name: &str, password: &str) -> Self {
        Self::Basic(name.to_owned(), password.to_owned())
    }

    pub(super) fn admin() -> Self {
        Self::basic("admin", PASSWORD)
    }
}

/// The password of everybody in these tests.
pub(super) const PASSWORD: &str = "correct horse";

/// A registry that `admin` administers, with what `set` sets.
pub(super) async fn closed_as(set: impl FnOnce(&mut AccessOptions)) -> World {
    closed_with(Options::default(), set).await
}

/// A registry that `admin` administers, with `options` beside what `set` sets.
pub(super) async fn closed_with(options: Options, set: impl FnOnce(&mut AccessOptions)) -> World {
    let mut access = AccessOptions {
        service: "roadstead".to_owned(),
        url: None,
        token_url: None,
        issuer: None,
        certificate_name: NameKind::Common,
        htpasswd: None,
    };
    set(&mut access);
    let options = Options { access: AccessMode::Closed(access), ..options };
    let world = World::start_with(options).await;
    let appointed = world.registry.appoint_administrator(Some(PASSWORD.to_owned()), true);
    assert_eq!(appointed.await.unwrap().unwrap().name, "admin");
    world
}

/// A registry that `admin` administers.
pub(super) async fn closed() -> World {
    closed_as(|_| {}).await
}

impl Call {
    /// Says who asks.
    pub(super) fn by(self, who: &As) -> Self {
        match who {
            As::Nobody => self,
            As::Basic(name, password) => {
                let encoded = STANDARD.encode(format!("{name}:{password}"));
                self.header(header::AUTHORIZATION, format!("Basic {encoded}"))
            }
            As::Certificate(name) => {
                let name = CertificateName::Common(name.clone());
                let other = CertificateName::Email("admin".to_owned());
                self.extension(ClientCertificate::new([other, name])).extension(Scheme::Https)
            }
            As::Bearer(token) => self.header(header::AUTHORIZATION, format!("Bearer {token}")),
        }
    }
}

impl World {
    /// Asks as `who`, with `body` as JSON when there is one.
    pub(super) async fn ask(&self, who: &As, method: &str, path: &str, body: Value) -> Reply {
        let call = self.request(method, path).by(who).header(header::HOST, "registry.example:5000");
        match body {
            Value::Null => call.send().await,
            body => {
                let call = call.header(header::CONTENT_TYPE, "application/json");
                call.body(body.to_string().as_bytes()).send().await
            }
        }
    }

    /// Has the administrator do something below `/roadstead/v1/`, which must work.
    pub(super) async fn manage(&self, method: &str, path: &str, body: Value) -> Reply {
        let path = format!("/roadstead/v1/{path}");
        let reply = self.ask(&As::admin(), method, &path, body).await;
        assert!(reply.status.is_success(), "{method} {path}: {reply:?}");
        reply
    }

    /// Makes a user.
    pub(super) async fn add_user(&self, name: &str, groups: &[&str]) -> As {
        let account = json!({ "name": name, "password": PASSWORD, "groups": groups });
        self.manage("POST", "accounts", account).await;
        As::basic(name, PASSWORD)
    }

    /// Makes a grant.
    pub(super) async fn grant(&self, grantee: &str, role: &str, pattern: &str) {
        let grant = json!({ "grantee": grantee, "role": role, "pattern": pattern });
        self.manage("POST", "grants", grant).await;
    }

    /// Takes a grant back.
    pub(super) async fn revoke(&self, grantee: &str, role: &str, pattern: &str) {
        let path = format!("grants?grantee={grantee}&role={role}&pattern={pattern}");
        self.manage("DELETE", &path, Value::Null).await;
    }

    /// Makes a key of `account`, and answers it with its id.
    pub(super) async fn add_key(&self, account: &str, key: Value) -> (As, String) {
        let made = self.manage("POST", &format!("accounts/{account}/keys"), key).await.json();
        let key = made["key"].as_str().unwrap();
        (As::basic(account, key), made["id"].as_str().unwrap().to_owned())
    }

    /// Gets a token for `scope`.
    pub(super) async fn token(&self, who: &As, scope: &str) -> As {
        let path = format!("/roadstead/v1/token?service=roadstead&scope={scope}");
        let reply = self.ask(who, "GET", &path, Value::Null).await;
        reply.is(StatusCode::OK);
        As::Bearer(reply.json()["token"].as_str().unwrap().to_owned())
    }
}
