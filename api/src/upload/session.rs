//! Upload sessions: everything that a node must know to continue an upload travels with the client,
//! signed.
//!
//! A session is the `state` parameter of the upload's `Location`: version, whether it heals,
//! expiry, position (extent and tip), algorithm, and checksum and hash midstate, then an
//! HMAC-SHA256 over these and over the repository and id that stand in the path, and who began it.
//! So no node remembers an upload, and every node can go on with it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac as _};
use proto::limits::UPLOAD_LIFETIME;
use proto::{Actor, Algorithm, Hasher, ObjectKey, RepoName, Timestamp, UploadKey};
use sha2::Sha256;
use storage::blob::{Position, Tip};

use crate::mac::mac;

/// The layout's version, its first byte.
const VERSION: u8 = 6;
/// Bytes before the midstate: version, whether it heals, expiry, extent, tip, algorithm.
const HEAD_BYTES: usize = 1 + 1 + 8 + 8 + 16 + 1;
/// Bytes of the signature at the end.
const SIGNATURE_BYTES: usize = 32;
/// Longest `state` that is looked at: a session with SHA-512's midstate has fewer than 400
/// characters.
const STATE_CHARACTERS_MAX: usize = 1024;

/// An upload in progress, as far as the client's last answer tells.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    /// The repository that the blob will be in.
    pub(crate) repository: RepoName,
    /// Who began it: nobody else goes on with it.
    pub(crate) owner: Actor,
    /// The upload's id.
    pub(crate) upload: ObjectKey,
    /// Where the next chunk belongs.
    pub(crate) at: Position,
    /// The algorithm that the digest is expected in.
    pub(crate) algorithm: Algorithm,
    /// Whether it takes the place of a mount that was refused because the blob has lost its bytes,
    /// as the node knew that was asked. The one that ends the upload may not know.
    pub(crate) heals: bool,
    /// The hash of the bytes before `at`; `None` when it was lost and they must be read again.
    pub(crate) hasher: Option<Hasher>,
    /// When the session ends, unless another chunk comes.
    pub(crate) expires: Timestamp,
}

impl Session {
    /// A session that has no bytes yet.
    pub(crate) fn begin(
        repository: RepoName,
        owner: Actor,
        upload: ObjectKey,
        algorithm: Algorithm,
        heals: bool,
        now: Timestamp,
    ) -> Self {
        let (at, hasher) = (Position::START, Some(Hasher::new(algorithm)));
        let expires = now.plus(UPLOAD_LIFETIME);
        Self { repository, owner, upload, at, algorithm, heals, hasher, expires }
    }

    /// The session after a chunk that ends at `at`, with the hash of everything up to there.
    pub(crate) fn advance(mut self, at: Position, hasher: Option<Hasher>, now: Timestamp) -> Self {
        self.at = at;
        self.hasher = hasher;
        self.expires = now.plus(UPLOAD_LIFETIME);
        self
    }

    /// The session when the upload turns out to stand at `at`: chunks came whose answer the client
    /// never saw, so their hash is not known.
    pub(crate) fn resume_at(mut self, at: Position) -> Self {
        if at != self.at {
            self.at = at;
            self.hasher = None;
        }
        self
    }

    /// The hasher with which to go on when the digest is wanted in `algorithm`. `None` when the
    /// bytes so far must be read again.
    pub(crate) fn hasher_for(&self, algorithm: Algorithm) -> Option<Hasher> {
        if self.at.extent == 0 {
            return Some(Hasher::new(algorithm));
        }
        self.hasher.clone().filter(|hasher| hasher.algorithm() == algorithm)
    }

    /// The path and query under which the upload continues.
    pub(crate) fn location(&self, key: &UploadKey) -> String {
        let state = URL_SAFE_NO_PAD.encode(self.seal(key));
        format!("/v2/{}/blobs/uploads/{}?state={state}", self.repository, self.upload)
    }

    /// The `Range` header that tells how far it is; for no bytes `0-0`, which clients take for
    /// that.
    pub(crate) fn range(&self) -> String {
        format!("0-{}", self.at.extent.saturating_sub(1))
    }

    fn seal(&self, key: &UploadKey) -> Vec<u8> {
        let mut state = Vec::with_capacity(HEAD_BYTES + 256);
        state.push(VERSION);
        state.push(u8::from(self.heals));
        state.extend_from_slice(&self.expires.as_millis().to_be_bytes());
        state.extend_from_slice(&self.at.extent.to_be_bytes());
        state.extend_from_slice(self.at.tip.as_bytes());
        state.push(match self.algorithm {
            Algorithm::Sha256 => 0,
            Algorithm::Sha512 => 1,
        });
        if let Some(hasher) = &self.hasher {
            state.extend_from_slice(&hasher.midstate());
        }
        let mac = sign(key, &self.repository, &self.owner, self.upload, &state);
        let signature = mac.finalize().into_bytes();
        state.extend_from_slice(&signature);
        state
    }

    /// The session that `state` holds for `upload` of `owner` into `repository`. `None` when it was
    /// not signed by this cluster for exactly that, or has expired.
    pub(crate) fn open(
        key: &UploadKey,
        repository: RepoName,
        owner: Actor,
        upload: ObjectKey,
        state: &str,
        now: Timestamp,
    ) -> Option<Self> {
        if state.len() > STATE_CHARACTERS_MAX {
            return None;
        }
        let state = URL_SAFE_NO_PAD.decode(state).ok()?;
        let (state, signature) = state.split_last_chunk::<SIGNATURE_BYTES>()?;
        // In constant time, so that a signature cannot be found byte by byte.
        sign(key, &repository, &owner, upload, state).verify_slice(signature).ok()?;

        let (version, rest) = state.split_first()?;
        let (heals, rest) = rest.split_first()?;
        let (expires, rest) = rest.split_first_chunk::<8>()?;
        let (extent, rest) = rest.split_first_chunk::<8>()?;
        let (tip, rest) = rest.split_first_chunk::<16>()?;
        let (algorithm, midstate) = rest.split_first()?;
        let expires = Timestamp::from_millis(u64::from_be_bytes(*expires));
        if *version != VERSION || expires <= now {
            return None;
        }
        let algorithm = match algorithm {
            0 => Algorithm::Sha256,
            1 => Algorithm::Sha512,
            _ => return None,
        };
        let hasher = match midstate {
            [] => None,
            midstate => Some(Hasher::resume(algorithm, midstate)?),
        };
        let at = Position { extent: u64::from_be_bytes(*extent), tip: Tip::from_bytes(*tip) };
        let heals = *heals != 0;
        Some(Self { repository, owner, upload, at, algorithm, heals, hasher, expires })
    }
}

fn sign(
    key: &UploadKey,
    repository: &RepoName,
    owner: &Actor,
    upload: ObjectKey,
    state: &[u8],
) -> Hmac<Sha256> {
    let mut mac = mac(key.as_bytes());
    mac.update(b"roadstead upload session\0");
    mac.update(repository.as_str().as_bytes());
    mac.update(b"\0");
    mac.update(owner.as_str().as_bytes());
    mac.update(b"\0");
    mac.update(upload.to_string().as_bytes());
    mac.update(b"\0");
    mac.update(state);
    mac
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a failed test panics")]

    use proptest::prelude::*;
    use proto::Digest;

    use super::*;

    const KEY: UploadKey = UploadKey::from_bytes([7; 32]);
    const NOW: Timestamp = Timestamp::from_millis(1_000_000);

    fn at(extent: u64) -> Position {
        Position { extent, tip: Tip::from_bytes([9; 16]) }
    }

    fn alice() -> Actor {
        "alice".parse().unwrap()
    }

    fn object() -> ObjectKey {
        ObjectKey::from_random(42)
    }

    fn session(content: &[u8], algorithm: Algorithm) -> Session {
        let session =
            Session::begin("team/app".parse().unwrap(), alice(), object(), algorithm, true, NOW);
        let mut hasher = session.hasher.clone().unwrap();
        hasher.update(content);
        session.advance(at(content.len() as u64), Some(hasher), NOW)
    }

    fn state(session: &Session) -> String {
        session.location(&KEY).split_once("?state=").unwrap().1.to_owned()
    }

    fn open(state: &str) -> Option<Session> {
        Session::open(&KEY, "team/app".parse().unwrap(), alice(), object(), state, NOW)
    }

    #[test]
    fn another_node_goes_on_where_the_session_stands() {
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let found = open(&state(&session(b"some bytes", algorithm))).unwrap();
            assert_eq!((found.at, found.algorithm, found.heals), (at(10), algorithm, true));
            let mut hasher = found.hasher_for(algorithm).unwrap();
            hasher.update(b", and more");
            assert_eq!(hasher.finish(), Digest::of(algorithm, b"some bytes, and more"));
            assert_eq!(found.range(), "0-9");
        }
    }

    #[test]
    fn a_session_ends_a_lifetime_after_its_last_chunk() {
        let state = state(&session(b"x", Algorithm::Sha256));
        let open_at = |now: u64| {
            let now = Timestamp::from_millis(now);
            Session::open(&KEY, "team/app".parse().unwrap(), alice(), object(), &state, now)
        };
        let end = NOW.as_millis() + u64::try_from(UPLOAD_LIFETIME.as_millis()).unwrap();
        assert!(open_at(end - 1).is_some());
        assert!(open_at(end).is_none());
    }

    #[test]
    fn a_session_opens_only_for_its_own_repository_owner_upload_and_cluster() {
        let state = state(&session(b"x", Algorithm::Sha256));
        let name: RepoName = "team/app".parse().unwrap();
        let other_name: RepoName = "team/ap".parse().unwrap();
        let other_object = ObjectKey::from_random(43);
        let other_key = UploadKey::from_bytes([8; 32]);
        let opens = |key, name: &RepoName, owner, object| {
            Session::open(key, name.clone(), owner, object, &state, NOW).is_some()
        };
        assert!(opens(&KEY, &name, alice(), object()));
        assert!(!opens(&KEY, &other_name, alice(), object()));
        assert!(!opens(&KEY, &name, Actor::ANONYMOUS, object()));
        assert!(!opens(&KEY, &name, alice(), other_object));
        assert!(!opens(&other_key, &name, alice(), object()));
        for forged in ["", "x", "AAAA", &"A".repeat(100), &"A".repeat(2000)] {
            assert!(open(forged).is_none(), "{forged}");
        }
    }

    #[test]
    fn a_session_that_moved_without_its_client_forgets_the_hash() {
        let moved = session(b"x", Algorithm::Sha256).resume_at(at(5));
        assert_eq!((moved.at, moved.range()), (at(5), "0-4".to_owned()));
        assert!(moved.hasher_for(Algorithm::Sha256).is_none());
        assert!(open(&state(&moved)).unwrap().hasher.is_none());
        let other = Position { tip: Tip::from_bytes([8; 16]), ..at(1) };
        let other = session(b"x", Algorithm::Sha256).resume_at(other);
        assert!(other.hasher_for(Algorithm::Sha256).is_none(), "as long, but not the same bytes");
        let still = session(b"x", Algorithm::Sha256).resume_at(at(1));
        assert!(still.hasher_for(Algorithm::Sha256).is_some());
        assert!(still.hasher_for(Algorithm::Sha512).is_none());
    }

    proptest! {
        #[test]
        fn no_changed_state_opens(at in 0usize..1000, flip in 1u8..=255) {
            let mut bytes = session(b"x", Algorithm::Sha256).seal(&KEY);
            let at = at % bytes.len();
            bytes[at] ^= flip;
            prop_assert!(open(&URL_SAFE_NO_PAD.encode(bytes)).is_none());
        }
    }
}
