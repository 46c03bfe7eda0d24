//! The end of a run: nothing is wrong any more, and everything that was ever acknowledged is looked
//! for through every node.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use http::{Method, Request, Response, StatusCode};
use proto::Digest;
use tokio::time::{Instant, sleep};

use super::client::{
    APP, Ask, REPOSITORIES, Situation, image_number, page_path, read_page, request, tag_name,
};
use super::history::Action;
use super::http::Talk;
use super::invariant::Invariant;
use super::invariants::missing_parts;
use super::ledger::{Item, Kind, Source};
use super::records::Records;
use crate::Image;

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(100);
/// How many connections look through one node at a time.
const TALKS: usize = 4;

/// Looks at everything through all `nodes`. A node that does not answer at first gets `patience`:
/// connections that a cut has killed without a word must be found out.
pub(crate) async fn audit(nodes: Vec<String>, tags: usize, patience: Duration, records: Records) {
    let audits = nodes.iter().map(|node| {
        let records = records.clone();
        async move {
            let mut auditor = Auditor::new(node, patience, records.clone());
            auditor.audit_tags(tags).await;
            auditor.audit_lists(tags).await;
            audit_items(node, patience, &records).await;
        }
    });
    join_all(audits).await;
}

/// Checks that `item` was served, by `by`, with the bytes that were pushed.
pub(crate) fn check_bytes(records: &Records, by: &str, item: &Item, bytes: &Bytes) {
    if records.ledger.content(&item.digest).as_ref() != Some(bytes) {
        let evidence = format!("{by}: {item}: {} bytes that nobody pushed", bytes.len());
        records.chronicle.violated(Invariant::NoWrongByte, evidence);
    }
}

/// A client that looks at everything through one node.
struct Auditor {
    talk: Talk,
    by: String,
    patience: Duration,
    records: Records,
}

impl Auditor {
    fn new(node: &str, patience: Duration, records: Records) -> Self {
        let by = format!("audit through {node}");
        Self { talk: Talk::with(node), by, patience, records }
    }

    /// Asks until there is an answer; answers when it was asked for too.
    async fn ask(
        &mut self,
        ask: Ask,
        situation: Situation,
        what: &Request<Bytes>,
    ) -> Option<(u64, Response<Bytes>)> {
        let until = Instant::now() + self.patience;
        loop {
            let called = self.records.history.call();
            let reason = match self.talk.ask(self.records.pass.shown(what.clone())).await {
                Ok(answer) if self.is_alone(called, &answer) => "no quorum".to_owned(),
                Ok(answer) if self.records.check(&self.by, ask, situation, &answer) => {
                    return Some((called, answer));
                }
                Ok(answer) => answer.status().to_string(),
                Err(error) => error.to_string(),
            };
            if Instant::now() > until {
                let evidence = format!("{}: {}: {reason}", self.by, what.uri());
                self.records.chronicle.violated(Invariant::Healed, evidence);
                return None;
            }
            sleep(PAUSE).await;
        }
    }

    fn is_alone(&self, called: u64, answer: &Response<Bytes>) -> bool {
        self.records.source(&self.by, called, answer) == Source::Alone
    }

    async fn audit_tags(&mut self, tags: usize) {
        for tag in (1..=tags).map(tag_name) {
            let get = request(Method::GET, &format!("/v2/{APP}/manifests/{tag}"));
            let answer = self.ask(Ask::GetManifest, Situation::Unsure, &get).await;
            let Some((called, response)) = answer else { return };
            let seen = match response.status() {
                StatusCode::OK => {
                    image_number(&self.records, &self.by, Ask::GetManifest, &response)
                }
                _ => None,
            };
            self.records.history.answered(&tag, &self.by, called, Action::Saw(seen));
            if let Some(number) = seen {
                self.records.chronicle.count("tags read");
                let item = Item::manifest(APP, &Image::numbered(number).digest());
                self.records.ledger.look(&item, &self.by, called, true, Source::Confirmed);
            }
        }
    }

    async fn audit_lists(&mut self, tags: usize) {
        let tags: BTreeSet<String> = (1..=tags).map(tag_name).collect();
        for limit in [None, Some(1), Some(2)] {
            let path = format!("/v2/{APP}/tags/list");
            for (called, tag, is_there) in
                self.list(Ask::ListTags, &path, "/tags", limit, &tags).await
            {
                let action = Action::Listed(is_there);
                self.records.history.answered(&tag, &self.by, called, action);
            }
            let known = REPOSITORIES.map(str::to_owned).into();
            let ask = Ask::ListRepositories;
            for (called, name, is_there) in
                self.list(ask, "/v2/_catalog", "/repositories", limit, &known).await
            {
                if is_there != self.records.ledger.has_pushed(&name, called) {
                    // What was pushed without an answer may have made it.
                    let is_known = is_there && self.records.ledger.may_have_pushed(&name);
                    if !is_known {
                        let evidence = format!("{}: {name}: {is_there}", self.by);
                        self.records.chronicle.violated(Invariant::ListsExact, evidence);
                    }
                }
            }
        }
        for ((repository, subject), referrers) in self.records.ledger.referrers() {
            self.audit_referrers(repository, &subject, &referrers).await;
        }
    }

    async fn audit_referrers(
        &mut self,
        repository: &'static str,
        subject: &Digest,
        referrers: &BTreeSet<Digest>,
    ) {
        let by_name: BTreeMap<String, &Digest> =
            referrers.iter().map(|digest| (digest.to_string(), digest)).collect();
        let names = by_name.keys().cloned().collect();
        for limit in [None, Some(1), Some(2)] {
            let path = format!("/v2/{repository}/referrers/{subject}");
            for (called, name, is_there) in
                self.list(Ask::ListReferrers, &path, "/manifests", limit, &names).await
            {
                let Some(digest) = by_name.get(&name) else { continue };
                let item = Item::manifest(repository, digest);
                self.records.ledger.look(&item, &self.by, called, is_there, Source::Confirmed);
            }
        }
    }

    /// What a list says of each of `known`, page by page, with the time at which the page was asked
    /// for.
    async fn list(
        &mut self,
        ask: Ask,
        path: &str,
        pointer: &str,
        limit: Option<usize>,
        known: &BTreeSet<String>,
    ) -> Vec<(u64, String, bool)> {
        let mut said = Vec::new();
        let mut after = None;
        let mut next = page_path(path, limit);
        while let Some((path, limit)) = next.take() {
            let get = request(Method::GET, &path);
            let answer = self.ask(ask, Situation::Unsure, &get).await;
            let Some((called, response)) = answer else { return said };
            let (page, link) = read_page(&response, pointer, after.take(), limit);
            if let Err(reason) = page.check(known) {
                let evidence = format!("{}: {path}: {reason}: {page:?}", self.by);
                self.records.chronicle.violated(Invariant::ListsExact, evidence);
                return said;
            }
            said.extend(page.says(known).map(|(name, is)| (called, name.clone(), is)));
            after = page.names.last().cloned();
            next = link.map(|link| (link, limit));
        }
        said
    }

    /// Whether an item is there, with all of its bytes.
    async fn audit_item(&mut self, item: &Item) -> Option<bool> {
        let ask = match item.kind {
            Kind::Blob => Ask::GetBlob,
            Kind::Manifest => Ask::GetManifest,
        };
        let get = request(Method::GET, &item.path());
        let (called, response) = self.ask(ask, Situation::Unsure, &get).await?;
        let is_there = response.status() == StatusCode::OK;
        self.records.ledger.look(item, &self.by, called, is_there, Source::Confirmed);
        if is_there {
            check_bytes(&self.records, &self.by, item, response.body());
        }
        Some(is_there)
    }

    /// Whether `manifest` is there without `part`, which it names. A client that has not ended yet
    /// may have pushed both while others were looked at, so all is asked again, one after the
    /// other.
    async fn lacks(&mut self, manifest: &Item, part: &Item) -> bool {
        let since = self.records.history.call();
        self.audit_item(manifest).await == Some(true)
            && self.audit_item(part).await == Some(false)
            && self.audit_item(manifest).await == Some(true)
            && !self.records.ledger.may_be_put_anew(manifest, since)
    }
}

/// Looks at all items through `node`, and that all that its manifests name is there.
async fn audit_items(node: &str, patience: Duration, records: &Records) {
    let items = records.ledger.items();
    let shares = (0..TALKS).map(|share| {
        let mut auditor = Auditor::new(node, patience, records.clone());
        let items = items.iter().skip(share).step_by(TALKS);
        async move {
            let mut found = Vec::new();
            for item in items {
                if auditor.audit_item(item).await == Some(true) {
                    found.push(item);
                }
            }
            found
        }
    });
    let found: BTreeSet<&Item> = join_all(shares).await.into_iter().flatten().collect();
    let mut auditor = Auditor::new(node, patience, records.clone());
    for item in found.iter().filter(|item| item.kind == Kind::Manifest) {
        let Some(manifest) = records.ledger.content(&item.digest) else { continue };
        let missing = missing_parts(item.repository, &manifest, |part| found.contains(part));
        for part in missing {
            if auditor.lacks(item, &part).await {
                let evidence = format!("{node} serves {item}, and not {part}, which it names");
                records.chronicle.violated(Invariant::Complete, evidence);
            }
        }
    }
    records.chronicle.count("nodes audited");
}
