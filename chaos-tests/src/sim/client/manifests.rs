//! Manifests and tags: put, moved under a condition, pulled, signed and deleted.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use proto::Digest;

use super::upload::with_body;
use super::{
    APP, Action, Ask, Client, Image, Situation, Source, TRIES, Told, Value, condition, request,
    tag_name,
};
use crate::sim::history::Pending;
use crate::sim::http::Lost;
use crate::sim::invariant::Invariant;
use crate::sim::ledger::{Deed, Item};
use crate::sim::records::Records;

impl Client {
    /// Pushes a new image and points `tag` to it; sometimes other tags too, or none.
    pub(super) async fn push(&mut self, tag: &str) {
        let Some(number) = self.push_content().await else { return };
        self.put_somewhere(tag, &Image::numbered(number)).await;
    }

    /// Points `tag` to `image`, of which all parts are there; sometimes other tags too, or none.
    pub(super) async fn put_somewhere(&mut self, tag: &str, image: &Image) {
        match self.dice.number(0..=9) {
            0..=5 => self.put_under_tag(tag, image.number(), None).await,
            6..=7 => self.put_by_digest(APP, image, &[]).await,
            _ => {
                let mut tags = vec![tag.to_owned(), self.tag(), self.tag()];
                tags.sort_unstable();
                tags.dedup();
                self.put_by_digest(APP, image, &tags).await
            }
        };
    }

    /// Looks where `tag` points, and points it to another image, often a new one, if it still does
    /// then.
    pub(super) async fn move_on_condition(&mut self, tag: &str) {
        let Some(before) = self.look(tag).await else { return };
        let known = if self.dice.one_in(2) { None } else { self.some_image() };
        let number = match known {
            Some(number) => number,
            None => match self.push_content().await {
                Some(number) => number,
                None => return,
            },
        };
        self.put_under_tag(tag, number, Some(before)).await;
    }

    /// Pushes the blobs of a new image, whose number this answers.
    pub(crate) async fn push_content(&mut self) -> Option<u64> {
        let number = self.fresh_number();
        let image = self.image(number);
        self.push_blobs(APP, &image).await.then_some(number)
    }

    pub(crate) async fn push_blobs(&mut self, repository: &'static str, image: &Image) -> bool {
        for (digest, content) in image.blobs() {
            if !Box::pin(self.push_blob(repository, digest, content)).await {
                return false;
            }
        }
        true
    }

    /// Points `tag` to the image `number`, whose parts are there, on the condition that it names
    /// `before`, if that is given; answers whether it is acknowledged.
    pub(super) async fn put_under_tag(
        &mut self,
        tag: &str,
        number: u64,
        before: Option<Value>,
    ) -> bool {
        for _ in 0..TRIES {
            match self.put_once(tag, number, before).await {
                Told::Done => return true,
                Told::Refused => return false,
                Told::Nothing => self.pause(50..=1000).await,
            }
        }
        false
    }

    /// Asks once to point `tag` to the image `number`.
    pub(crate) async fn put_once(&mut self, tag: &str, number: u64, before: Option<Value>) -> Told {
        let image = self.image(number);
        let item = Item::manifest(APP, &image.digest());
        let to = Some(number);
        let action = before.map_or(Action::Set(to), |from| Action::Swap { from, to });
        let mut put = put_manifest(&format!("/v2/{APP}/manifests/{tag}"), &image);
        if let Some(before) = before {
            let (name, value) = condition(before);
            put.headers_mut().insert(name, value);
        }
        let ticket = self.records.ledger.begin(item, Deed::Put, &self.name);
        let history = self.records.history.clone();
        let change = history.begin(tag, &self.name, ticket.called, action);
        if self.whim(12) {
            let node = self.node();
            self.records.chronicle.count("requests: broken off before the answer");
            match self.records.leave(&node, put, usize::MAX).await {
                true => history.doubt(&change),
                false => {
                    self.records.ledger.refused(&ticket);
                    history.refused(&change);
                }
            }
            return Told::Nothing;
        }
        let ask = if before.is_some() { Ask::PutManifestIf } else { Ask::PutManifest };
        let is_complete = Self::completeness(APP, &image);
        let answer = match self.demand(ask, put, is_complete).await {
            Ok(answer) => answer,
            Err(lost) => {
                self.unanswered(&lost, &ticket, &[change]);
                return Told::Nothing;
            }
        };
        if answer.status() == StatusCode::CREATED {
            self.records.ledger.done(&ticket);
            self.acknowledged(APP, &image);
            history.done(&change, &answer.by);
            return Told::Done;
        }
        self.records.ledger.refused(&ticket);
        history.refused(&change);
        if let (StatusCode::PRECONDITION_FAILED, Some(before)) = (answer.status(), before) {
            // Unless an earlier try, of which the answer was lost, is what changed it.
            let differed = Action::Differed(before);
            history.answered(tag, &answer.by, ticket.called, differed);
        }
        Told::Refused
    }

    /// Puts the manifest of `image` under its digest, and under `tags`; answers whether it is
    /// acknowledged.
    pub(super) async fn put_by_digest(
        &mut self,
        repository: &'static str,
        image: &Image,
        tags: &[String],
    ) -> bool {
        let item = Item::manifest(repository, &image.digest());
        let query: Vec<String> = tags.iter().map(|tag| format!("tag={tag}")).collect();
        let path = format!("{}?{}", item.path(), query.join("&"));
        for _ in 0..TRIES {
            let ticket = self.records.ledger.begin(item.clone(), Deed::Put, &self.name);
            let is_complete = Self::completeness(repository, image);
            let put = put_manifest(&path, image);
            let history = self.records.history.clone();
            let action = Action::Set(Some(image.number()));
            let begin = |tag: &String| history.begin(tag, &self.name, ticket.called, action);
            let changes: Vec<Pending> = tags.iter().map(begin).collect();
            match self.demand(Ask::PutManifest, put, is_complete).await {
                Ok(answer) if answer.status() == StatusCode::CREATED => {
                    self.records.ledger.done(&ticket);
                    self.acknowledged(repository, image);
                    for change in &changes {
                        history.done(change, &answer.by);
                    }
                    self.get_manifest(&item).await;
                    return true;
                }
                Ok(_) => {
                    changes.iter().for_each(|change| history.refused(change));
                    self.records.ledger.refused(&ticket);
                    return false;
                }
                Err(lost) => self.unanswered(&lost, &ticket, &changes),
            }
            self.pause(50..=1000).await;
        }
        false
    }

    /// Writes down that the manifest of `image` is acknowledged, and that it is one of this
    /// client's, if tags may name it.
    fn acknowledged(&mut self, repository: &'static str, image: &Image) {
        self.records.chronicle.count("manifests acknowledged");
        if image.is_index() {
            self.records.chronicle.count("indexes acknowledged");
        }
        let number = image.number();
        let is_numbered = Image::numbered(number).manifest() == image.manifest();
        if repository == APP && is_numbered && !self.own.contains(&number) {
            self.own.push(number);
        }
    }

    /// What `tag` names, when a node says it.
    pub(crate) async fn look(&mut self, tag: &str) -> Option<Value> {
        let (method, ask) = match self.dice.one_in(2) {
            true => (Method::HEAD, Ask::HeadManifest),
            false => (Method::GET, Ask::GetManifest),
        };
        let asked = request(method, &format!("/v2/{APP}/manifests/{tag}"));
        // What the tag may name only its history can tell.
        let answer = self.ask(ask, asked, |_, _| Situation::Unsure).await?;
        let history = self.records.history.clone();
        if answer.status() == StatusCode::NOT_FOUND {
            history.answered(tag, &answer.by, answer.called, Action::Saw(None));
            return Some(None);
        }
        let number = image_number(&self.records, &answer.by, ask, &answer.response)?;
        history.answered(tag, &answer.by, answer.called, Action::Saw(Some(number)));
        self.records.chronicle.count("tags read");
        let item = Item::manifest(APP, &Image::numbered(number).digest());
        self.records.ledger.look(&item, &answer.by, answer.called, true, Source::Confirmed);
        Some(Some(number))
    }

    /// Pulls what `tag` names, with the images of an index and with all blobs, each through any
    /// node.
    pub(crate) async fn pull(&mut self, tag: &str) {
        let Some(Some(number)) = self.look(tag).await else { return };
        let image = Image::numbered(number);
        for child in image.children() {
            self.get_manifest(&Item::manifest(APP, &child.digest())).await;
        }
        for (digest, _) in image.images().iter().flat_map(Image::blobs) {
            self.pull_blob(APP, digest).await;
        }
        if image.is_index() {
            self.records.chronicle.count("indexes pulled");
        }
    }

    /// Pulls a manifest by its digest and compares all bytes.
    pub(super) async fn get_manifest(&mut self, item: &Item) {
        let get = request(Method::GET, &item.path());
        let Some(answer) = self.ask_for(Ask::GetManifest, item, get).await else { return };
        let expected = self.records.ledger.content(&item.digest);
        if answer.status() == StatusCode::OK && expected.as_ref() != Some(answer.response.body()) {
            let evidence = format!("{}: {item} is not what was pushed", answer.by);
            self.records.chronicle.violated(Invariant::NoWrongByte, evidence);
        }
    }

    /// Pushes an artifact that refers to an image of this client, and now and then deletes it.
    pub(super) async fn sign(&mut self) {
        let Some(subject) = self.some_image() else { return };
        let subject = self.image(subject);
        let number = self.fresh_number();
        let signature = Image::signature(number, &subject);
        self.records.ledger.know(&signature);
        self.records.ledger.refer(APP, &subject.digest(), &signature.digest());
        if !self.push_blobs(APP, &signature).await
            || !self.put_by_digest(APP, &signature, &[]).await
            || !self.dice.one_in(4)
        {
            return;
        }
        if self.delete_manifest(APP, &signature.digest(), None).await {
            self.records.chronicle.count("referrers deleted");
            self.list_referrers_of(&subject.digest()).await;
        }
    }

    /// Deletes `tag`.
    pub(crate) async fn delete_tag(&mut self, tag: &str) {
        let delete = request(Method::DELETE, &format!("/v2/{APP}/manifests/{tag}"));
        let history = self.records.history.clone();
        let called = history.call();
        let change = history.begin(tag, &self.name, called, Action::Set(None));
        let answer = self.demand(Ask::DeleteTag, delete, |_, _| Situation::Unsure).await;
        match answer {
            Ok(answer) if answer.status() == StatusCode::ACCEPTED => {
                self.records.chronicle.count("tags deleted");
                history.done(&change, &answer.by);
            }
            Ok(answer) => {
                history.refused(&change);
                history.answered(tag, &answer.by, called, Action::Listed(false));
            }
            Err(Lost::Unsent(_)) => history.refused(&change),
            Err(Lost::Unheard(_)) => history.doubt(&change),
        }
    }

    /// Deletes one of the images that this client has pushed.
    pub(super) async fn delete_some_image(&mut self) {
        if let Some(number) = self.some_image() {
            self.delete_image(number).await;
        }
    }

    /// Deletes an image that this client has pushed, with the tags that name it, and then what only
    /// this image had: its blobs, and the images of an index. What an index needs stays.
    pub(crate) async fn delete_image(&mut self, number: u64) {
        let image = self.image(number);
        if !self.delete_manifest(APP, &image.digest(), Some(number)).await {
            return;
        }
        self.own.retain(|own| *own != number);
        for child in image.children() {
            Box::pin(self.delete_image(child.number())).await;
        }
        for (position, (digest, _)) in image.blobs().iter().enumerate() {
            // The base layer is everybody's.
            if position != 1 {
                self.delete_blob(APP, digest).await;
            }
        }
    }

    /// Deletes a manifest; answers whether that is acknowledged. Tags that may name it, as image
    /// `number`, go with it.
    pub(super) async fn delete_manifest(
        &mut self,
        repository: &'static str,
        digest: &Digest,
        number: Option<u64>,
    ) -> bool {
        let item = Item::manifest(repository, digest);
        let ticket = self.records.ledger.begin(item.clone(), Deed::Delete, &self.name);
        let history = self.records.history.clone();
        let tags = (1..=self.tags).map(tag_name);
        let changes: Vec<Pending> = number
            .map(Action::Removed)
            .into_iter()
            .flat_map(|action| tags.clone().map(move |tag| (tag, action)))
            .map(|(tag, action)| history.begin(&tag, &self.name, ticket.called, action))
            .collect();
        let is_done = self.ask_to_delete(&ticket, &changes).await == Some(true);
        if is_done {
            self.records.chronicle.count("manifests deleted");
            self.get_manifest(&item).await;
        }
        is_done
    }
}

pub(crate) fn put_manifest(path: &str, image: &Image) -> Request<Bytes> {
    let mut put = with_body(request(Method::PUT, path), image.manifest().clone());
    let media_type = HeaderValue::from_static(image.media_type());
    put.headers_mut().insert(header::CONTENT_TYPE, media_type);
    put
}

/// The number of the image that a tag names, as the answer to a HEAD or a GET says. Its digest,
/// length and type must be those of the image, and so must all bytes.
pub(crate) fn image_number(
    records: &Records,
    by: &str,
    ask: Ask,
    response: &Response<Bytes>,
) -> Option<u64> {
    let number = number_of(response, ask, |digest| records.ledger.content(digest));
    if number.is_none() {
        let (head, body) = (response.headers(), String::from_utf8_lossy(response.body()));
        let evidence = format!("{by} was served as a manifest: {head:?} {body}");
        records.chronicle.violated(Invariant::NoWrongByte, evidence);
    }
    number
}

/// The same; `None` when anything is not right.
fn number_of(
    response: &Response<Bytes>,
    ask: Ask,
    content: impl FnOnce(&Digest) -> Option<Bytes>,
) -> Option<u64> {
    let said = |name: &str| response.headers().get(name)?.to_str().ok();
    let manifest = content(&said("docker-content-digest")?.parse().ok()?)?;
    let image = Image::numbered(Image::number_of(&manifest)?);
    let is_right = *image.manifest() == manifest
        && said("content-length")? == manifest.len().to_string()
        && said("content-type")? == image.media_type()
        && (ask == Ask::HeadManifest || *response.body() == manifest);
    is_right.then(|| image.number())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use super::*;

    #[test]
    fn what_describes_a_manifest_must_be_as_right_as_its_bytes() {
        let (image, other) = (Image::numbered(7), Image::numbered(12));
        let answer = |digest: &Digest, length: usize, media_type: &str, body: &Bytes| {
            let answer = Response::builder()
                .header("docker-content-digest", digest.as_str())
                .header("content-length", length)
                .header("content-type", media_type);
            answer.body(body.clone()).unwrap()
        };
        let (digest, manifest) = (image.digest(), image.manifest());
        let (length, media_type) = (manifest.len(), image.media_type());
        let number = |ask, answer: Response<Bytes>| {
            let known = |digest: &Digest| {
                let known = [&image, &other].into_iter().find(|known| known.digest() == *digest);
                known.map(|known| known.manifest().clone())
            };
            number_of(&answer, ask, known)
        };
        let (get, head) = (Ask::GetManifest, Ask::HeadManifest);
        assert_eq!(number(get, answer(&digest, length, media_type, manifest)), Some(7));
        assert_eq!(number(head, answer(&digest, length, media_type, &Bytes::new())), Some(7));
        assert_eq!(number(get, answer(&digest, length, media_type, &Bytes::new())), None);
        assert_eq!(number(get, answer(&other.digest(), length, media_type, manifest)), None);
        for ask in [get, head] {
            assert_eq!(number(ask, answer(&digest, length + 1, media_type, manifest)), None);
            assert_eq!(number(ask, answer(&digest, length, "text/plain", manifest)), None);
            let unknown = Image::numbered(8).digest();
            assert_eq!(number(ask, answer(&unknown, length, media_type, manifest)), None);
        }
    }
}
