//! The names of everything in the bucket.

use proto::ObjectKey;

/// Makes keys that begin with one prefix.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    prefix: String,
}

impl Keys {
    /// Keys that begin with `prefix` and a slash, unless that is empty.
    pub(super) fn new(prefix: &str) -> Self {
        let prefix = prefix.trim_matches('/');
        let slash = if prefix.is_empty() { "" } else { "/" };
        Self { prefix: format!("{prefix}{slash}") }
    }

    /// What all keys begin with.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Says which cluster the store belongs to.
    pub(super) fn cluster(&self) -> String {
        format!("{}cluster", self.prefix)
    }

    /// Bytes.
    pub(super) fn object(&self, key: ObjectKey) -> String {
        format!("{}objects/{}/{key}", self.prefix, key.shard())
    }

    /// The list of the objects that together are the object `key`.
    pub(super) fn index(&self, key: ObjectKey) -> String {
        format!("{}indexes/{}/{key}", self.prefix, key.shard())
    }

    /// Where an upload stands.
    pub(super) fn upload(&self, key: ObjectKey) -> String {
        format!("{}uploads/{key}", self.prefix)
    }

    /// What comes and goes to find out what the store can do.
    pub(super) fn probe(&self, key: ObjectKey) -> String {
        format!("{}probes/{key}", self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_its_place() {
        let key = ObjectKey::from_random(0x3f62 << 112);
        let bare = Keys::new("");
        assert_eq!(bare.object(key), "objects/3f/3f620000000000000000000000000000");
        assert_eq!(bare.index(key), "indexes/3f/3f620000000000000000000000000000");
        assert_eq!(bare.upload(key), "uploads/3f620000000000000000000000000000");
        for prefix in ["team/registry", "/team/registry/"] {
            assert_eq!(Keys::new(prefix).cluster(), "team/registry/cluster");
        }
    }
}
