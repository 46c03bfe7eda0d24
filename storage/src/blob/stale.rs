//! What may be needed by nobody any more.

use proto::ObjectKey;

/// Something in the store to which nothing was written for long. Whether anybody needs it, the
/// store does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stale {
    /// An upload, sealed or not, of which more is kept than an object.
    Upload(ObjectKey),
    /// An object; where an upload is kept as the object that it becomes, an upload too.
    Object(ObjectKey),
}
