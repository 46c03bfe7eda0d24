//! Tokens that count, and all the ways in which one may not.
#![allow(clippy::unwrap_used, reason = "a failed test panics")]

use std::slice::from_ref;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

fn key(id: u64) -> TokenKey {
    TokenKey { id, seed: [u8::try_from(id).unwrap(); 32], since: NOW }
}

fn tokens() -> Tokens {
    Tokens::new(ClusterId::from_bytes([7; 16]), "roadstead")
}

fn issued(key: &TokenKey) -> String {
    tokens().issue(Source::Confirmed, key, &Login::NOBODY, vec![], NOW).unwrap()
}

fn later(seconds: u64) -> Timestamp {
    NOW.plus(Duration::from_secs(seconds))
}

/// The token with header and claims changed, and signed anew with `key`.
fn forged(key: &TokenKey, change: impl Fn(&mut Value, &mut Value)) -> String {
    let token = issued(key);
    let mut parts = token.split('.').map(|part| {
        let bytes = URL_SAFE_NO_PAD.decode(part).unwrap();
        serde_json::from_slice::<Value>(&bytes).unwrap_or_default()
    });
    let (mut header, mut claims) = (parts.next().unwrap(), parts.next().unwrap());
    change(&mut header, &mut claims);
    sign(key, &header.to_string(), &claims.to_string())
}

fn sign(key: &TokenKey, header: &str, claims: &str) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let pair = ::ring::signature::Ed25519KeyPair::from_seed_unchecked(&key.seed).unwrap();
    let signature = pair.sign(message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

#[test]
fn a_token_counts_until_it_ends_and_not_before_it_begins() {
    let (tokens, token) = (tokens(), issued(&key(1)));
    let counts = |now| tokens.verify(&[key(1)], &token, now).is_some();
    assert!(counts(NOW) && counts(later(LIFETIME.as_secs() - 1)));
    assert!(!counts(later(LIFETIME.as_secs())));
    let early = |seconds: u64| Timestamp::from_millis(NOW.as_millis() - seconds * 1000);
    assert!(counts(early(SKEW)), "the clocks of two nodes differ a little");
    assert!(!counts(early(SKEW + 1)));
}

#[test]
fn a_token_that_was_signed_alone_counts_and_says_so() {
    let (tokens, key) = (tokens(), key(1));
    let token = tokens.issue(Source::Alone, &key, &Login::NOBODY, vec![], NOW).unwrap();
    let alone = tokens.verify(from_ref(&key), &token, NOW).unwrap();
    let confirmed = tokens.verify(from_ref(&key), &issued(&key), NOW).unwrap();
    assert_eq!(alone.iss, format!("{}:alone", confirmed.iss));
}

#[test]
fn a_token_ends_with_the_key_that_signed_it() {
    let (tokens, token) = (tokens(), issued(&key(1)));
    assert!(tokens.verify(&[key(1), key(2)], &token, NOW).is_some());
    assert!(tokens.verify(&[key(2), key(3)], &token, NOW).is_none());
    assert!(tokens.verify(&[], &token, NOW).is_none());
    let other = TokenKey { id: 1, ..key(2) };
    assert!(self::tokens().verify(&[other], &token, NOW).is_none());
}

#[test]
fn a_changed_token_does_not_count() {
    let key = key(1);
    let verify = |token: &str| tokens().verify(from_ref(&key), token, NOW).is_some();
    assert!(verify(&forged(&key, |_, _| {})), "signed with the very key, it would");
    let token = issued(&key);
    for at in (0..token.len()).filter(|at| token.as_bytes()[*at] != b'.') {
        let mut bytes = token.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        // The last character of each part has bits that belong to no byte.
        assert!(!verify(&changed) || token[at + 1..].starts_with('.') || at + 1 == token.len());
    }
    for wrong in ["", ".", "..", "a.b.c", &token[1..], &token[..token.len() - 4]] {
        assert!(!verify(wrong), "{wrong}");
    }
}

#[test]
fn no_header_talks_its_way_in() {
    let (ours, theirs) = (key(1), key(2));
    let verify = |token: &str| tokens().verify(from_ref(&ours), token, NOW).is_some();
    for algorithm in ["none", "None", "HS256", "RS256", "ES256", ""] {
        assert!(!verify(&forged(&ours, |header, _| header["alg"] = json!(algorithm))));
    }
    assert!(!verify(&forged(&ours, |header, _| header["kid"] = json!("2"))), "an unknown key");
    assert!(!verify(&forged(&ours, |header, _| {
        header.as_object_mut().unwrap().remove("kid");
    })));
    let public = URL_SAFE_NO_PAD.encode(ring::public(&theirs.seed).unwrap());
    let brought = json!({ "kty": "OKP", "crv": "Ed25519", "x": public });
    for (name, value) in [("jwk", brought), ("jku", json!("http://evil/")), ("x5c", json!(["x"]))] {
        let token = forged(&theirs, |header, _| {
            header["kid"] = json!("1");
            header[name] = value.clone();
        });
        assert!(!verify(&token), "{name}");
    }
    // Signed with the public key, as if that were a secret that both sides share.
    let unsigned = issued(&ours);
    let message = unsigned.rsplit_once('.').unwrap().0.replacen("EdDSA", "HS256", 1);
    assert!(!verify(&format!("{message}.{public}", public = "AAAA")));
}

#[test]
fn claims_that_are_wrong_missing_or_doubled_do_not_count() {
    let key = key(1);
    let verify = |token: &str| tokens().verify(from_ref(&key), token, NOW).is_some();
    for (claim, value) in [
        ("iss", json!("roadstead:other")),
        ("aud", json!("another service")),
        ("aud", json!(["another", "service"])),
        ("exp", json!(NOW.as_millis() / 1000)),
        ("exp", json!(-1)),
        ("exp", json!("9999999999")),
        ("nbf", json!(NOW.as_millis() / 1000 + SKEW + 1)),
        ("iat", json!(NOW.as_millis() / 1000 + SKEW + 1)),
        ("access", json!("everything")),
    ] {
        assert!(!verify(&forged(&key, |_, claims| claims[claim] = value.clone())), "{claim}");
    }
    for claim in ["iss", "aud", "sub", "exp", "nbf", "iat", "access", "roadstead"] {
        let token = forged(&key, |_, claims| {
            claims.as_object_mut().unwrap().remove(claim);
        });
        assert!(!verify(&token), "without {claim}");
        let token = issued(&key);
        let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
        let claims = String::from_utf8(claims).unwrap();
        let value = serde_json::from_str::<Value>(&claims).unwrap()[claim].to_string();
        let doubled = format!("{{\"{claim}\":{value},{}", &claims[1..]);
        let header = json!({ "alg": "EdDSA", "kid": "1" }).to_string();
        assert!(!verify(&sign(&key, &header, &doubled)), "{claim} twice");
    }
}
