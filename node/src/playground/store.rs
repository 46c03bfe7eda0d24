//! Where the blobs of a playground are: in its folder, or in a bucket that the environment names
//! when it is made. How the bucket is used the environment may say anew at each start.

use std::hash::{BuildHasher as _, RandomState};
use std::path::Path;

use toml::{Table, Value};

use super::layout::MARKER;
use crate::Config;
use crate::config::{ConfigError, Source, StorageKind};

/// What the names of the variables that say so begin with.
const PREFIX: &str = "ROADSTEAD_STORAGE_";

/// What says which store it is: a playground keeps these.
const IDENTITY: [&str; 4] = ["kind", "bucket", "endpoint", "prefix"];

/// The section `[storage]` of the nodes, as `kept` of a playground that there is already, and these
/// variables say, which go before it. `None`: a folder of the playground.
pub(super) fn section(
    kept: Option<&Table>,
    variables: impl IntoIterator<Item = (String, String)>,
) -> Result<Option<Table>, ConfigError> {
    let variables = variables.into_iter().filter(|(name, _)| name.starts_with(PREFIX));
    let mut source = Source::new(variables);
    if let Some(kept) = kept {
        let file = Table::from_iter([("storage".to_owned(), Value::Table(kept.clone()))]);
        source = source.with_text(Path::new(MARKER), &file.to_string())?;
    }
    if Config::read(&mut source)?.storage.kind == StorageKind::Disk {
        return Ok(None);
    }
    let effective: Table = source.to_string().parse().unwrap_or_default();
    let Some(Value::Table(mut section)) = effective.get("storage").cloned() else {
        return Ok(None);
    };
    // Where that is on this machine, the playground decides.
    section.remove("path");
    section.remove("cache_path");
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

/// Whether both are the same store, however it is used.
pub(super) fn is_same(one: Option<&Table>, other: Option<&Table>) -> bool {
    let value =
        |section: Option<&Table>, key| section.and_then(|section| section.get(key).cloned());
    IDENTITY.into_iter().all(|key| value(one, key) == value(other, key))
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
        let section = |text| section(None, variables(text));
        assert_eq!(section("").unwrap(), None);
        assert_eq!(section("PATH=/elsewhere").unwrap(), None);
        assert!(section("KIND=s3").is_err());
        let asked = section("KIND=s3 BUCKET=b PATH_STYLE=true").unwrap().unwrap();
        let made = apart(asked.clone());
        assert_eq!(made["path_style"], Value::Boolean(true));
        assert_ne!(made["prefix"], apart(asked)["prefix"]);
    }

    #[test]
    fn the_environment_changes_how_a_store_is_used_and_not_which_it_is() {
        let made = section(None, variables("KIND=s3 BUCKET=b PATH_STYLE=true")).unwrap().map(apart);
        for (text, key, value) in [
            ("", "path_style", Value::from(true)),
            ("REDIRECT=auto", "redirect", Value::from("auto")),
            ("KIND=s3 BUCKET=b SSE=AES256", "sse", Value::from("AES256")),
            ("REGION=r PATH_STYLE=false", "path_style", Value::from(false)),
        ] {
            let changed = section(made.as_ref(), variables(text)).unwrap();
            assert!(is_same(changed.as_ref(), made.as_ref()), "{text}");
            assert_eq!(changed.unwrap()[key], value, "{text}");
        }
        for text in ["BUCKET=c", "ENDPOINT=http://127.0.0.1:1", "PREFIX=p"] {
            let changed = section(made.as_ref(), variables(text)).unwrap();
            assert!(!is_same(changed.as_ref(), made.as_ref()), "{text}");
        }
        assert!(section(made.as_ref(), variables("REDIRECT=perhaps")).is_err());
        assert!(!is_same(made.as_ref(), None));
    }
}
