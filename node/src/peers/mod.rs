//! Connections between nodes: mutual TLS, with certificates by the cluster's authority.
//!
//! Both ends check the other. Who dials refuses in the handshake; who is dialled finishes it, and
//! then answers what is asked with the reason for which it does not serve, so that the operator of
//! the other node comes to read that.

pub(crate) mod authority;
mod door;
mod gear;
mod guard;
mod invited;
mod strangers;

pub use self::authority::AuthorityError;
pub(crate) use self::door::PeerDoor;
pub(crate) use self::guard::guarded;
