//! What the simulated store does wrong, and with which requests.

use std::collections::BTreeSet;
use std::time::Duration;

use http::{Method, Request, StatusCode};

use super::RANGE_CHANGED;
use crate::sim::dice::Dice;

/// How long an answer takes while nothing is wrong, in milliseconds.
const TAKES_MAX: u64 = 15;
/// The longest that a request is on its way that comes late: longer than clients wait for it.
const LATE_MAX: u64 = 15_000;
/// One in how many uploads in parts fails after its 200 while nothing is wrong: S3 begins to answer
/// before it knows.
const ERRORS_IN_200: u64 = 3;
/// Refusals for which S3 wants a request repeated.
const REFUSALS: [(StatusCode, &str, &str); 3] = [
    (StatusCode::INTERNAL_SERVER_ERROR, "InternalError", "S3: answered 500"),
    (StatusCode::SERVICE_UNAVAILABLE, "SlowDown", "S3: answered 503"),
    (StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", "S3: answered 429"),
];

/// What a request asks for, as far as that decides what can go wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// To read an object, all of it.
    Whole,
    /// To read a part of an object.
    Range,
    /// To change something.
    Change,
    /// To make the parts of an upload its object.
    Completion,
    /// A question with a short answer, or a list.
    Question,
}

impl Asked {
    pub(super) fn by<B>(request: &Request<B>) -> Self {
        let query = request.uri().query().unwrap_or_default();
        let is_of_object = request.uri().path().trim_matches('/').contains('/');
        match *request.method() {
            Method::GET if is_of_object && request.headers().contains_key("range") => Self::Range,
            Method::GET if is_of_object => Self::Whole,
            Method::POST if query.contains("uploadId=") => Self::Completion,
            Method::PUT | Method::POST | Method::DELETE => Self::Change,
            _ => Self::Question,
        }
    }
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is done, and answered.
    Done,
    /// It is refused with a status and a code.
    Refused(StatusCode, &'static str),
    /// The connection ends, and nothing is done.
    Cut,
    /// It is done, and the connection ends before the answer.
    DoneUnheard,
    /// It is done, and answered with 500.
    DoneRefused,
    /// The body of the answer breaks off.
    BrokenOff,
    /// A byte of the body is another.
    Changed,
    /// The answer is 200 and holds an error; it is done or not.
    ErrorIn200(bool),
    /// Nothing answers, and it is done when so much time has passed.
    Late(Duration),
}

/// What is wrong with the store.
#[derive(Debug)]
pub(super) struct Mood {
    dice: Dice,
    /// Whether no request is taken.
    pub(super) is_away: bool,
    /// Whether requests are neither taken nor refused while it is away.
    pub(super) is_silent: bool,
    /// Whether all requests are refused, since what they are signed with is not good any more.
    pub(super) is_denied: bool,
    /// Whether they ever were.
    pub(super) has_denied: bool,
    /// One in how many requests meets a fault; 0: none.
    pub(super) fails_one_in: u64,
    /// The longest that answers take, in milliseconds, where that is not as usual.
    pub(super) slow: Option<u64>,
    /// By how many milliseconds lists may be late.
    pub(super) lists_late: u64,
    /// Whether all is well from now on.
    pub(super) is_over: bool,
    /// Of what a byte was another in a part that was read.
    changed: BTreeSet<String>,
}

impl Mood {
    pub(super) const fn new(dice: Dice) -> Self {
        Self {
            dice,
            is_away: false,
            is_silent: false,
            is_denied: false,
            has_denied: false,
            fails_one_in: 0,
            slow: None,
            lists_late: 0,
            is_over: false,
            changed: BTreeSet::new(),
        }
    }

    /// Sets whether the store is away, in one of the two ways in which it can be.
    pub(super) fn set_away(&mut self, is_away: bool) {
        if is_away && !self.is_away {
            self.is_silent = self.dice.one_in(2);
        }
        self.is_away = is_away;
    }

    /// How late the next list is.
    pub(super) fn lateness(&mut self) -> Duration {
        match self.lists_late {
            0 => Duration::ZERO,
            late => self.dice.millis(0..=late),
        }
    }

    /// How long the next answer takes.
    pub(super) fn takes(&mut self) -> Duration {
        let most = self.slow.unwrap_or(TAKES_MAX);
        self.dice.millis(0..=most)
    }

    /// A number below `end`, for a place in a body.
    pub(super) fn place(&mut self, end: usize) -> usize {
        self.dice.index(end.max(1))
    }

    /// Whether a byte may be another in a part of what has one of these `names`: once. What comes
    /// changed each time that it is read has rotted.
    pub(super) fn may_change(&mut self, names: Vec<String>) -> bool {
        let is_first = names.iter().all(|name| !self.changed.contains(name));
        if is_first {
            self.changed.extend(names);
        }
        is_first
    }

    /// What becomes of a request, and the name under which that is counted.
    pub(super) fn fate(&mut self, asked: Asked) -> (Fate, &'static str) {
        if self.is_away {
            return (Fate::Cut, "S3: connections cut");
        }
        if self.is_denied {
            return (Fate::Refused(StatusCode::BAD_REQUEST, "ExpiredToken"), "S3: answered 400");
        }
        if asked == Asked::Completion && !self.is_over && self.dice.one_in(ERRORS_IN_200) {
            return self.error_in_200();
        }
        let of = match (self.fails_one_in, asked) {
            (0, _) => return (Fate::Done, "S3: requests answered"),
            // There are few of these, and they fail in a way of their own.
            (_, Asked::Completion) => 1,
            (one_in, _) => one_in,
        };
        if !self.dice.one_in(of) {
            return (Fate::Done, "S3: requests answered");
        }
        let changes = matches!(asked, Asked::Change | Asked::Completion);
        match (self.dice.number(0..=9), asked) {
            (0..=2, _) => {
                let (status, code, name) = *self.dice.pick(&REFUSALS);
                (Fate::Refused(status, code), name)
            }
            (3, _) => (Fate::Cut, "S3: connections cut"),
            (4, _) if changes => (Fate::DoneRefused, "S3: answered 500 to what was done"),
            (5, _) if changes => {
                let late = self.dice.millis(500..=LATE_MAX);
                (Fate::Late(late), "S3: requests that came late")
            }
            (_, Asked::Completion) => self.error_in_200(),
            (4..=6, Asked::Whole) => (Fate::Changed, "S3: bodies with another byte"),
            (4..=6, Asked::Range) => (Fate::Changed, RANGE_CHANGED),
            (_, Asked::Whole | Asked::Range) => (Fate::BrokenOff, "S3: bodies broken off"),
            _ => (Fate::DoneUnheard, "S3: answers lost"),
        }
    }

    fn error_in_200(&mut self) -> (Fate, &'static str) {
        (Fate::ErrorIn200(self.dice.one_in(2)), "S3: errors in a 200")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use std::collections::BTreeSet;

    use super::*;

    fn asked(method: Method, uri: &str, range: bool) -> Asked {
        let mut request = Request::builder().method(method).uri(uri);
        if range {
            request = request.header("range", "bytes=0-1");
        }
        Asked::by(&request.body(()).unwrap())
    }

    #[test]
    fn each_request_is_known_by_what_it_asks_for() {
        assert_eq!(asked(Method::GET, "http://s3/bucket/cluster", false), Asked::Whole);
        assert_eq!(asked(Method::GET, "/bucket/objects/3f/3f62", true), Asked::Range);
        assert_eq!(asked(Method::GET, "/bucket/?list-type=2&prefix=a%2F", false), Asked::Question);
        assert_eq!(asked(Method::GET, "/bucket/?uploads", false), Asked::Question);
        assert_eq!(asked(Method::HEAD, "/bucket/objects/3f/3f62", false), Asked::Question);
        assert_eq!(asked(Method::PUT, "/bucket/uploads/3f62", false), Asked::Change);
        assert_eq!(asked(Method::POST, "/bucket/a?uploads", false), Asked::Change);
        assert_eq!(asked(Method::POST, "/bucket/a?uploadId=1", false), Asked::Completion);
        assert_eq!(asked(Method::DELETE, "/bucket/a?uploadId=1", false), Asked::Change);
    }

    #[test]
    fn what_reads_has_no_effect_that_could_be_lost_and_only_what_is_read_changes() {
        let mut mood = Mood { fails_one_in: 1, ..Mood::new(Dice::new(1, "test")) };
        let mut kinds = |asked| {
            let fates = (0..1000).map(|_| mood.fate(asked).1);
            fates.collect::<BTreeSet<_>>()
        };
        let [whole, range, change, completion, question] =
            [Asked::Whole, Asked::Range, Asked::Change, Asked::Completion, Asked::Question]
                .map(&mut kinds);
        assert!(whole.contains("S3: bodies with another byte"));
        assert!(range.contains(RANGE_CHANGED));
        assert!(
            !change.contains("S3: bodies with another byte") && !change.contains(RANGE_CHANGED)
        );
        assert!(range.contains("S3: bodies broken off"));
        assert!(change.contains("S3: requests that came late"));
        assert!(change.contains("S3: answers lost"));
        assert!(completion.contains("S3: errors in a 200"));
        assert!(!question.contains("S3: requests that came late"));
    }

    #[test]
    fn a_store_that_is_away_takes_nothing_and_one_that_is_well_takes_all() {
        let mut mood = Mood::new(Dice::new(1, "test"));
        assert_eq!(mood.fate(Asked::Change).0, Fate::Done);
        mood.set_away(true);
        assert_eq!(mood.fate(Asked::Change).0, Fate::Cut);
        mood.set_away(false);
        assert_eq!(mood.fate(Asked::Change).0, Fate::Done);
        mood.is_denied = true;
        let denied = Fate::Refused(StatusCode::BAD_REQUEST, "ExpiredToken");
        assert_eq!(mood.fate(Asked::Question).0, denied);
        mood.is_denied = false;
        mood.is_over = true;
        assert!((0..100).all(|_| mood.fate(Asked::Completion).0 == Fate::Done));
    }

    #[test]
    fn uploads_in_parts_fail_after_their_200_in_good_times_too() {
        let mut mood = Mood::new(Dice::new(1, "test"));
        let fates: Vec<Fate> = (0..100).map(|_| mood.fate(Asked::Completion).0).collect();
        for fate in [Fate::Done, Fate::ErrorIn200(true), Fate::ErrorIn200(false)] {
            assert!(fates.contains(&fate), "{fate:?}");
        }
    }

    #[test]
    fn of_what_has_a_name_a_byte_is_another_once() {
        let mut mood = Mood::new(Dice::new(1, "test"));
        let mut may_change =
            |names: &[&str]| mood.may_change(names.iter().map(|name| (*name).to_owned()).collect());
        assert!(may_change(&["piece-1", "whole"]));
        assert!(!may_change(&["piece-1", "whole"]));
        assert!(!may_change(&["piece-2", "whole"]), "of a whole only one piece");
        assert!(may_change(&["other"]));
    }
}
