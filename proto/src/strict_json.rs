//! JSON that all readers read alike. What a registry stores is read by clients in other languages:
//! some take the first of two equal keys and some the last, some match keys whatever their case.

use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::excerpt::{NAMED_CHARS_MAX, excerpt};
use crate::limits::MANIFEST_KEYS_MAX;

/// The keys of manifests and descriptors that say what the registry must know.
const KEYS: [&str; 12] = [
    "schemaVersion",
    "mediaType",
    "artifactType",
    "config",
    "layers",
    "manifests",
    "subject",
    "annotations",
    "digest",
    "size",
    "data",
    "fsLayers",
];

/// Checks that `content` is one JSON value of at most [`MANIFEST_KEYS_MAX`] keys, in which no
/// object has a key twice, nor, outside annotations, one of [`KEYS`] in another case.
pub(crate) fn check(content: &[u8]) -> Result<(), serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_slice(content);
    let keys = Cell::new(0);
    Strict { is_free: false, keys: &keys }.deserialize(&mut reader)?;
    reader.end()
}

/// Reads any value, and keeps nothing of it.
#[derive(Clone, Copy)]
struct Strict<'a> {
    /// How many keys came so far, in all objects.
    keys: &'a Cell<usize>,
    /// Whether keys are the author's own, as those of annotations are.
    is_free: bool,
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(self)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> Result<(), A::Error> {
        let mut seen = HashSet::new();
        while let Some(key) = pairs.next_key::<String>()? {
            self.keys.set(self.keys.get() + 1);
            if self.keys.get() > MANIFEST_KEYS_MAX {
                let reason = format_args!("it has more than {MANIFEST_KEYS_MAX} keys");
                return Err(A::Error::custom(reason));
            }
            if !self.is_free
                && let Some(meant) = KEYS.iter().find(|known| known.eq_ignore_ascii_case(&key))
                && *meant != key
            {
                return Err(A::Error::custom(format_args!("key {key:?} must be {meant:?}")));
            }
            let is_free = self.is_free || key == "annotations";
            pairs.next_value_seed(Self { is_free, ..self })?;
            if let Some(key) = seen.replace(key) {
                let key = excerpt(&key, NAMED_CHARS_MAX);
                return Err(A::Error::custom(format_args!("key {key:?} stands twice")));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_all_readers_read_alike_passes() {
        for good in [
            "{}",
            r#"{"a":[1,-1,1.5,null,true,"x",{"b":{}}]}"#,
            r#"{"annotations":{"Size":"1","size":"2"}}"#,
            r#"{"platform":{"os":"linux"},"custom":{"Custom":1}}"#,
        ] {
            assert!(check(good.as_bytes()).is_ok(), "{good}");
        }
        for bad in [
            "",
            "{} {}",
            r#"{"a":1,"a":2}"#,
            r#"{"a":[{"b":1,"b":1}]}"#,
            r#"{"annotations":{"a":"1","a":"2"}}"#,
            r#"{"manifests":[],"Manifests":[]}"#,
            r#"{"layers":[{"DIGEST":"x"}]}"#,
        ] {
            assert!(check(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
