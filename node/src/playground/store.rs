//! Where the blobs of a playground are: in its folder, or in a bucket that the environment names
//! when it is made.

use std::hash::{BuildHasher as _, RandomState};

use toml::{Table, Value};

use crate::Config;
use crate::config::{ConfigError, Source, StorageKind};

/// What the names of the variables that say so begin with.
const PREFIX: &str = "ROADSTEAD_STORAGE_";

/// The bucket that these variables name, as the section `[storage]` of a node's configuration.
/// `None` when they name none.
pub(super) fn bucket(
    variables: impl IntoIterator<Item = (String, String)>,
) -> Result<Option<Table>, ConfigError> {
    let variables = variables.into_iter().filter(|(name, _)| name.starts_with(PREFIX));
    let mut source = Source::new(variables);
    if Config::read(&mut source)?.storage.kind == StorageKind::Disk {
        return Ok(None);
    }
    let effective: Table = source.to_string().parse().unwrap_or_default();
    let Some(Value::Table(mut section)) = effective.get("storage").cloned() else {
        return Ok(None);
    };
    section.remove("path");
    Ok(Some(section))
}

/// `section` with a prefix of its own, unless it has one: playgrounds can share a bucket.
pub(super) fn apart(mut section: Table) -> Table {
    section.entry("prefix").or_insert_with(|| {
        // Each has other random keys.
        let random = RandomState::new().hash_one("playground");
        Value::String(format!("playground-{random:016x}"))
    });
    section
}

/// Whether `asked` names the bucket, and the prefix in it if any, of `section`.
pub(super) fn is_same(asked: &Table, section: &Table) -> bool {
    ["bucket", "endpoint", "prefix"].into_iter().all(|key| {
        let asked = asked.get(key);
        asked == section.get(key) || key == "prefix" && asked.is_none()
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use super::*;

    fn variables(text: &str) -> Vec<(String, String)> {
        let pairs = text.split_whitespace().map(|pair| pair.split_once('=').unwrap());
        pairs.map(|(name, value)| (format!("{PREFIX}{name}"), value.to_owned())).collect()
    }

    #[test]
    fn the_environment_names_a_bucket() {
        assert_eq!(bucket(variables("")).unwrap(), None);
        assert_eq!(bucket(variables("PATH=/elsewhere")).unwrap(), None);
        assert!(bucket(variables("KIND=s3")).is_err());
        let asked = bucket(variables("KIND=s3 BUCKET=b PATH_STYLE=true")).unwrap().unwrap();
        let made = apart(asked.clone());
        assert_eq!(made["path_style"], Value::Boolean(true));
        assert_ne!(made["prefix"], apart(asked.clone())["prefix"]);
        assert!(is_same(&asked, &made));
        let other = bucket(variables("KIND=s3 BUCKET=c")).unwrap().unwrap();
        assert!(!is_same(&other, &made));
    }
}
