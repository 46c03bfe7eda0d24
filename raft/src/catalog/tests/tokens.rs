//! Join tokens: which are good, and for how long.

use std::time::Duration;

use bytes::Bytes;
use proto::limits::TOKENS_MAX;
use proto::{Answer, Authority, Command, Refusal, RequestId, Thumbprint};

use super::{Catalog, link};
use crate::catalog::foreseen;

fn authority(name: &'static str) -> Command {
    let certificate = Bytes::from_static(name.as_bytes());
    Command::EstablishAuthority { authority: Authority { certificate, key: [1; 32] } }
}

fn secure() -> Catalog {
    let mut catalog = Catalog::new();
    catalog.apply(authority("first")).unwrap();
    catalog
}

fn token(number: usize) -> Thumbprint {
    Thumbprint::of(&number.to_be_bytes())
}

fn issue(number: usize, seconds: u64, alone: bool) -> Command {
    Command::IssueToken { token: token(number), lifetime: Duration::from_secs(seconds), alone }
}

fn admit(number: Option<usize>) -> Command {
    Command::AdmitNode { peer_address: "n:1".parse().unwrap(), token: number.map(token) }
}

#[test]
fn the_first_authority_stays() {
    let mut catalog = secure();
    assert_eq!(catalog.apply(authority("second")), Ok(Answer::Done));
    let stays = catalog.view().authority().unwrap().unwrap();
    assert_eq!(stays.certificate, "first");
}

#[test]
fn a_cluster_with_an_authority_admits_by_tokens_only() {
    let mut catalog = Catalog::new();
    assert!(catalog.apply(admit(None)).is_ok(), "before it has one");
    catalog.apply(authority("first")).unwrap();
    assert_eq!(catalog.apply(admit(None)), Err(Refusal::TokenUnknown));
    assert_eq!(catalog.apply(admit(Some(1))), Err(Refusal::TokenUnknown));
    catalog.apply(issue(1, 60, false)).unwrap();
    for _ in 0..2 {
        assert!(catalog.apply(admit(Some(1))).is_ok(), "it may be used again");
    }
}

#[test]
fn a_token_is_good_until_its_end() {
    let mut catalog = secure();
    catalog.apply(issue(1, 60, false)).unwrap();
    let end = catalog.view().token(&token(1)).unwrap().unwrap();
    catalog.millis = end.as_millis() - 2;
    assert!(catalog.apply(admit(Some(1))).is_ok());
    catalog.millis = end.as_millis();
    assert_eq!(catalog.apply(admit(Some(1))), Err(Refusal::TokenExpired(end)));
    catalog.apply(issue(2, 60, false)).unwrap();
    assert_eq!(catalog.apply(admit(Some(1))), Err(Refusal::TokenUnknown), "it is forgotten");
}

#[test]
fn a_leader_whose_clock_was_ahead_for_a_moment_keeps_no_token_good() {
    let mut catalog = secure();
    let day = 24 * 60 * 60 * 1_000;
    catalog.millis += 365 * day;
    catalog.apply(issue(1, 60, false)).unwrap();
    catalog.millis -= 365 * day;
    catalog.apply(issue(2, 60, false)).unwrap();
    assert_eq!(catalog.apply(admit(Some(2))).map(|_| ()), Ok(()));
    let end = catalog.view().token(&token(2)).unwrap().unwrap();
    catalog.millis = end.as_millis();
    assert_eq!(catalog.apply(admit(Some(2))), Err(Refusal::TokenExpired(end)));
}

#[test]
fn only_a_good_token_or_the_request_that_admitted_a_node_is_worth_a_proposal() {
    let mut catalog = secure();
    catalog.apply(issue(1, 60, false)).unwrap();
    let request = |byte| RequestId::from_bytes([byte; 16]);
    let foreseen = |catalog: &Catalog, byte, number| {
        foreseen(&catalog.view(), &request(byte), &token(number)).unwrap()
    };
    assert_eq!(foreseen(&catalog, 1, 1), None);
    catalog.apply_as(request(1), admit(Some(1))).unwrap();
    catalog.apply_as(request(2), link("a", b"1", 1)).unwrap();
    catalog.apply_as(request(3), admit(Some(9))).unwrap_err();
    assert_eq!(foreseen(&catalog, 1, 9), None, "it is told once more that it is admitted");
    for byte in [2, 3, 4] {
        assert_eq!(foreseen(&catalog, byte, 9), Some(Refusal::TokenUnknown), "request {byte}");
    }

    let end = catalog.view().token(&token(1)).unwrap().unwrap();
    catalog.millis = end.as_millis();
    catalog.touch();
    assert_eq!(foreseen(&catalog, 4, 1), Some(Refusal::TokenExpired(end)));
    assert_eq!(foreseen(&catalog, 1, 1), None);
}

#[test]
fn a_token_that_is_to_be_alone_takes_the_others_back() {
    let mut catalog = secure();
    catalog.apply(issue(1, 60, false)).unwrap();
    catalog.apply(issue(2, 60, true)).unwrap();
    assert_eq!(catalog.apply(admit(Some(1))), Err(Refusal::TokenUnknown));
    assert!(catalog.apply(admit(Some(2))).is_ok());
}

#[test]
fn there_are_only_so_many_tokens_and_that_which_ends_first_goes() {
    let mut catalog = secure();
    for number in 0..=TOKENS_MAX {
        let seconds = if number == 5 { 60 } else { 3600 };
        catalog.apply(issue(number, seconds, false)).unwrap();
    }
    assert_eq!(catalog.view().tokens().unwrap().len(), TOKENS_MAX);
    assert_eq!(catalog.apply(admit(Some(5))), Err(Refusal::TokenUnknown));
    assert!(catalog.apply(admit(Some(0))).is_ok());
}
