//! Uploads: from the first byte that arrives to the object that is a blob.
//!
//! A client carries its [`session`] from request to request; [`intake`] brings what it sends to the
//! object store; [`link`] has the cluster agree that this is a blob. Their endpoints are in
//! `routes::uploads`.

pub(crate) mod intake;
pub(crate) mod link;
pub(crate) mod session;
