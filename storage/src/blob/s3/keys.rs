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

    /// What the names of bytes begin with.
    pub(super) fn objects(&self) -> String {
        format!("{}objects/", self.prefix)
    }

    /// What the names of indexes begin with.
    pub(super) fn indexes(&self) -> String {
        format!("{}indexes/", self.prefix)
    }

    /// What the names of cursors begin with.
    pub(super) fn uploads(&self) -> String {
        format!("{}uploads/", self.prefix)
    }

    /// What the names of probes begin with.
    pub(super) fn probes(&self) -> String {
        format!("{}probes/", self.prefix)
    }

    /// The key that ends the name of one of these.
    pub(super) fn key_of(name: &str) -> Option<ObjectKey> {
        name.rsplit('/').next()?.parse().ok()
    }

    /// Bytes.
    pub(super) fn object(&self, key: ObjectKey) -> String {
        format!("{}{}/{key}", self.objects(), key.shard())
    }

    /// The list of the objects that together are the object `key`.
    pub(super) fn index(&self, key: ObjectKey) -> String {
        format!("{}{}/{key}", self.indexes(), key.shard())
    }

    /// Where an upload stands.
    pub(super) fn upload(&self, key: ObjectKey) -> String {
        format!("{}{key}", self.uploads())
    }

    /// What comes and goes to find out what the store can do.
    pub(super) fn probe(&self, key: ObjectKey) -> String {
        format!("{}{key}", self.probes())
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
        for name in [bare.object(key), bare.index(key), bare.upload(key), bare.probe(key)] {
            assert_eq!(Keys::key_of(&name), Some(key), "{name}");
        }
        assert_eq!(Keys::key_of(&bare.cluster()), None);
        for prefix in ["team/registry", "/team/registry/"] {
            assert_eq!(Keys::new(prefix).cluster(), "team/registry/cluster");
        }
    }
}
