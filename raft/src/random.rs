//! Randomness from the operating system, for ids and secrets.

use proto::{ClusterId, RequestId};

/// `N` bytes that nobody can guess.
///
/// The operating system's generator fails only where there is none at all, and then a node must not
/// make secrets.
#[allow(clippy::expect_used, reason = "without randomness no id is unique and no secret is one")]
#[expect(clippy::disallowed_methods, reason = "the one function that draws chance here")]
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system gives randomness");
    bytes
}

/// A fresh request id.
pub(crate) fn request_id() -> RequestId {
    RequestId::from_bytes(bytes())
}

/// A fresh cluster id.
pub(crate) fn cluster_id() -> ClusterId {
    ClusterId::from_bytes(bytes())
}
