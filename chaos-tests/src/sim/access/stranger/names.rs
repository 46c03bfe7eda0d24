//! Names of what is there, and names as long of what is not: what is asked and answered with either
//! has the same length, too.

use proto::{Algorithm, Digest};

use crate::sim::access::administrator::CLERK;
use crate::sim::client::tag_name;
use crate::sim::ledger::Item;

/// An upload that nobody began, for as long as nobody has begun one.
const NO_SESSION: &str = "00000000000000000000000000000000?state=AAAA";

/// A name of each kind.
#[derive(Clone, Debug)]
pub(super) struct Names {
    repository: String,
    tag: String,
    digest: String,
    session: String,
    account: String,
}

impl Names {
    /// The names of `item`, and of what else is there: `upload` is where one goes on.
    pub(super) fn of(item: &Item, upload: Option<&str>) -> Self {
        let session = upload.and_then(|upload| upload.rsplit('/').next());
        Self {
            repository: item.repository.to_owned(),
            tag: tag_name(1),
            digest: item.digest.to_string(),
            session: session.unwrap_or(NO_SESSION).to_owned(),
            account: CLERK.to_owned(),
        }
    }

    /// Names of what is not there.
    pub(super) fn of_nothing(&self) -> Self {
        let (team, name) = self.repository.rsplit_once('/').unwrap_or_default();
        let other = |c: char| c.to_digit(10).and_then(|digit| char::from_digit(9 - digit, 10));
        Self {
            repository: format!("{team}/{}", "x".repeat(name.len())),
            // They are counted from 1.
            tag: tag_name(0),
            digest: Digest::of(Algorithm::Sha256, self.digest.as_bytes()).to_string(),
            session: self.session.chars().map(|c| other(c).unwrap_or(c)).collect(),
            account: self.account.chars().rev().collect(),
        }
    }

    /// `text` with these names in the place of their kinds.
    pub(super) fn fill(&self, text: &str) -> String {
        let names = self.by_kind().into_iter();
        names.fold(text.to_owned(), |text, (kind, name)| text.replace(kind, name))
    }

    /// `text` with the kinds of these names in their place.
    pub(super) fn blank(&self, text: &str) -> String {
        let names = self.by_kind().into_iter();
        names.fold(text.to_owned(), |text, (kind, name)| text.replace(name, kind))
    }

    fn by_kind(&self) -> [(&'static str, &str); 5] {
        [
            ("{session}", &self.session),
            ("{digest}", &self.digest),
            ("{repository}", &self.repository),
            ("{account}", &self.account),
            ("{tag}", &self.tag),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UPLOAD: &str = "/v2/team/app/blobs/uploads/0123456789abcdef0123456789abcdef?state=AbC12";

    #[test]
    fn what_is_not_there_has_other_names_that_are_as_long_and_read_the_same() {
        let item = Item::blob("team/app", &Digest::of(Algorithm::Sha256, b"a blob"));
        for upload in [None, Some(UPLOAD)] {
            let names = Names::of(&item, upload);
            let nothing = names.of_nothing();
            for ((kind, name), (_, other)) in names.by_kind().into_iter().zip(nothing.by_kind()) {
                assert_ne!(name, other, "{kind}");
                assert_eq!(name.len(), other.len(), "{kind}");
            }
            let text = "{digest} {session} of {repository}:{tag}, {account}";
            assert_ne!(names.fill(text), nothing.fill(text));
            assert_eq!(names.blank(&names.fill(text)), text);
            assert_eq!(nothing.blank(&nothing.fill(text)), text);
        }
    }
}
