//! Guests: they log in to accounts whose rights come and go, with keys and with tokens, try what
//! these are good for, and write down what they are told.

mod trial;

use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode, header};
use tokio::time::{Instant, sleep};

use self::trial::{Trial, fresh_image};
use super::subject::{By, Subject, Varying};
use crate::sim::client::{location, request};
use crate::sim::dice::Dice;
use crate::sim::http::{Lost, bearer, send};
use crate::sim::invariant::Invariant;
use crate::sim::ledger::Source;
use crate::sim::records::Records;

/// A guest.
pub(crate) struct Guest {
    nodes: Vec<String>,
    dice: Dice,
    records: Records,
    /// A token, and whose it is: it is shown again later, when it may be worth less.
    token: Option<(Subject, String)>,
    /// The number of the image that is pushed, part by part.
    image: u64,
    /// Where an upload goes on that was begun while there was the right to push.
    upload: Option<String>,
}

/// What came of a request.
#[derive(Default)]
struct Tried {
    /// How it was answered, if it was.
    status: Option<StatusCode>,
    /// What it says of the right that it was to show.
    told: Option<bool>,
    /// What was asked for, and who says so.
    body: Option<(Bytes, Source)>,
}

impl Guest {
    pub(crate) fn new(nodes: Vec<String>, dice: Dice, records: Records) -> Self {
        let image = fresh_image(&records);
        Self { nodes, dice, records, token: None, image, upload: None }
    }

    /// Tries rights for `time`.
    pub(crate) async fn work(mut self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            let subjects = self.records.subjects.all();
            if !subjects.is_empty() {
                let subject = self.dice.pick(&subjects).clone();
                match self.dice.number(0..=9) {
                    0..=5 => {
                        self.try_key(&subject).await;
                    }
                    6..=7 => self.try_new_token(subject).await,
                    _ => self.try_token().await,
                }
            }
            sleep(self.dice.millis(100..=700)).await;
        }
    }

    /// Looks whether the right of this name is there.
    pub(super) async fn look_at(&mut self, register: &str) {
        for subject in self.records.subjects.all() {
            if subject.register == register {
                self.try_key(&subject).await;
            }
        }
    }

    /// Looks through every node which rights are there, by keys, and by tokens that any node has
    /// just given.
    pub(crate) async fn look_everywhere(mut self) {
        let nodes = self.nodes.clone();
        for subject in self.records.subjects.all() {
            let since = self.records.rights.call();
            let token = self.new_token(&subject).await;
            for node in &nodes {
                self.nodes = vec![node.clone()];
                self.try_key(&subject).await;
                let Some((token, Source::Confirmed)) = &token else { continue };
                let called = self.records.rights.call();
                let tried = self.show(&subject, token).await;
                if tried.status == Some(StatusCode::UNAUTHORIZED) {
                    let by = format!("guest by new Token through {node}");
                    subject.outgrew(&self.records.rights, &by, since, called);
                }
            }
            self.nodes.clone_from(&nodes);
        }
    }

    /// Whether a node lets the account in of which `varying` is; `None` when it does not say.
    pub(crate) async fn is_let_in(&mut self, varying: Varying) -> Option<bool> {
        let mut subjects = self.records.subjects.all().into_iter();
        let subject = subjects.find(|subject| subject.varying == varying)?;
        self.try_key(&subject).await
    }

    async fn try_key(&mut self, subject: &Subject) -> Option<bool> {
        let mut trial = self.trial(subject.varying, By::Key);
        trial.asked = subject.pass.shown(trial.asked);
        self.try_with(subject, By::Key, trial).await.told
    }

    /// Gets a token and shows that.
    async fn try_new_token(&mut self, subject: Subject) {
        let Some((token, _)) = self.new_token(&subject).await else { return };
        self.token = Some((subject, token));
        self.try_token().await;
    }

    /// Gets a token, through any node. One without a quorum gives it by what it knew.
    async fn new_token(&mut self, subject: &Subject) -> Option<(String, Source)> {
        let path = format!("/roadstead/v1/token?scope={}", subject.varying.scope());
        let asked = subject.pass.shown(request(Method::GET, &path));
        let trial = Trial { asked, change: None };
        let (body, source) = self.try_with(subject, By::Key, trial).await.body?;
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        Some((body["token"].as_str()?.to_owned(), source))
    }

    async fn try_token(&mut self) {
        if let Some((subject, token)) = self.token.clone() {
            self.show(&subject, &token).await;
        }
    }

    /// Shows `token`, through any node.
    async fn show(&mut self, subject: &Subject, token: &str) -> Tried {
        let mut trial = self.trial(subject.varying, By::Token);
        if let Some(token) = bearer(token) {
            trial.asked.headers_mut().insert(header::AUTHORIZATION, token);
        }
        let tried = self.try_with(subject, By::Token, trial).await;
        if tried.told == Some(true) {
            self.records.chronicle.count("rights: tokens accepted");
        }
        tried
    }

    /// Asks once, through any node, and writes down what the answer says.
    async fn try_with(&mut self, subject: &Subject, by: By, trial: Trial) -> Tried {
        let node = self.dice.pick(&self.nodes).clone();
        let who = format!("guest by {by:?} through {node}");
        let Trial { asked, change } = trial;
        let is_for_token = asked.uri().path() == "/roadstead/v1/token";
        let what = format!("{} {}", asked.method(), asked.uri());
        let called = self.records.rights.call();
        let change = change.map(|(item, deed)| (self.records.ledger.begin(item, deed, &who), deed));
        let response = match (send(&node, asked).await, &change) {
            (Ok(response), _) => response,
            (Err(Lost::Unsent(_)), Some((ticket, _))) => {
                self.records.ledger.refused(ticket);
                return Tried::default();
            }
            (Err(_), _) => return Tried::default(),
        };
        let status = response.status();
        let told = subject.varying.told(by, status);
        let source = Source::of(&response);
        match told {
            Ok(Some(_)) if source == Source::Alone => {
                let given = "rights: tokens given without a quorum";
                let seen = "rights: content shown without a quorum";
                self.records.chronicle.count(if is_for_token { given } else { seen });
            }
            // An account that can log in gets a token, for what it may do, if that is anything.
            Ok(Some(_)) if is_for_token && subject.varying.is_grant() => {}
            Ok(Some(is_there)) => {
                let seen = if is_there { "rights: seen" } else { "rights: refused" };
                self.records.chronicle.count(seen);
                subject.saw(&self.records.rights, &who, called, is_there);
            }
            Ok(None) => {}
            Err(()) => {
                let account = subject.varying.account();
                let text = String::from_utf8_lossy(response.body());
                let evidence = format!("{account} through {node}: {what}: {status}: {text}");
                self.records.chronicle.violated(Invariant::RightsAsTold, evidence);
            }
        }
        match change {
            Some((ticket, deed)) => {
                self.settle(&ticket, deed, status, &who);
                self.look_for(subject, &ticket.item).await;
            }
            None if status == StatusCode::ACCEPTED => self.upload = Some(location(&response)),
            None => {}
        }
        let body = (status == StatusCode::OK).then(|| (response.into_body(), source));
        Tried { status: Some(status), told: told.ok().flatten(), body }
    }
}
