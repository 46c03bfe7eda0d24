//! Batches: writes that happen together or not at all.

/// Writes that a [`Kv`](super::Kv) does all at once, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    writes: Vec<Write>,
}

/// One write of a [`Batch`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Sets a key's value.
    Put {
        /// The key.
        key: Vec<u8>,
        /// Its value.
        value: Vec<u8>,
    },
    /// Removes a key, if it is there.
    Delete {
        /// The key.
        key: Vec<u8>,
    },
    /// Removes every key from `from` to before `to`.
    DeleteRange {
        /// The first key.
        from: Vec<u8>,
        /// The key after the last.
        to: Vec<u8>,
    },
}

impl Batch {
    /// A batch that does nothing yet.
    pub const fn new() -> Self {
        Self { writes: Vec::new() }
    }

    /// Sets the value of `key`.
    pub fn put(&mut self, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.writes.push(Write::Put { key: key.into(), value: value.into() });
    }

    /// Removes `key`.
    pub fn delete(&mut self, key: impl Into<Vec<u8>>) {
        self.writes.push(Write::Delete { key: key.into() });
    }

    /// Removes every key from `from` to before `to`.
    pub fn delete_range(&mut self, from: impl Into<Vec<u8>>, to: impl Into<Vec<u8>>) {
        self.writes.push(Write::DeleteRange { from: from.into(), to: to.into() });
    }

    /// Whether it removes a range of keys: then it makes room, whatever little it puts beside that.
    pub fn makes_room(&self) -> bool {
        self.writes.iter().any(|write| matches!(write, Write::DeleteRange { .. }))
    }

    /// Whether it does nothing.
    pub const fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// The writes, in order.
    pub fn writes(&self) -> &[Write] {
        &self.writes
    }

    /// The writes, in order, to be kept.
    pub fn into_writes(self) -> Vec<Write> {
        self.writes
    }
}
