//! Tokens of an issuer outside of the cluster, such as the token server that a company has already.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};

use jsonwebtoken::jwk::{
    AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm, PublicKeyUse,
};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use proto::Timestamp;
use serde::Deserialize;

use super::token::{BYTES_MAX, SKEW, ring};
use super::{Identity, Resource};

/// An issuer whose tokens count, with its public keys, which can be replaced while they are used.
/// Clones share them.
#[derive(Clone)]
pub struct Issuer {
    name: String,
    keys: Arc<RwLock<Vec<PublicKey>>>,
}

/// A key, and the one algorithm that it is for (RFC 8725, section 3.1).
#[derive(Clone)]
struct PublicKey {
    id: Option<String>,
    algorithm: Algorithm,
    key: DecodingKey,
}

/// What a token of such an issuer says.
#[derive(Debug, Deserialize)]
pub(super) struct Claims {
    /// Whom it is for. Some issuers say nothing there, or `""`, of who has shown no credentials.
    sub: Option<String>,
    exp: u64,
    #[serde(default)]
    nbf: u64,
    iat: u64,
    /// What it is good for, and gives.
    #[serde(default)]
    pub(super) access: Vec<Resource>,
}

impl Issuer {
    /// The issuer that calls itself `name`, with the keys of the JSON Web Key Set `keys` (RFC 7517,
    /// section 5), but for those that are to encrypt.
    ///
    /// # Errors
    /// [`IssuerError`] when there is a key among them that is to sign and cannot be used.
    pub fn new(name: &str, keys: &str) -> Result<Self, IssuerError> {
        ring::install();
        let set: JwkSet =
            serde_json::from_str(keys).map_err(|error| IssuerError::Json(error.to_string()))?;
        let signing = set.keys.iter().filter(|key| is_to_sign(key));
        let keys: Vec<PublicKey> = signing.map(read).collect::<Result<_, _>>()?;
        if keys.is_empty() {
            return Err(IssuerError::Empty);
        }
        Ok(Self { name: name.to_owned(), keys: Arc::new(RwLock::new(keys)) })
    }

    /// Takes the keys of `other` from now on.
    pub fn replace(&self, other: &Self) {
        let keys = other.keys.read().unwrap_or_else(PoisonError::into_inner).clone();
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
    }

    /// What `token` says to `service`, when it counts at `now`.
    pub(super) fn verify(&self, service: &str, token: &str, now: Timestamp) -> Option<Claims> {
        if token.len() > BYTES_MAX {
            return None;
        }
        let header = jsonwebtoken::decode_header(token).ok()?;
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        // Keys need no names, and may share them (RFC 7517, section 4.5).
        let mut meant =
            keys.iter().filter(|key| key.id == header.kid && key.algorithm == header.alg);
        let claims = meant.find_map(|key| {
            let mut validation = Validation::new(key.algorithm);
            validation.set_issuer(&[&self.name]);
            validation.set_audience(&[service]);
            validation.set_required_spec_claims(&["exp", "iss", "aud"]);
            // By the clock of this node, which is not the one that the library would look at.
            (validation.validate_exp, validation.validate_nbf) = (false, false);
            Some(jsonwebtoken::decode::<Claims>(token, &key.key, &validation).ok()?.claims)
        })?;
        let now = now.as_millis() / 1000;
        let is_current = claims.exp > now && claims.nbf.max(claims.iat) <= now + SKEW;
        is_current.then_some(claims)
    }
}

impl Claims {
    /// Whom the token is for; `None` when that can be no name here.
    pub(super) fn identity(&self) -> Option<Identity> {
        match self.sub.as_deref() {
            None | Some("") => Some(Identity::Anonymous),
            Some(name) => {
                let name = name.parse().ok()?;
                Some(Identity::Account { name, groups: BTreeSet::new() })
            }
        }
    }
}

impl std::fmt::Debug for Issuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

/// Whether tokens may be signed with it, as those say that publish it (RFC 7517, section 4.2).
fn is_to_sign(jwk: &Jwk) -> bool {
    matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature))
}

fn read(jwk: &Jwk) -> Result<PublicKey, IssuerError> {
    let id = jwk.common.key_id.clone();
    let refuse = || IssuerError::Key(id.clone().unwrap_or_default());
    let algorithm = match (&jwk.algorithm, jwk.common.key_algorithm) {
        (AlgorithmParameters::RSA(_), None | Some(KeyAlgorithm::RS256)) => Algorithm::RS256,
        (AlgorithmParameters::RSA(_), Some(KeyAlgorithm::RS384)) => Algorithm::RS384,
        (AlgorithmParameters::RSA(_), Some(KeyAlgorithm::RS512)) => Algorithm::RS512,
        (AlgorithmParameters::EllipticCurve(key), None | Some(KeyAlgorithm::ES256))
            if key.curve == EllipticCurve::P256 =>
        {
            Algorithm::ES256
        }
        (AlgorithmParameters::EllipticCurve(key), None | Some(KeyAlgorithm::ES384))
            if key.curve == EllipticCurve::P384 =>
        {
            Algorithm::ES384
        }
        (AlgorithmParameters::OctetKeyPair(key), None | Some(KeyAlgorithm::EdDSA))
            if key.curve == EllipticCurve::Ed25519 =>
        {
            Algorithm::EdDSA
        }
        // Secrets that both sides share among them: who checks such tokens can make them.
        _ => return Err(refuse()),
    };
    let key = DecodingKey::from_jwk(jwk).map_err(|_| refuse())?;
    Ok(PublicKey { id, algorithm, key })
}

/// The keys of an issuer cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IssuerError {
    /// They are no JSON Web Key Set.
    #[error("a JSON Web Key Set is {{\"keys\": [...]}}: {0}")]
    Json(String),
    /// There is none.
    #[error("there is no key in it")]
    Empty,
    /// One of them is of a kind that is not taken.
    #[error("key \"{0}\" cannot be used: take RSA (RS256, RS384, RS512), P-256, P-384 or Ed25519")]
    Key(String),
}
