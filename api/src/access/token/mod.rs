//! Tokens: what a client gets for its credentials, good for some repositories and a few minutes
//! (distribution's "Token Authentication Specification"; RFC 7519, RFC 8725).

pub(super) mod ring;

use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use proto::access::TokenKey;
use proto::{ClusterId, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Login, Resource};
use crate::content::source::Source;
use crate::error::Error;
use crate::registry::random;

/// How long a token counts: docker takes no less than a minute, and asks again when it must.
pub(crate) const LIFETIME: Duration = Duration::from_secs(5 * 60);
/// How much the clocks of two nodes may differ, in seconds.
pub(super) const SKEW: u64 = 60;
/// Longest token that is looked at, in bytes: several times one for [`super::scope::RESOURCES_MAX`]
/// repositories with the longest of names.
pub(super) const BYTES_MAX: usize = 48 * 1024;
/// What a token says (RFC 7519, section 4.1).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Claims {
    iss: String,
    /// The account; empty for nobody in particular.
    pub(crate) sub: String,
    aud: String,
    exp: u64,
    nbf: u64,
    iat: u64,
    jti: String,
    /// What it is good for.
    pub(crate) access: Vec<Resource>,
    /// What must stay as it is for it to count.
    #[serde(rename = "roadstead")]
    pub(crate) basis: String,
}

/// Makes tokens, and checks them.
pub(crate) struct Tokens {
    issuer: String,
    /// The issuer of what a node signs without a quorum. Nodes judge by their own catalogs what a
    /// token is good for. Another registry that takes the cluster's tokens goes by the token, and
    /// takes none of these: a node that is cut off would give out what was taken back, for as long.
    alone: String,
    service: String,
}

impl Tokens {
    pub(crate) fn new(cluster: ClusterId, service: &str) -> Self {
        ring::install();
        let issuer = format!("roadstead:{cluster}");
        Self { alone: format!("{issuer}:alone"), issuer, service: service.to_owned() }
    }

    /// A token for `login`, good for `access`, signed with `key`. `backing` is who says so.
    pub(crate) fn issue(
        &self,
        backing: Source,
        key: &TokenKey,
        login: &Login,
        access: Vec<Resource>,
        now: Timestamp,
    ) -> Result<String, Error> {
        let now = now.as_millis() / 1000;
        let claims = Claims {
            iss: match backing {
                Source::Confirmed => self.issuer.clone(),
                Source::Alone => self.alone.clone(),
            },
            sub: login.identity.name().map(ToString::to_string).unwrap_or_default(),
            aud: self.service.clone(),
            exp: now + LIFETIME.as_secs(),
            nbf: now,
            iat: now,
            jti: format!("{:032x}", u128::from_be_bytes(random()?)),
            access,
            basis: login.basis.to_string(),
        };
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(key.id.to_string());
        jsonwebtoken::encode(&header, &claims, &EncodingKey::from_ed_der(&key.seed))
            .map_err(|error| Error::Internal(error.to_string()))
    }

    /// What `token` says, when one of `keys` has signed it and it counts at `now`. Its header only
    /// chooses among `keys`: keys and addresses of keys in it are passed over (RFC 8725, section
    /// 3.10), and there is one algorithm (section 3.1).
    pub(crate) fn verify(&self, keys: &[TokenKey], token: &str, now: Timestamp) -> Option<Claims> {
        if token.len() > BYTES_MAX {
            return None;
        }
        let named = jsonwebtoken::decode_header(token).ok()?.kid?;
        let key = keys.iter().find(|key| key.id.to_string() == named)?;
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[&self.issuer, &self.alone]);
        validation.set_audience(&[&self.service]);
        validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
        // By the clock of this node, which is not the one that the library would look at.
        (validation.validate_exp, validation.validate_nbf) = (false, false);
        let public = DecodingKey::from_ed_der(&ring::public(&key.seed)?);
        let claims = jsonwebtoken::decode::<Claims>(token, &public, &validation).ok()?.claims;
        let now = now.as_millis() / 1000;
        let is_current = claims.exp > now && claims.nbf.max(claims.iat) <= now + SKEW;
        is_current.then_some(claims)
    }
}

impl Claims {
    /// When the token ends.
    pub(crate) const fn end(&self) -> Timestamp {
        Timestamp::from_millis(self.exp.saturating_mul(1000))
    }
}

/// The public half of `key`, for services that check tokens elsewhere (RFC 8037, section 2).
pub(crate) fn public_jwk(key: &TokenKey) -> Option<serde_json::Value> {
    use base64::Engine as _;
    let x = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(ring::public(&key.seed)?);
    Some(serde_json::json!({
        "kty": "OKP",
        "crv": "Ed25519",
        "alg": "EdDSA",
        "use": "sig",
        "kid": key.id.to_string(),
        "x": x,
    }))
}

#[cfg(test)]
mod tests;
