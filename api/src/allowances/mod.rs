//! How much of a node each client and each account may take: at once, in a minute, and how fast.

mod quota;
mod rate;
mod throughput;
pub(crate) mod transfers;

pub use self::quota::{Quota, Share};
pub(crate) use self::rate::Rate;
pub(crate) use self::throughput::Throughput;
