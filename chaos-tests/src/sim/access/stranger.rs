//! A stranger: whoever has an account and no rights where others work, or no account. Nothing that
//! they ask for tells them what is there, or changes it.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use tokio::time::{Instant, sleep};

use crate::Image;
use crate::sim::dice::Dice;
use crate::sim::docker::{APP, NUMBERS, REPOSITORIES, request, tag_name};
use crate::sim::http::{Pass, send};
use crate::sim::records::Records;

const INVARIANT: &str = "I17 nothing leaks";
/// A repository that is not there.
const NOWHERE: &str = "team/nowhere";
/// A repository in which the stranger may do what it likes.
const OWN: &str = "other/box";

/// A stranger.
pub(crate) struct Stranger {
    nodes: Vec<String>,
    dice: Dice,
    records: Records,
    pass: Pass,
}

/// What must come of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    /// It is refused, as anything is.
    Refused,
    /// Nothing is mounted: an upload begins.
    UploadBegun,
    /// An empty list.
    NothingListed,
}

impl Stranger {
    pub(crate) fn new(nodes: Vec<String>, dice: Dice, records: Records, pass: Pass) -> Self {
        Self { nodes, dice, records, pass }
    }

    /// Asks for things for `time`.
    pub(crate) async fn work(mut self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            let is_anonymous = !self.pass.is_given() || self.dice.one_in(3);
            let (asked, due) = self.something(is_anonymous);
            self.ask(asked, due, is_anonymous).await;
            sleep(self.dice.millis(200..=1200)).await;
        }
    }

    fn something(&mut self, is_anonymous: bool) -> (Request<Bytes>, Due) {
        let repository = *self.dice.pick(&[&REPOSITORIES[..], &[NOWHERE]].concat());
        let image = Image::numbered(NUMBERS + self.dice.number(1..=9));
        let (digest, blob) = (image.digest(), image.blobs()[1].0.clone());
        let tag = tag_name(1);
        let refused = |method, path: String| (request(method, &path), Due::Refused);
        match self.dice.number(0..=13) {
            0 => refused(Method::GET, format!("/v2/{repository}/manifests/{tag}")),
            1 => refused(Method::HEAD, format!("/v2/{repository}/manifests/{digest}")),
            2 => refused(Method::GET, format!("/v2/{repository}/blobs/{blob}")),
            3 => refused(Method::HEAD, format!("/v2/{repository}/blobs/{blob}")),
            4 => refused(Method::GET, format!("/v2/{repository}/tags/list")),
            5 => refused(Method::GET, format!("/v2/{repository}/referrers/{digest}")),
            6 => refused(Method::POST, format!("/v2/{repository}/blobs/uploads/")),
            7 => refused(Method::DELETE, format!("/v2/{repository}/manifests/{tag}")),
            8 => refused(Method::DELETE, format!("/v2/{repository}/blobs/{blob}")),
            9 => refused(Method::GET, "/roadstead/v1/accounts".to_owned()),
            10 => {
                let path = "/roadstead/v1/grants?grantee=user:team&pattern=team/**&role=maintainer";
                refused(Method::DELETE, path.to_owned())
            }
            _ if is_anonymous => refused(Method::GET, "/v2/_catalog".to_owned()),
            11 => (request(Method::GET, "/v2/_catalog"), Due::NothingListed),
            _ => {
                let path = format!("/v2/{OWN}/blobs/uploads/?mount={blob}&from={APP}");
                (request(Method::POST, &path), Due::UploadBegun)
            }
        }
    }

    async fn ask(&mut self, asked: Request<Bytes>, due: Due, is_anonymous: bool) {
        let node = self.dice.pick(&self.nodes).clone();
        let what = format!("{} {} through {node}", asked.method(), asked.uri());
        let asked = if is_anonymous { asked } else { self.pass.shown(asked) };
        let Ok(response) = send(&node, asked).await else { return };
        if response.status() == StatusCode::SERVICE_UNAVAILABLE {
            return;
        }
        if is_due(due, is_anonymous, &response) {
            self.records.chronicle.count(match due {
                Due::Refused => "strangers refused",
                Due::UploadBegun => "strangers that nothing was mounted for",
                Due::NothingListed => "strangers that nothing was listed for",
            });
        } else {
            let who = if is_anonymous { "nobody in particular" } else { "the stranger" };
            let text = String::from_utf8_lossy(response.body());
            let evidence = format!("{who}: {what}: {}: {text}", response.status());
            self.records.chronicle.violated(INVARIANT, evidence);
        }
    }
}

fn is_due(due: Due, is_anonymous: bool, response: &Response<Bytes>) -> bool {
    match (due, response.status()) {
        (Due::Refused, StatusCode::UNAUTHORIZED) => is_anonymous,
        (Due::Refused, StatusCode::FORBIDDEN) => !is_anonymous,
        (Due::UploadBegun, StatusCode::ACCEPTED) => true,
        (Due::NothingListed, StatusCode::OK) => {
            let body: serde_json::Value =
                serde_json::from_slice(response.body()).unwrap_or_default();
            body["repositories"].as_array().is_some_and(Vec::is_empty)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_not_a_refusal_tells_something() {
        let answer = |status: u16, body: &'static str| {
            let mut response = Response::new(Bytes::from_static(body.as_bytes()));
            *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
            response
        };
        for (due, is_anonymous, status, body, holds) in [
            (Due::Refused, false, 403, "", true),
            (Due::Refused, true, 401, "", true),
            (Due::Refused, false, 404, "", false),
            (Due::Refused, false, 401, "", false),
            (Due::Refused, true, 200, "", false),
            (Due::UploadBegun, false, 202, "", true),
            (Due::UploadBegun, false, 201, "", false),
            (Due::NothingListed, false, 200, r#"{"repositories":[]}"#, true),
            (Due::NothingListed, false, 200, r#"{"repositories":["team/app"]}"#, false),
            (Due::NothingListed, false, 200, "{}", false),
        ] {
            let response = answer(status, body);
            assert_eq!(is_due(due, is_anonymous, &response), holds, "{due:?} {status} {body}");
        }
    }
}
