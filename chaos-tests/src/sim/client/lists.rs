//! Lists, page by page: each page says of every name that belongs on it whether it is in the list.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::{Method, Response, StatusCode, header};
use proto::Digest;

use super::{APP, Action, Ask, Client, REPOSITORIES, Situation, request, tag_name};
use crate::sim::invariant::Invariant;
use crate::sim::invariants::Page;
use crate::sim::ledger::{Item, Source};

impl Client {
    /// Lists all tags: each is in the list or not at the moment of its page.
    pub(super) async fn list_tags(&mut self) {
        let known: BTreeSet<String> = (1..=self.tags).map(tag_name).collect();
        let mut next = page_path(&format!("/v2/{APP}/tags/list"), self.limit());
        let mut after = None;
        while let Some((path, limit)) = next.take() {
            let get = request(Method::GET, &path);
            let Some(answer) = self.ask(Ask::ListTags, get, |_, _| Situation::Unsure).await else {
                return;
            };
            let (page, link) = read_page(&answer.response, "/tags", after.take(), limit);
            self.check_page(&answer.by, &page, &known);
            for (tag, is_there) in page.says(&known) {
                let action = Action::Listed(is_there);
                self.records.history.answered(tag, &answer.by, answer.called, action);
            }
            after = page.names.last().cloned();
            next = link.map(|link| (link, limit));
        }
    }

    /// Lists what refers to an image of this client.
    pub(super) async fn list_referrers(&mut self) {
        if let Some(number) = self.some_image() {
            self.list_referrers_of(&self.image(number).digest()).await;
        }
    }

    /// Lists what refers to `subject`: what was deleted does not.
    pub(super) async fn list_referrers_of(&mut self, subject: &Digest) {
        let mut next = page_path(&format!("/v2/{APP}/referrers/{subject}"), self.limit());
        let mut after = None;
        while let Some((path, limit)) = next.take() {
            let get = request(Method::GET, &path);
            let answer = self.ask(Ask::ListReferrers, get, |_, _| Situation::There).await;
            let Some(answer) = answer else { return };
            let referrers = self.records.ledger.referrers();
            let known = referrers.get(&(APP, subject.clone())).cloned().unwrap_or_default();
            let names = known.iter().map(ToString::to_string).collect();
            let (page, link) = read_page(&answer.response, "/manifests", after.take(), limit);
            self.check_page(&answer.by, &page, &names);
            for digest in known {
                let name = digest.to_string();
                if let Some((_, is_there)) = page.says(&names).find(|(other, _)| **other == name) {
                    let item = Item::manifest(APP, &digest);
                    let (by, source) = (&answer.by, Source::Confirmed);
                    self.records.ledger.look(&item, by, answer.called, is_there, source);
                }
            }
            after = page.names.last().cloned();
            next = link.map(|link| (link, limit));
        }
    }

    /// Lists all repositories. Each is in the list once something was pushed to it.
    pub(super) async fn list_repositories(&mut self) {
        let known: BTreeSet<String> = REPOSITORIES.map(str::to_owned).into();
        let mut next = page_path("/v2/_catalog", self.limit());
        let mut after = None;
        while let Some((path, limit)) = next.take() {
            let get = request(Method::GET, &path);
            let answer = self.ask(Ask::ListRepositories, get, |_, _| Situation::There).await;
            let Some(answer) = answer else { return };
            let (page, link) = read_page(&answer.response, "/repositories", after.take(), limit);
            self.check_page(&answer.by, &page, &known);
            for (name, is_there) in page.says(&known) {
                if !is_there && self.records.ledger.has_pushed(name, answer.called) {
                    let evidence = format!("{}: {name} is not listed", answer.by);
                    self.records.chronicle.violated(Invariant::ListsExact, evidence);
                }
            }
            after = page.names.last().cloned();
            next = link.map(|link| (link, limit));
        }
    }

    /// How many names to ask for.
    fn limit(&mut self) -> Option<usize> {
        *self.dice.pick(&[None, Some(1), Some(2), Some(100)])
    }

    fn check_page(&self, by: &str, page: &Page, known: &BTreeSet<String>) {
        if page.after.is_some() {
            self.records.chronicle.count("lists: further pages");
        }
        if let Err(reason) = page.check(known) {
            self.records
                .chronicle
                .violated(Invariant::ListsExact, format_args!("{by}: {reason}: {page:?}"));
        }
    }
}

/// Where the first page is, of `limit` names.
pub(crate) fn page_path(list: &str, limit: Option<usize>) -> Option<(String, Option<usize>)> {
    let query = limit.map(|limit| format!("?n={limit}")).unwrap_or_default();
    Some((format!("{list}{query}"), limit))
}

/// The page in `response`, whose names are at `pointer` in its JSON, and the path of the next one.
pub(crate) fn read_page(
    response: &Response<Bytes>,
    pointer: &str,
    after: Option<String>,
    limit: Option<usize>,
) -> (Page, Option<String>) {
    let names = match response.status() {
        StatusCode::OK => {
            let body: serde_json::Value =
                serde_json::from_slice(response.body()).unwrap_or_default();
            let entries = body.pointer(pointer).and_then(|names| names.as_array());
            let name = |entry: &serde_json::Value| {
                let name = entry.as_str().or_else(|| entry["digest"].as_str());
                name.unwrap_or("what has no name").to_owned()
            };
            entries.into_iter().flatten().map(name).collect()
        }
        _ => Vec::new(),
    };
    let link = response.headers().get(header::LINK).and_then(|link| link.to_str().ok());
    let next = link
        .and_then(|link| link.strip_prefix('<')?.split_once(">; rel=\"next\""))
        .map(|(path, _)| path.to_owned());
    (Page { after, limit, names, has_next: next.is_some() }, next)
}
