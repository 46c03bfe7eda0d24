//! A stranger: a client with an account and no rights where others work, or without an account.
//! Nothing that it asks for changes anything, or tells it what is there: each question is asked
//! twice, about what is there and about what is not, and both answers must be the same, to the
//! byte.

mod names;
mod said;

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header};
use proto::MediaType;
use tokio::time::{Instant, sleep};

use self::names::Names;
use self::said::{Said, leak};
use crate::Image;
use crate::sim::client::{APP, request};
use crate::sim::dice::Dice;
use crate::sim::http::{Pass, send};
use crate::sim::invariant::Invariant;
use crate::sim::ledger::{Item, May, Source};
use crate::sim::records::Records;

/// What is refused: methods, and a path with kinds of names in the place of names.
const REFUSED: [(&str, &str); 15] = [
    ("GET HEAD PUT DELETE", "/v2/{repository}/manifests/{tag}"),
    ("GET HEAD PUT DELETE", "/v2/{repository}/manifests/{digest}"),
    ("GET HEAD DELETE", "/v2/{repository}/blobs/{digest}"),
    ("GET", "/v2/{repository}/tags/list"),
    ("GET", "/v2/{repository}/tags/list?n=1"),
    ("GET", "/v2/{repository}/referrers/{digest}"),
    ("POST", "/v2/{repository}/blobs/uploads/"),
    ("POST", "/v2/{repository}/blobs/uploads/?digest={digest}"),
    ("POST", "/v2/{repository}/blobs/uploads/?mount={digest}"),
    ("POST", "/v2/{repository}/blobs/uploads/?mount={digest}&from=other/box"),
    ("GET PATCH PUT DELETE", "/v2/{repository}/blobs/uploads/{session}"),
    ("GET", "/roadstead/v1/accounts"),
    ("GET DELETE", "/roadstead/v1/accounts/{account}"),
    ("DELETE", "/roadstead/v1/grants?grantee=user:team&pattern=team/**&role=maintainer"),
    ("GET", "/roadstead/v1/explanation?account={account}&verb=pull&repository={repository}"),
];

/// What comes to nothing for a client that may push to `other/box`, where nothing is: methods, a
/// path, the status, and as what it is counted.
const IN_VAIN: [(&str, &str, u16, &str); 9] = [
    ("POST", "/v2/other/box/blobs/uploads/?mount={digest}&from={repository}", 202, NOT_MOUNTED),
    ("POST", "/v2/other/box/blobs/uploads/?mount={digest}", 202, NO_SOURCE),
    ("GET HEAD", "/v2/other/box/blobs/{digest}", 404, NOT_FOUND),
    ("GET HEAD", "/v2/other/box/manifests/{digest}", 404, NOT_FOUND),
    ("PUT", "/v2/other/box/manifests/{tag}", 404, NOT_FOUND),
    ("GET PATCH PUT DELETE", "/v2/other/box/blobs/uploads/{session}", 404, NO_UPLOAD),
    ("GET", "/v2/other/box/referrers/{digest}", 200, NOT_LISTED),
    ("GET", "/v2/_catalog", 200, NOT_LISTED),
    ("GET", "/v2/_catalog?n=1", 200, NOT_LISTED),
];

const NOT_MOUNTED: &str = "strangers that nothing was mounted for";
const NO_SOURCE: &str = "strangers that no source was found for";
const NOT_FOUND: &str = "strangers that nothing was found for";
const NO_UPLOAD: &str = "strangers that got hold of an upload";
const NOT_LISTED: &str = "strangers that nothing was listed for";

/// The manifest of a blob.
const MANIFEST: &str = r#"{
    "schemaVersion": 2,
    "config": {
        "mediaType": "application/vnd.oci.empty.v1+json", "digest": "{digest}", "size": 2
    },
    "layers": []
}"#;

/// A stranger.
pub(crate) struct Stranger {
    nodes: Vec<String>,
    dice: Dice,
    records: Records,
    pass: Pass,
}

/// Something to ask, whatever about.
#[derive(Clone, Copy)]
struct Question {
    method: &'static str,
    path: &'static str,
    /// What must come of it.
    status: u16,
    /// As what it is counted.
    counted: &'static str,
}

impl Question {
    fn about(self, names: &Names) -> Request<Bytes> {
        let mut asked = request(self.method.parse().unwrap_or_default(), &names.fill(self.path));
        if self.method == "PUT" {
            let media_type = HeaderValue::from_static(MediaType::OCI_MANIFEST);
            asked.headers_mut().insert(header::CONTENT_TYPE, media_type);
            *asked.body_mut() = names.fill(MANIFEST).into();
        }
        asked
    }
}

impl Stranger {
    pub(crate) fn new(nodes: Vec<String>, dice: Dice, records: Records, pass: Pass) -> Self {
        Self { nodes, dice, records, pass }
    }

    /// Asks for things for `time`.
    pub(crate) async fn work(mut self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.ask().await;
            sleep(self.dice.millis(200..=1200)).await;
        }
    }

    /// Asks about something that is there, perhaps, and the same about something that is not.
    async fn ask(&mut self) {
        let is_anonymous = !self.pass.is_given() || self.dice.one_in(3);
        let pass = if is_anonymous { Pass::default() } else { self.pass.clone() };
        let question = self.question(is_anonymous);
        let item = self.item();
        let names = Names::of(&item, self.records.upload.borrow().as_deref());
        let node = self.dice.pick(&self.nodes).clone();
        let called = self.records.history.call();
        let there = self.told(&node, question, &names, &pass).await;
        let nowhere = self.told(&node, question, &names.of_nothing(), &pass).await;
        let (Some(there), Some(nowhere)) = (there, nowhere) else { return };
        let chronicle = &self.records.chronicle;
        if let Some(leak) = leak(&there, &nowhere) {
            let Question { method, path, .. } = question;
            let evidence = format!("{method} {path} through {node}, of {names:?}: {leak}");
            return chronicle.violated(Invariant::NothingLeaks, evidence);
        }
        if !question.path.contains("{session}") || self.records.upload.borrow().is_some() {
            chronicle.count(question.counted);
        }
        let is_about_it = question.path.contains("{digest}");
        if is_about_it && self.records.ledger.may(&item, called, Source::Confirmed) == May::There {
            chronicle.count("strangers told nothing of what was there");
        }
    }

    /// What the answer to `question` says, unless it says nothing.
    async fn told(
        &self,
        node: &str,
        question: Question,
        names: &Names,
        pass: &Pass,
    ) -> Option<Said> {
        let asked = question.about(names);
        let what = format!("{} {} through {node}", asked.method(), asked.uri());
        let response = send(node, pass.shown(asked)).await.ok()?;
        if response.status() == StatusCode::SERVICE_UNAVAILABLE {
            return None;
        }
        if response.status().as_u16() != question.status {
            let who = if pass.is_given() { "the stranger" } else { "nobody in particular" };
            let text = String::from_utf8_lossy(response.body());
            let evidence = format!("{who}: {what}: {}: {text}", response.status());
            self.records.chronicle.violated(Invariant::NothingLeaks, evidence);
        }
        Some(Said::of(&response, names))
    }

    fn question(&mut self, is_anonymous: bool) -> Question {
        let (methods, path, status, counted) = match self.dice.one_in(2) {
            true => *self.dice.pick(&IN_VAIN),
            false => {
                let (methods, path) = *self.dice.pick(&REFUSED);
                (methods, path, 403, "strangers refused")
            }
        };
        let methods: Vec<&str> = methods.split(' ').collect();
        let method = *self.dice.pick(&methods);
        match is_anonymous {
            true => Question { method, path, status: 401, counted: "strangers refused" },
            false => Question { method, path, status, counted },
        }
    }

    /// Something that somebody has tried to put somewhere.
    fn item(&mut self) -> Item {
        let items = self.records.ledger.items();
        match items.is_empty() {
            true => Item::manifest(APP, &Image::numbered(1).digest()),
            false => self.dice.pick(&items).clone(),
        }
    }
}
