//! Content that is there: where it is read, whether it is whole, and what is removed.

pub(crate) mod damage;
pub(crate) mod range;
pub(crate) mod redirect;
pub(crate) mod source;
pub(crate) mod store;
mod sweep;
