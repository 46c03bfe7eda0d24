//! Content digests (image-spec, "Digests"), and the hashers that make them.

use std::fmt;
use std::str::FromStr;

use sha2::Digest as _;

use crate::{Checksum, hex};

/// A digest algorithm that Roadstead computes itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// SHA-256, 32 bytes.
    Sha256,
    /// SHA-512, 64 bytes.
    Sha512,
}

impl Algorithm {
    /// The name in a digest string, before the colon.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    const fn hex_len(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha512 => 128,
        }
    }
}

impl FromStr for Algorithm {
    type Err = DigestError;

    fn from_str(name: &str) -> Result<Self, DigestError> {
        match name {
            "sha256" => Ok(Self::Sha256),
            "sha512" => Ok(Self::Sha512),
            _ => Err(DigestError::Algorithm),
        }
    }
}

/// The digest of some content, for example `sha256:6c3c624b58db...`: lower-case hexadecimal of the
/// right length.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest {
    text: Box<str>,
    algorithm: Algorithm,
}

impl Digest {
    /// The digest of `content` held in memory.
    pub fn of(algorithm: Algorithm, content: &[u8]) -> Self {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(content);
        hasher.finish()
    }

    /// The algorithm before the colon.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The whole digest, as it stands in manifests and URLs.
    pub const fn as_str(&self) -> &str {
        &self.text
    }

    /// The hexadecimal part, after the colon.
    pub fn hex(&self) -> &str {
        &self.text[self.algorithm.name().len() + 1..]
    }

    fn from_hash(algorithm: Algorithm, hash: &[u8]) -> Self {
        let mut text = String::with_capacity(algorithm.name().len() + 1 + algorithm.hex_len());
        text.push_str(algorithm.name());
        text.push(':');
        text.extend(hex::digits(hash));
        Self { text: text.into(), algorithm }
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let (name, digits) = text.split_once(':').ok_or(DigestError::Form)?;
        let algorithm: Algorithm = name.parse()?;
        if digits.len() != algorithm.hex_len() || !hex::is_hex(digits) {
            return Err(DigestError::Form);
        }
        Ok(Self { text: text.into(), algorithm })
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Why a text is not a digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// The algorithm is none that Roadstead computes.
    #[error("the digest's algorithm is not supported: use sha256 or sha512")]
    Algorithm,
    /// Not `algorithm:hex` with lower-case hexadecimal of the algorithm's length.
    #[error("a digest is sha256: and 64, or sha512: and 128, lower-case hexadecimal digits")]
    Form,
}

/// Computes a digest over content that arrives in pieces, and its checksum on the way.
#[derive(Clone)]
pub struct Hasher {
    hash: Hash,
    checksum: Checksum,
}

#[derive(Clone)]
enum Hash {
    Sha256(sha2::Sha256),
    Sha512(Box<sha2::Sha512>),
}

impl Hasher {
    /// A hasher that has seen nothing yet.
    pub fn new(algorithm: Algorithm) -> Self {
        let hash = match algorithm {
            Algorithm::Sha256 => Hash::Sha256(sha2::Sha256::new()),
            Algorithm::Sha512 => Hash::Sha512(Box::new(sha2::Sha512::new())),
        };
        Self { hash, checksum: Checksum::EMPTY }
    }

    /// The algorithm of the digest to come.
    pub const fn algorithm(&self) -> Algorithm {
        match self.hash {
            Hash::Sha256(_) => Algorithm::Sha256,
            Hash::Sha512(_) => Algorithm::Sha512,
        }
    }

    /// Takes the next piece of the content.
    pub fn update(&mut self, piece: &[u8]) {
        self.checksum.extend(piece);
        match &mut self.hash {
            Hash::Sha256(hash) => hash.update(piece),
            Hash::Sha512(hash) => hash.update(piece),
        }
    }

    /// The checksum of all that was taken.
    pub const fn checksum(&self) -> Checksum {
        self.checksum
    }

    /// The digest of all that was taken.
    pub fn finish(self) -> Digest {
        match self.hash {
            Hash::Sha256(hash) => Digest::from_hash(Algorithm::Sha256, &hash.finalize()),
            Hash::Sha512(hash) => Digest::from_hash(Algorithm::Sha512, &hash.finalize()),
        }
    }

    /// The state so far, from which [`Hasher::resume`] goes on: on another node, without the
    /// content before it.
    pub fn midstate(&self) -> Vec<u8> {
        use sha2::digest::common::hazmat::SerializableState as _;
        let mut midstate = self.checksum.crc().to_be_bytes().to_vec();
        match &self.hash {
            Hash::Sha256(hash) => midstate.extend_from_slice(&hash.serialize()),
            Hash::Sha512(hash) => midstate.extend_from_slice(&hash.serialize()),
        }
        midstate
    }

    /// Goes on from a [`Hasher::midstate`]. `None` when `midstate` is not one of this algorithm.
    pub fn resume(algorithm: Algorithm, midstate: &[u8]) -> Option<Self> {
        use sha2::digest::common::hazmat::SerializableState as _;
        let (crc, hash) = midstate.split_first_chunk()?;
        let checksum = Checksum::from_crc(u32::from_be_bytes(*crc));
        let hash = match algorithm {
            Algorithm::Sha256 => {
                Hash::Sha256(sha2::Sha256::deserialize(hash.try_into().ok()?).ok()?)
            }
            Algorithm::Sha512 => {
                Hash::Sha512(Box::new(sha2::Sha512::deserialize(hash.try_into().ok()?).ok()?))
            }
        };
        Some(Self { hash, checksum })
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hasher({})", self.algorithm().name())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use super::*;

    #[test]
    fn only_canonical_digests_parse() {
        let valid = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Digest::of(Algorithm::Sha256, b"").as_str(), valid);
        assert_eq!(valid.parse::<Digest>().map(|d| d.hex().len()), Ok(64));
        let upper = valid.to_uppercase().replace("SHA256", "sha256");
        let long = format!("{valid}0");
        let doubled = format!("sha256:{valid}");
        for wrong in ["", "sha256:", "sha256:e3", "e3b0c442", &upper, &long, &doubled] {
            assert_eq!(wrong.parse::<Digest>(), Err(DigestError::Form), "{wrong}");
        }
        assert_eq!(
            "md5:d41d8cd98f00b204e9800998ecf8427e".parse::<Digest>(),
            Err(DigestError::Algorithm)
        );
    }

    #[test]
    fn a_hasher_resumes_from_its_midstate() {
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let content: Vec<u8> = (0..1000u32).map(|i| (i % 251) as u8).collect();
            for cut in [0, 1, 63, 64, 65, 128, 999, 1000] {
                let mut first = Hasher::new(algorithm);
                first.update(&content[..cut]);
                let mut second = Hasher::resume(algorithm, &first.midstate()).unwrap();
                second.update(&content[cut..]);
                let mut whole = Checksum::EMPTY;
                whole.extend(&content);
                assert_eq!(second.checksum(), whole, "cut at {cut}");
                assert_eq!(second.finish(), Digest::of(algorithm, &content), "cut at {cut}");
            }
            assert!(Hasher::resume(algorithm, b"short").is_none());
        }
    }
}
