//! The signatures of tokens, by the cryptography that TLS uses already.

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{ErrorKind, Result};
use jsonwebtoken::signature::{Error, Signer, Verifier};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};

/// Ed25519 and nothing else. A private key is its seed, a public one its 32 bytes (RFC 8032,
/// section 5.1.5).
static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |algorithm, key| {
        check(*algorithm)?;
        Ok(Box::new(Signing(pair(key)?)))
    },
    verifier_factory: |algorithm, key| {
        check(*algorithm)?;
        Ok(Box::new(Verifying(public_bytes(key)?)))
    },
    key_utils: KeyUtils::new_unimplemented(),
};

/// Has the library use it, in the whole process. Repeating it has no effect.
pub(super) fn install() {
    let _ = PROVIDER.install_default();
}

/// The public key of a seed.
pub(super) fn public(seed: &[u8; 32]) -> Option<[u8; 32]> {
    let pair = Ed25519KeyPair::from_seed_unchecked(seed).ok()?;
    pair.public_key().as_ref().try_into().ok()
}

fn check(algorithm: Algorithm) -> Result<()> {
    match algorithm {
        Algorithm::EdDSA => Ok(()),
        _ => Err(ErrorKind::InvalidAlgorithm.into()),
    }
}

fn pair(key: &EncodingKey) -> Result<Ed25519KeyPair> {
    Ed25519KeyPair::from_seed_unchecked(key.as_bytes())
        .map_err(|_| ErrorKind::InvalidEddsaKey.into())
}

fn public_bytes(key: &DecodingKey) -> Result<[u8; 32]> {
    key.try_get_as_bytes()?.try_into().map_err(|_| ErrorKind::InvalidEddsaKey.into())
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

struct Verifying([u8; 32]);

impl Verifier<Vec<u8>> for Verifying {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> std::result::Result<(), Error> {
        UnparsedPublicKey::new(&ED25519, self.0)
            .verify(message, signature)
            .map_err(|_| Error::new())
    }
}

impl JwtVerifier for Verifying {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}
