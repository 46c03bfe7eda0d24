//! The signatures of tokens, by the cryptography that TLS uses already.

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{ErrorKind, Result};
use jsonwebtoken::signature::{Error, Signer, Verifier};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind, EncodingKey};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, Ed25519KeyPair, KeyPair as _,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
    RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};

/// Tokens are made with Ed25519 and nothing else; those of other issuers are checked with what
/// their keys are for. A private key is its seed, a public one its bytes (RFC 8032, section 5.1.5;
/// SEC 1, section 2.3.3), but for RSA, where it is modulus and exponent.
static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |algorithm, key| match algorithm {
        Algorithm::EdDSA => Ok(Box::new(Signing(pair(key)?))),
        _ => Err(ErrorKind::InvalidAlgorithm.into()),
    },
    verifier_factory: |algorithm, key| {
        if algorithm.family() != key.family() {
            return Err(ErrorKind::InvalidAlgorithm.into());
        }
        Ok(Box::new(Verifying { algorithm: *algorithm, key: key.clone() }))
    },
    key_utils: KeyUtils::new_unimplemented(),
};

/// Has the library use it, in the whole process. Repeating it has no effect.
pub(in crate::access) fn install() {
    let _ = PROVIDER.install_default();
}

/// The public key of a seed.
pub(super) fn public(seed: &[u8; 32]) -> Option<[u8; 32]> {
    let pair = Ed25519KeyPair::from_seed_unchecked(seed).ok()?;
    pair.public_key().as_ref().try_into().ok()
}

fn pair(key: &EncodingKey) -> Result<Ed25519KeyPair> {
    Ed25519KeyPair::from_seed_unchecked(key.as_bytes())
        .map_err(|_| ErrorKind::InvalidEddsaKey.into())
}

struct Signing(Ed25519KeyPair);

impl Signer<Vec<u8>> for Signing {
    fn try_sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, Error> {
        Ok(self.0.sign(message).as_ref().to_vec())
    }
}

impl JwtSigner for Signing {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}

struct Verifying {
    algorithm: Algorithm,
    key: DecodingKey,
}

impl Verifier<Vec<u8>> for Verifying {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> std::result::Result<(), Error> {
        match self.key.kind() {
            DecodingKeyKind::SecretOrDer(key) => {
                let algorithm: &dyn VerificationAlgorithm = match self.algorithm {
                    Algorithm::EdDSA => &ED25519,
                    Algorithm::ES256 => &ECDSA_P256_SHA256_FIXED,
                    Algorithm::ES384 => &ECDSA_P384_SHA384_FIXED,
                    _ => return Err(Error::new()),
                };
                UnparsedPublicKey::new(algorithm, key).verify(message, signature)
            }
            DecodingKeyKind::RsaModulusExponent { n, e } => {
                let algorithm = match self.algorithm {
                    Algorithm::RS256 => &RSA_PKCS1_2048_8192_SHA256,
                    Algorithm::RS384 => &RSA_PKCS1_2048_8192_SHA384,
                    Algorithm::RS512 => &RSA_PKCS1_2048_8192_SHA512,
                    _ => return Err(Error::new()),
                };
                RsaPublicKeyComponents { n, e }.verify(algorithm, message, signature)
            }
        }
        .map_err(|_| Error::new())
    }
}

impl JwtVerifier for Verifying {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    /// A modulus, and a signature of `header.claims` by its private half, as OpenSSL made them.
    const MODULUS: &str = concat!(
        "2x21T2RE6aSvzIQv4GY6nYka7JkZB2AJ3NVSttn+nwq3+ApeWsZHggkpfX5CO0vgj8Tg+X1elE1hzEjo8To9",
        "qMu0P3awGIeTzRFQtVcu6BbQ5AQ0IlERWIJ4OkPl20hVSM4YBbBcfeuqrjIkrpdFjIaI7Bv4GIvHwimTsaPr",
        "qrf02yOQ0tWaVo5TgbTUMGms48nhvgs7wmSsdoswbPAgRw7N+iHntMR+VWRByqlnAVm4nvd2FWJoJix8mldt",
        "FoIPV5jiEghryAhh6McqIZfOVy4gaDql7glV1/s3yPW2ubx/M2BPC7F/EdCy7Psya/nHM0ZPuyQe5WG2kwbN",
        "D5u7pQ==",
    );
    const SIGNATURE: &str = concat!(
        "Lo9wDB1r3a4ImZ9pJqHbOB70N4/xAMw98QZAJzSUabWzmCueJMC87b8LjuH+N95bjrqD1kSQg35SPXeD2zWT",
        "SG+KtHgSFcoyW/Lk69L96mYmNm99G9MEgtzWnGtRIXUjueaq15TbDTU5g6v8cnObcrZo30HC4cPvvteGhviK",
        "uznKeqkOustSwb13bswPgyNt5fPiWVAizUO2fEaDipKMvdWbI+VAHqKraOVwfcgfy0m22d4jHcqo9Ibt4ieY",
        "vH8bv5iobXxdfLwHNQWFkhbORzPnGZDSQ90eCczo8wyG+EVAwZuJII7/CdPGheWNPt8oH0UUOfcc3+U80ZfS",
        "auRSvQ==",
    );

    #[test]
    fn signatures_of_rsa_are_checked_with_the_algorithm_of_their_key() {
        let key =
            DecodingKey::from_rsa_raw_components(&STANDARD.decode(MODULUS).unwrap(), &[1, 0, 1]);
        let signature = STANDARD.decode(SIGNATURE).unwrap();
        let verify = |algorithm, message: &[u8]| {
            let made = (PROVIDER.verifier_factory)(&algorithm, &key);
            made.is_ok_and(|verifier| verifier.verify(message, &signature).is_ok())
        };
        assert!(verify(Algorithm::RS256, b"header.claims"));
        assert!(!verify(Algorithm::RS256, b"header.claim5"));
        for other in [Algorithm::RS512, Algorithm::PS256, Algorithm::HS256, Algorithm::EdDSA] {
            assert!(!verify(other, b"header.claims"), "{other:?}");
        }
    }
}
