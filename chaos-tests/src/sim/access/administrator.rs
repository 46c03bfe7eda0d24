//! The administrator: makes the accounts that work needs, and then gives and takes rights for as
//! long as work goes on.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::guest::Guest;
use super::subject::Varying;
use crate::sim::client::request;
use crate::sim::dice::Dice;
use crate::sim::history::Action;
use crate::sim::http::{Lost, Pass, send};
use crate::sim::invariant::Invariant;
use crate::sim::records::Records;

/// The account of who may do everything.
pub(super) const CLERK: &str = "clerk";
/// The account of all who push and pull.
const WORKERS: &str = "team";
/// What they work in, as grants say it.
const WORKPLACE: &str = "team/**";
/// What a register of a right names while the right is there.
pub(super) const THERE: Option<u64> = Some(1);

/// Who administers the registry.
pub(crate) struct Administrator {
    nodes: Vec<String>,
    dice: Dice,
    records: Records,
    pass: Pass,
    /// With whose eyes each change is looked at as soon as it is done.
    guest: Guest,
    /// Who else gets something to show.
    others: Others,
    /// Whether the account of the administrator was ever found: from then on it is there.
    is_known: bool,
}

/// Those who get something to show that is theirs alone.
#[derive(Clone, Default)]
pub(crate) struct Others {
    /// Who may do everything.
    pub(crate) clerk: Pass,
    /// Who may do nothing where work is done.
    pub(crate) stranger: Pass,
}

/// An answer that says something.
struct Answer {
    by: String,
    called: u64,
    response: Response<Bytes>,
}

impl Administrator {
    pub(crate) fn new(
        nodes: Vec<String>,
        mut dice: Dice,
        records: Records,
        others: Others,
    ) -> Self {
        let guest = Guest::new(nodes.clone(), dice.fork(), records.clone());
        let pass = super::administrator();
        Self { nodes, dice, records, pass, guest, others, is_known: false }
    }

    /// Makes all accounts, however long that takes; then changes rights for `time`.
    pub(crate) async fn work(mut self, time: Duration) {
        let end = Instant::now() + time;
        self.found().await;
        while Instant::now() < end {
            match *self.dice.pick(&Varying::ALL) {
                Varying::Account => self.change_account().await,
                Varying::Key => self.change_key().await,
                grant => {
                    let is_given = self.dice.one_in(2);
                    if self.change_grant(grant, is_given).await {
                        self.guest.is_let_in(grant).await;
                    }
                }
            }
            sleep(self.dice.millis(100..=1500)).await;
        }
    }

    async fn found(&mut self) {
        // Every node that gets to see a password takes long to check it.
        let clerk = self.make(CLERK, &["administrator"], "**").await;
        self.others.clerk.give(CLERK, &clerk);
        self.pass = self.others.clerk.clone();
        let workers = self.make(WORKERS, &["maintainer"], WORKPLACE).await;
        self.records.pass.give(WORKERS, &workers);
        self.records.chronicle.note("those who work have an account");
        let stranger = self.make("stranger", &["developer"], "other/**").await;
        self.others.stranger.give("stranger", &stranger);
        for varying in Varying::ALL {
            let account = varying.account();
            let register = varying.register();
            let key = self.make(account, varying.roles(), WORKPLACE).await;
            if varying == Varying::Key {
                continue;
            }
            let called = self.records.rights.call();
            let by = "administrator";
            self.records.rights.answered(&register, by, called, Action::Set(THERE));
            self.records.subjects.add(varying, &register, &key);
        }
    }

    /// Makes a robot that has `roles` on `pattern`, and answers its key.
    async fn make(&mut self, account: &str, roles: &[&str], pattern: &str) -> String {
        let robot = json!({ "name": account, "kind": "robot" });
        let accounts = "/roadstead/v1/accounts";
        self.insist(Method::POST, accounts, &robot, &[StatusCode::CREATED, StatusCode::CONFLICT])
            .await;
        for role in roles {
            let grant = json!({
                "grantee": format!("user:{account}"), "pattern": pattern, "role": role,
            });
            let grants = "/roadstead/v1/grants";
            self.insist(Method::POST, grants, &grant, &[StatusCode::NO_CONTENT]).await;
        }
        let keys = format!("{accounts}/{account}/keys");
        let made = self.insist(Method::POST, &keys, &json!({}), &[StatusCode::CREATED]).await;
        text(&made, "key")
    }

    /// Gives the grant that `varying` is, or takes it back; answers whether that is done.
    pub(crate) async fn change_grant(&mut self, varying: Varying, is_given: bool) -> bool {
        let (grantee, role) = (format!("user:{}", varying.account()), varying.roles()[0]);
        let (asked, action) = if is_given {
            let grant = json!({ "grantee": grantee, "pattern": WORKPLACE, "role": role });
            (with_json(Method::POST, "/roadstead/v1/grants", &grant), Action::Set(THERE))
        } else {
            let path =
                format!("/roadstead/v1/grants?grantee={grantee}&pattern={WORKPLACE}&role={role}");
            (request(Method::DELETE, &path), Action::Set(None))
        };
        self.change(asked, &varying.register(), action).await
    }

    /// Enables the account, or disables it.
    async fn change_account(&mut self) {
        let account = Varying::Account.account();
        let is_enabled = self.dice.one_in(2);
        let path = format!("/roadstead/v1/accounts/{account}");
        let asked = with_json(Method::PATCH, &path, &json!({ "enabled": is_enabled }));
        let action = Action::Set(if is_enabled { THERE } else { None });
        self.change(asked, &Varying::Account.register(), action).await;
        self.guest.is_let_in(Varying::Account).await;
    }

    /// Makes a key, and revokes it later.
    async fn change_key(&mut self) {
        let account = Varying::Key.account();
        let keys = format!("/roadstead/v1/accounts/{account}/keys");
        let Some(made) = self.ask(with_json(Method::POST, &keys, &json!({}))).await else {
            // If it was made, nobody knows it.
            return;
        };
        if made.response.status() == StatusCode::CONFLICT {
            return self.clear_keys(&keys).await;
        }
        if !self.expect(&made, &[StatusCode::CREATED]) {
            return;
        }
        let body = body(&made.response);
        let (id, key) = (text(&body, "id"), text(&body, "key"));
        let register = format!("key {id}");
        self.records.rights.answered(&register, &made.by, made.called, Action::Set(THERE));
        self.records.subjects.add(Varying::Key, &register, &key);
        self.guest.look_at(&register).await;
        sleep(self.dice.millis(0..=2000)).await;
        let revoke = request(Method::DELETE, &format!("{keys}/{id}"));
        self.change(revoke, &register, Action::Set(None)).await;
        self.guest.look_at(&register).await;
    }

    /// Revokes what keys there are: of some nobody learned that they were made.
    async fn clear_keys(&mut self, keys: &str) {
        let Some(listed) = self.ask(request(Method::GET, keys)).await else { return };
        let body = body(&listed.response);
        for key in body["keys"].as_array().into_iter().flatten() {
            let id = text(key, "id");
            let revoke = request(Method::DELETE, &format!("{keys}/{id}"));
            self.change(revoke, &format!("key {id}"), Action::Set(None)).await;
        }
    }

    /// Asks for a change once; answers whether it is done.
    async fn change(&mut self, asked: Request<Bytes>, register: &str, action: Action) -> bool {
        let rights = self.records.rights.clone();
        let change = rights.begin(register, "administrator", rights.call(), action);
        let answer = match self.demand(asked).await {
            Ok(answer) => answer,
            Err(Lost::Unsent(_)) => {
                rights.refused(&change);
                return false;
            }
            Err(Lost::Unheard(_)) => {
                rights.doubt(&change);
                return false;
            }
        };
        match answer.response.status() {
            StatusCode::NO_CONTENT | StatusCode::OK => {
                self.records.chronicle.count("rights: changed");
                rights.done(&change, &answer.by);
                return true;
            }
            // There is no such right.
            StatusCode::NOT_FOUND => {
                rights.refused(&change);
                rights.answered(register, &answer.by, answer.called, Action::Saw(None));
            }
            _ => {
                self.expect(&answer, &[]);
            }
        }
        false
    }

    /// Asks until an answer is among those that are `good`, and answers its body.
    async fn insist(
        &mut self,
        method: Method,
        path: &str,
        body_of: &Value,
        good: &[StatusCode],
    ) -> Value {
        loop {
            let asked = with_json(method.clone(), path, body_of);
            if let Some(answer) = self.ask(asked).await
                && self.expect(&answer, good)
            {
                return body(&answer.response);
            }
            sleep(self.dice.millis(200..=500)).await;
        }
    }

    /// Asks once, through any node; `None` when the answer says nothing.
    async fn ask(&mut self, asked: Request<Bytes>) -> Option<Answer> {
        self.demand(asked).await.ok()
    }

    /// The same, for what changes something: without an answer that says something, whether it may
    /// have happened.
    async fn demand(&mut self, asked: Request<Bytes>) -> Result<Answer, Lost> {
        let node = self.dice.pick(&self.nodes).clone();
        let by = format!("administrator through {node}");
        let called = self.records.rights.call();
        let response = send(&node, self.pass.shown(asked)).await?;
        let status = response.status();
        match status {
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                Err(Lost::Unheard(status.to_string()))
            }
            // Nobody has appointed an administrator yet.
            StatusCode::UNAUTHORIZED if !self.is_known => Err(Lost::Unheard(status.to_string())),
            _ => {
                self.is_known = true;
                Ok(Answer { by, called, response })
            }
        }
    }

    /// Whether `answer` is among those that are `good`; no other can be.
    fn expect(&self, answer: &Answer, good: &[StatusCode]) -> bool {
        let is_good = good.contains(&answer.response.status());
        if !is_good {
            let text = String::from_utf8_lossy(answer.response.body());
            let evidence = format!("{}: {}: {text}", answer.by, answer.response.status());
            self.records.chronicle.violated(Invariant::RightsAsTold, evidence);
        }
        is_good
    }
}

fn with_json(method: Method, path: &str, body: &Value) -> Request<Bytes> {
    let mut asked = request(method, path);
    let json = http::HeaderValue::from_static("application/json");
    asked.headers_mut().insert(http::header::CONTENT_TYPE, json);
    *asked.body_mut() = Bytes::from(body.to_string());
    asked
}

fn body(response: &Response<Bytes>) -> Value {
    serde_json::from_slice(response.body()).unwrap_or_default()
}

fn text(body: &Value, field: &str) -> String {
    body[field].as_str().unwrap_or_default().to_owned()
}
