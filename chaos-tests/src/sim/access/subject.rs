//! Accounts of which one thing comes and goes, so that each answer to them says of it whether it is
//! there.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::StatusCode;

use super::administrator::THERE;
use crate::sim::client::{APP, GUESTS};
use crate::sim::history::{Action, History};
use crate::sim::http::Pass;

/// How many keys of an account are tried that were made last, those among them that were revoked.
const KEYS_KEPT: usize = 3;

/// What comes and goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Varying {
    /// A grant to pull.
    Pull,
    /// A grant to push, of who may pull all the time.
    Push,
    /// A grant to delete, of who may pull and push all the time.
    Delete,
    /// Whether the account is enabled.
    Account,
    /// The key with which it logs in.
    Key,
}

/// How somebody logs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    Key,
    Token,
}

impl Varying {
    /// All of them.
    pub(super) const ALL: [Self; 5] =
        [Self::Pull, Self::Push, Self::Delete, Self::Account, Self::Key];

    /// The account that this is of.
    pub(super) const fn account(self) -> &'static str {
        match self {
            Self::Pull => "visitor",
            Self::Push => "builder",
            Self::Delete => "janitor",
            Self::Account => "temp",
            Self::Key => "ci",
        }
    }

    /// The roles that the account has. If this is a grant, it is that of the first.
    pub(super) const fn roles(self) -> &'static [&'static str] {
        match self {
            Self::Pull | Self::Account | Self::Key => &["read-only"],
            Self::Push => &["developer", "read-only"],
            Self::Delete => &["maintainer", "developer"],
        }
    }

    /// What a token must be for, to show whether this is there.
    pub(super) fn scope(self) -> String {
        match self {
            Self::Pull | Self::Account | Self::Key => format!("repository:{APP}:pull"),
            Self::Push => format!("repository:{GUESTS}:pull,push"),
            Self::Delete => format!("repository:{GUESTS}:pull,push,delete"),
        }
    }

    /// Whether this is a grant.
    pub(super) const fn is_grant(self) -> bool {
        matches!(self, Self::Pull | Self::Push | Self::Delete)
    }

    /// The name under which it is written down whether this is there; keys have one each.
    pub(super) fn register(self) -> String {
        format!("{self:?} of {}", self.account())
    }

    /// What an answer says of what varies: that it is there, or not, or nothing.
    ///
    /// # Errors
    /// When no such answer can be: what it needs beside what varies is always there.
    pub(super) fn told(self, by: By, status: StatusCode) -> Result<Option<bool>, ()> {
        match (status, self, by) {
            (StatusCode::OK | StatusCode::NOT_FOUND, _, _) => Ok(Some(true)),
            (StatusCode::CREATED | StatusCode::ACCEPTED, Self::Push, _) => Ok(Some(true)),
            // What a manifest needs stays.
            (StatusCode::ACCEPTED | StatusCode::CONFLICT, Self::Delete, _) => Ok(Some(true)),
            (StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS, _, _) => Ok(None),
            (StatusCode::FORBIDDEN, _, _) if self.is_grant() => Ok(Some(false)),
            (StatusCode::UNAUTHORIZED, Self::Account | Self::Key, By::Key) => Ok(Some(false)),
            // It has ended, by the clock of a node; or it was given when less was granted.
            (StatusCode::UNAUTHORIZED, _, By::Token) => Ok(None),
            _ => Err(()),
        }
    }
}

/// A way to log in to one of the accounts.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    /// What varies.
    pub(super) varying: Varying,
    /// The name under which it is written down whether that is there.
    pub(super) register: String,
    /// What is shown.
    pub(super) pass: Pass,
}

impl Subject {
    /// Writes down that `by`, who asked at `called`, was told whether what varies is there.
    pub(super) fn saw(&self, rights: &History, by: &str, called: u64, is_there: bool) {
        let seen = Action::Saw(if is_there { THERE } else { None });
        rights.answered(&self.register, by, called, seen);
    }

    /// Writes down what it says that `by`, who asked at `called`, was refused with a token that was
    /// asked for at `since`, where all clocks are right and it cannot have ended. Either it is for
    /// less than is granted by now, or what it rests on has been taken back; if neither is so, what
    /// is written down fits no order.
    pub(super) fn outgrew(&self, rights: &History, by: &str, since: u64, called: u64) {
        let is_there = self.varying.is_grant();
        self.saw(rights, by, since, !is_there);
        self.saw(rights, by, called, is_there);
    }
}

/// All ways to log in that there are by now. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Subjects(Arc<Mutex<Vec<Subject>>>);

impl Subjects {
    /// Those there are by now.
    pub(super) fn all(&self) -> Vec<Subject> {
        self.held().clone()
    }

    /// Whether all those are there that stay.
    pub(crate) fn are_all_there(&self) -> bool {
        let subjects = self.held();
        let is_there = |varying| subjects.iter().any(|subject| subject.varying == varying);
        Varying::ALL.into_iter().filter(|varying| *varying != Varying::Key).all(is_there)
    }

    /// Adds a way to log in to the account of which `varying` is.
    pub(super) fn add(&self, varying: Varying, register: &str, key: &str) {
        let pass = Pass::default();
        pass.give(varying.account(), key);
        let mut subjects = self.held();
        subjects.push(Subject { varying, register: register.to_owned(), pass });
        let alike = |subject: &Subject| subject.varying == varying;
        if subjects.iter().filter(|subject| alike(subject)).count() > KEYS_KEPT
            && let Some(oldest) = subjects.iter().position(alike)
        {
            subjects.remove(oldest);
        }
    }

    fn held(&self) -> MutexGuard<'_, Vec<Subject>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::chronicle::Chronicle;
    use crate::sim::invariants::check_rights;

    #[test]
    fn answers_say_of_what_varies_whether_it_is_there() {
        for (varying, by, status, told) in [
            (Varying::Pull, By::Key, 200, Ok(Some(true))),
            (Varying::Pull, By::Key, 404, Ok(Some(true))),
            (Varying::Pull, By::Key, 403, Ok(Some(false))),
            (Varying::Pull, By::Key, 401, Err(())),
            (Varying::Pull, By::Key, 201, Err(())),
            (Varying::Pull, By::Token, 401, Ok(None)),
            (Varying::Push, By::Key, 201, Ok(Some(true))),
            (Varying::Push, By::Token, 202, Ok(Some(true))),
            (Varying::Push, By::Token, 403, Ok(Some(false))),
            // An upload of somebody else was shown, or given up.
            (Varying::Push, By::Key, 204, Err(())),
            (Varying::Delete, By::Key, 202, Ok(Some(true))),
            (Varying::Delete, By::Key, 409, Ok(Some(true))),
            (Varying::Delete, By::Key, 403, Ok(Some(false))),
            (Varying::Delete, By::Key, 201, Err(())),
            (Varying::Key, By::Key, 401, Ok(Some(false))),
            (Varying::Key, By::Key, 403, Err(())),
            (Varying::Account, By::Token, 403, Err(())),
            (Varying::Account, By::Key, 503, Ok(None)),
            (Varying::Account, By::Key, 500, Err(())),
        ] {
            let status = StatusCode::from_u16(status).unwrap_or_default();
            assert_eq!(varying.told(by, status), told, "{varying:?} {by:?} {status}");
        }
    }

    #[test]
    fn a_new_token_is_refused_when_what_varies_has_changed_and_else_that_is_found() {
        for varying in Varying::ALL {
            for (before, after) in [(true, true), (true, false), (false, true), (false, false)] {
                let chronicle = Chronicle::default();
                let rights = History::new(chronicle.clone());
                let register = varying.register();
                let set = |is_there: bool| {
                    let action = Action::Set(if is_there { THERE } else { None });
                    rights.answered(&register, "administrator", rights.call(), action);
                };
                set(before);
                let since = rights.call();
                if after != before {
                    set(after);
                }
                let pass = Pass::default();
                let subject = Subject { varying, register: register.clone(), pass };
                subject.outgrew(&rights, "guest", since, rights.call());
                check_rights(&rights, &chronicle);
                let has_changed = if varying.is_grant() { (false, true) } else { (true, false) };
                let is_well = chronicle.violation().is_none();
                assert_eq!(is_well, (before, after) == has_changed, "{varying:?} {before} {after}");
            }
        }
    }

    #[test]
    fn of_many_keys_the_last_ones_are_tried() {
        let subjects = Subjects::default();
        subjects.add(Varying::Pull, "grant", "a");
        for number in 0..5 {
            subjects.add(Varying::Key, &format!("key {number}"), "b");
        }
        let names: Vec<String> =
            subjects.all().into_iter().map(|subject| subject.register).collect();
        assert_eq!(names, ["grant", "key 2", "key 3", "key 4"]);
    }
}
