//! Where values come from: the command line, environment variables, and a TOML file, in this order.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::ConfigError;
use super::setting::Setting;

/// What the names of environment variables that set a key begin with.
const PREFIX: &str = "ROADSTEAD_";

/// The variables that set nothing of a node, and are for other commands.
const OF_COMMANDS: [&str; 4] =
    ["ROADSTEAD_CA", "ROADSTEAD_PASSWORD", "ROADSTEAD_SERVER", "ROADSTEAD_USER"];

/// How alike an unknown variable, which names no section, and a known one must be for it to count
/// as a slip, from 0 to 1.
const SLIP_LIKENESS: f64 = 0.75;

/// Where a value was set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// In this file.
    File(PathBuf),
    /// By this environment variable.
    Variable(String),
    /// On the command line.
    CommandLine,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Variable(name) => write!(f, "environment variable {name}"),
            Self::CommandLine => f.write_str("command line"),
        }
    }
}

/// The values that were set, and which keys there are. Keys are `section.key`.
#[derive(Clone, Debug, Default)]
pub struct Source {
    file: BTreeMap<String, Value>,
    path: PathBuf,
    variables: BTreeMap<String, String>,
    arguments: BTreeMap<&'static str, Value>,
    /// The keys that were asked for, with their values: all that there are, once the configuration
    /// is read.
    effective: BTreeMap<&'static str, Effective>,
}

/// What a key is, for the operator's eyes.
#[derive(Clone, Debug)]
enum Effective {
    /// Not set, and without a default.
    Unset,
    /// This.
    Value(Value),
    /// What nobody else must see.
    Secret,
}

impl Effective {
    fn of<T: Setting>(setting: &T) -> Self {
        if T::IS_SECRET { Self::Secret } else { Self::Value(setting.to_toml()) }
    }
}

impl Source {
    /// Nothing is set but what `variables` of the environment set.
    pub fn new(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let variables = variables.into_iter().filter(|(name, _)| name.starts_with(PREFIX));
        Self { variables: variables.collect(), ..Self::default() }
    }

    /// Adds what the TOML file at `path` sets.
    ///
    /// # Errors
    /// When there is no such file, or it is not TOML with sections of keys.
    pub fn with_file(self, path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path)
            .map_err(|reason| ConfigError::File { path: path.to_owned(), reason })?;
        self.with_text(path, &text)
    }

    /// Adds what `text`, which is called `path` in errors, sets.
    ///
    /// # Errors
    /// When it is not TOML with sections of keys.
    pub fn with_text(mut self, path: &Path, text: &str) -> Result<Self, ConfigError> {
        let table: Table = toml::from_str(text).map_err(|error| ConfigError::Toml {
            path: path.to_owned(),
            line: line_of(text, error.span().map_or(0, |span| span.start)),
            reason: error.message().trim().replace('\n', ", "),
        })?;
        for (section, value) in table {
            match value {
                Value::Table(keys) => {
                    let keys =
                        keys.into_iter().map(|(key, value)| (format!("{section}.{key}"), value));
                    self.file.extend(keys);
                }
                // Outside all sections: no such key, as `refuse_rest` will say.
                value => drop(self.file.insert(section, value)),
            }
        }
        path.clone_into(&mut self.path);
        Ok(self)
    }

    /// Sets `key` from the command line.
    pub fn set(&mut self, key: &'static str, value: Value) {
        self.arguments.insert(key, value);
    }

    /// Whether `key` is set.
    pub(super) fn sets(&self, key: &str) -> bool {
        self.arguments.contains_key(key)
            || self.variables.contains_key(&variable(key))
            || self.file.contains_key(key)
    }

    /// The value of `key`, else `default`.
    pub(super) fn take<T: Setting>(
        &mut self,
        key: &'static str,
        default: impl FnOnce() -> T,
    ) -> Result<T, ConfigError> {
        let value = self.take_optional(key)?.unwrap_or_else(default);
        self.effective.insert(key, Effective::of(&value));
        Ok(value)
    }

    /// The value of `key`, if it is set.
    pub(super) fn take_optional<T: Setting>(
        &mut self,
        key: &'static str,
    ) -> Result<Option<T>, ConfigError> {
        self.effective.insert(key, Effective::Unset);
        let Some((origin, value)) = self.find::<T>(key) else { return Ok(None) };
        let setting = T::from_toml(&value).ok_or_else(|| ConfigError::Value {
            origin,
            key,
            value: if T::IS_SECRET { "(not shown)".to_owned() } else { value.to_string() },
            form: T::FORM,
        })?;
        self.effective.insert(key, Effective::of(&setting));
        Ok(Some(setting))
    }

    fn find<T: Setting>(&self, key: &'static str) -> Option<(Origin, Value)> {
        if let Some(value) = self.arguments.get(key) {
            return Some((Origin::CommandLine, value.clone()));
        }
        let name = variable(key);
        if let Some(text) = self.variables.get(&name) {
            return Some((Origin::Variable(name), T::toml_of(text)));
        }
        self.file.get(key).map(|value| (Origin::File(self.path.clone()), value.clone()))
    }

    /// Refuses what was set and nobody took.
    pub(super) fn refuse_rest(&self) -> Result<(), ConfigError> {
        if let Some(key) = self.file.keys().find(|key| !self.effective.contains_key(key.as_str())) {
            let (nearest, _) = self.nearest(key, str::to_owned);
            let origin = Origin::File(self.path.clone());
            return Err(ConfigError::UnknownKey { origin, key: key.clone(), nearest });
        }
        for name in self.strange_variables() {
            let (nearest, likeness) = self.nearest(name, variable);
            if likeness >= SLIP_LIKENESS || self.within_section(name).is_some() {
                let origin = Origin::Variable(name.to_owned());
                return Err(ConfigError::UnknownKey { origin, key: name.to_owned(), nearest });
            }
        }
        Ok(())
    }

    /// The variables that set no key, and of which nothing is known.
    pub(crate) fn strange_variables(&self) -> impl Iterator<Item = &str> {
        let names = self.variables.keys().map(String::as_str);
        names.filter(|name| {
            let is_key = self.effective.keys().any(|key| variable(key) == *name);
            !is_key && !OF_COMMANDS.contains(name) && !self.is_of_a_platform(name)
        })
    }

    /// Whether `name` is what Kubernetes, and Docker's links, call a variable with the address of a
    /// service: `ROADSTEAD_CLUSTER_PORT_5001_TCP_ADDR` in every container beside one that is called
    /// `roadstead-cluster`; or what links call one with its name, or one that it has itself.
    fn is_of_a_platform(&self, name: &str) -> bool {
        ["_PORT", "_SERVICE_HOST"].iter().any(|end| name.ends_with(end))
            || name.contains("_PORT_")
            || self.within_section(name).is_some_and(|s| s == "NAME" || s.starts_with("ENV_"))
    }

    /// What a variable that names a section sets in it.
    fn within_section<'a>(&self, name: &'a str) -> Option<&'a str> {
        let mut sections = self.effective.keys().filter_map(|key| key.split_once('.'));
        sections.find_map(|(section, _)| name.strip_prefix(&variable(section))?.strip_prefix('_'))
    }

    /// The key whose `spelling` is most like `text`, and how alike they are, from 0 to 1. One that
    /// only goes on where the other ends comes first.
    fn nearest(&self, text: &str, spelling: impl Fn(&str) -> String) -> (&'static str, f64) {
        let alike = |key: &str| {
            let spelt = spelling(key);
            let goes_on = spelt.starts_with(text) || text.starts_with(&spelt);
            (goes_on, strsim::normalized_damerau_levenshtein(text, &spelt))
        };
        let keys = self.effective.keys().map(|key| (*key, alike(key)));
        let nearest = keys.max_by(|(_, a), (_, b)| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
        nearest.map_or(("", 0.0), |(key, (_, likeness))| (key, likeness))
    }
}

/// Writes the effective configuration, as a file that says the same but for secrets.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut current = "";
        for (path, value) in &self.effective {
            let Some((section, key)) = path.split_once('.') else { continue };
            if section != current {
                let gap = if current.is_empty() { "" } else { "\n" };
                writeln!(f, "{gap}[{section}]")?;
                current = section;
            }
            match value {
                Effective::Value(value) => writeln!(f, "{key} = {value}")?,
                Effective::Unset => writeln!(f, "# {key} is not set")?,
                Effective::Secret => writeln!(f, "# {key} is set, and not shown")?,
            }
        }
        Ok(())
    }
}

/// Those of all variables of an environment that are meant for the program.
///
/// # Errors
/// When one that sets something for a node cannot be read.
pub(crate) fn readable(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Vec<(String, String)>, ConfigError> {
    let is_meant = |name: &OsString| {
        name.as_encoded_bytes().starts_with(PREFIX.as_bytes())
            && !OF_COMMANDS.iter().any(|other| name == other)
    };
    let meant = variables.into_iter().filter(|(name, _)| is_meant(name));
    meant
        .map(|(name, value)| match (name.into_string(), value.into_string()) {
            (Ok(name), Ok(value)) => Ok((name, value)),
            (Ok(name), Err(_)) => Err(ConfigError::Encoding(name)),
            (Err(name), _) => Err(ConfigError::Encoding(name.to_string_lossy().into_owned())),
        })
        .collect()
}

/// The environment variable that sets `key`.
pub(crate) fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "_").to_uppercase())
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|b| *b == b'\n').count() + 1
}
