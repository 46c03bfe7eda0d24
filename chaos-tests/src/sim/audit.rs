//! The end of a run: nothing is wrong any more, and everything that was ever acknowledged is looked
//! for through every node.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use http::{Method, Request, Response, StatusCode};
use proto::Digest;
use tokio::time::{Instant, sleep};

use super::dice::Dice;
use super::docker::{
    APP, Ask, Docker, REPOSITORIES, Situation, image_number, page_path, read_page, request,
    tag_name,
};
use super::history::Action;
use super::http::Talk;
use super::invariants::{Attempt, missing_parts};
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

/// Pushes through each of `nodes` at the same time, and answers when each had taken a push, within
/// `patience`.
pub(crate) async fn push_through_each(
    nodes: Vec<String>,
    first_client: usize,
    patience: Duration,
    mut dice: Dice,
    records: Records,
) -> Vec<Attempt> {
    let started = Instant::now();
    let pushes = nodes.into_iter().enumerate().map(|(position, node)| {
        let (dice, records) = (dice.fork(), records.clone());
        let client = first_client + position;
        let mut docker = Docker::new(client, vec![node.clone()], 1, dice, records);
        async move {
            while started.elapsed() < patience {
                if docker.push_once(&tag_name(1)).await {
                    return Attempt { node, done_after: Some(started.elapsed()) };
                }
            }
            Attempt { node, done_after: None }
        }
    });
    join_all(pushes).await
}

/// Pulls what is known to be there, by digest, `times` times, each through whichever of `nodes`
/// serves it; answers how often none did.
pub(crate) async fn pull_anywhere(
    nodes: Vec<String>,
    times: usize,
    mut dice: Dice,
    records: Records,
) -> usize {
    let called = records.history.call();
    let is_there = |item: &Item| {
        let may = records.ledger.may(item, called, Source::Confirmed);
        Situation::from(may) == Situation::There
    };
    let mut items: Vec<Item> = records.ledger.items().into_iter().filter(is_there).collect();
    let mut failures = 0;
    for _ in 0..times.min(items.len()) {
        let item = items.swap_remove(dice.index(items.len()));
        let mut is_served = false;
        for node in &nodes {
            let get = request(Method::GET, &item.path());
            match records.send(node, get).await {
                Ok(answer) if answer.status() == StatusCode::OK => {
                    check_bytes(&records, node, &item, answer.body());
                    is_served = true;
                    break;
                }
                Ok(_) | Err(_) => {}
            }
        }
        // Whoever still works may have deleted it meanwhile.
        failures += usize::from(!is_served && is_there(&item));
    }
    failures
}

/// Checks that `item` was served, by `by`, with the bytes that were pushed.
fn check_bytes(records: &Records, by: &str, item: &Item, bytes: &Bytes) {
    if records.ledger.content(&item.digest).as_ref() != Some(bytes) {
        let evidence = format!("{by}: {item}: {} bytes that nobody pushed", bytes.len());
        records.chronicle.violated("I5 no wrong byte", evidence);
    }
}

/// Whoever looks at everything through one node.
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
                Ok(answer) if Source::of(&answer) == Source::Alone => "no quorum".to_owned(),
                Ok(answer) if self.records.check(&self.by, ask, situation, &answer) => {
                    return Some((called, answer));
                }
                Ok(answer) => answer.status().to_string(),
                Err(error) => error.to_string(),
            };
            if Instant::now() > until {
                let evidence = format!("{}: {}: {reason}", self.by, what.uri());
                self.records.chronicle.violated("I19 healed", evidence);
                return None;
            }
            sleep(PAUSE).await;
        }
    }

    async fn audit_tags(&mut self, tags: usize) {
        for tag in (1..=tags).map(tag_name) {
            let get = request(Method::GET, &format!("/v2/{APP}/manifests/{tag}"));
            let answer = self.ask(Ask::GetManifest, Situation::Unsure, &get).await;
            let Some((called, response)) = answer else { return };
            let seen = match response.status() {
                StatusCode::OK => image_number(&self.records.chronicle, &self.by, &response),
                _ => None,
            };
            self.records.history.answered(&tag, &self.by, called, Action::Saw(seen));
            if let Some(number) = seen {
                self.records.chronicle.count("tags read");
                let item = Item::manifest(APP, &Image::numbered(number).digest());
                self.records.ledger.look(&item, &self.by, called, true, Source::Audit);
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
                        self.records.chronicle.violated("I14 lists are exact", evidence);
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
                self.records.ledger.look(&item, &self.by, called, is_there, Source::Audit);
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
                self.records.chronicle.violated("I14 lists are exact", evidence);
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
        self.records.ledger.look(item, &self.by, called, is_there, Source::Audit);
        if is_there {
            check_bytes(&self.records, &self.by, item, response.body());
        }
        Some(is_there)
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
    for item in found.iter().filter(|item| item.kind == Kind::Manifest) {
        let Some(manifest) = records.ledger.content(&item.digest) else { continue };
        let repository = item.repository;
        let has = |kind, digest: &str| {
            let digest = digest.parse::<Digest>();
            digest.is_ok_and(|digest| found.contains(&Item { repository, kind, digest }))
        };
        for missing in missing_parts(&manifest, has) {
            let evidence = format!("{node} serves {item}, and not {missing}, which it names");
            records.chronicle.violated("I4 manifests are complete", evidence);
        }
    }
    records.chronicle.count("nodes audited");
}
