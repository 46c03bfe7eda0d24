//! Where everything of a playground is: folders, files, ports and the nodes' configurations.

use std::env;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::{PlaygroundError, administrator, store};
use crate::cli::Login;
use crate::config::variable;
use crate::{DataFolder, FolderError};

/// Most nodes of a playground: as many as there are ports of one digit.
pub(super) const NODES_MAX: u16 = 9;
/// The nodes of a new playground.
const NODES: u16 = 3;
/// The first port of a new playground.
const PORT: u16 = 5000;
/// How far apart the ports of two nodes are.
const STRIDE: u16 = 10;
/// The file that says what the folder is.
pub(super) const MARKER: &str = "playground.toml";

/// What a playground shall be; where it says nothing, as it is, or as most are.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wanted {
    /// How many nodes.
    pub(super) nodes: Option<u16>,
    /// The first port.
    pub(super) port: Option<u16>,
    /// Whether nobody may do anything that is not granted.
    pub(super) auth: bool,
}

/// A playground's folder and ports.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    dir: PathBuf,
    shape: Shape,
    /// Whether the environment gives the nodes a certificate.
    is_secure: bool,
}

/// What stays as it was on the first start, for the cluster remembers its addresses; and how its
/// store was last used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Shape {
    nodes: u16,
    port: u16,
    /// Whether nobody may do anything that is not granted.
    #[serde(default)]
    auth: bool,
    /// The section `[storage]` of the nodes; none: a folder of the playground.
    #[serde(skip_serializing_if = "Option::is_none")]
    storage: Option<Table>,
}

impl Layout {
    /// The layout of the playground in `dir`, if there is one.
    pub(super) fn find(dir: &Path) -> Result<Option<Self>, PlaygroundError> {
        let marker = dir.join(MARKER);
        let dir = std::path::absolute(dir).map_err(PlaygroundError::file(dir))?;
        match fs::read_to_string(&marker) {
            Ok(text) => {
                let shape = toml::from_str(&text);
                let shape = shape.map_err(|_| FolderError::Marker { path: marker })?;
                Ok(Some(Self { dir, shape, is_secure: is_secure() }))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(reason) => Err(PlaygroundError::File { path: marker, reason }),
        }
    }

    /// The layout of the playground in `dir`, made there if there is none. What is `wanted`, and
    /// the store that `variables` name, must be what it has.
    pub(super) fn open(
        dir: &Path,
        wanted: Wanted,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, PlaygroundError> {
        let Wanted { nodes, port, auth } = wanted;
        if let Some(mut found) = Self::find(dir)? {
            let Shape { nodes: has_nodes, port: has_port, auth: has_auth, ref mut storage } =
                found.shape;
            if auth && !has_auth {
                return Err(PlaygroundError::IsOpen(dir.to_owned()));
            }
            let asked = store::section(storage.as_ref(), variables)?;
            if !store::is_same(asked.as_ref(), storage.as_ref()) {
                return Err(PlaygroundError::OtherStore(dir.to_owned()));
            }
            if nodes.unwrap_or(has_nodes) != has_nodes || port.unwrap_or(has_port) != has_port {
                let path = dir.to_owned();
                return Err(PlaygroundError::Different { path, nodes: has_nodes, port: has_port });
            }
            *storage = asked;
            return Ok(found);
        }
        let storage = store::section(None, variables)?.map(store::apart);
        let (nodes, port) = (nodes.unwrap_or(NODES), port.unwrap_or(PORT));
        let shape = Shape { nodes, port, auth, storage };
        shape.check()?;
        fs::create_dir_all(dir).map_err(PlaygroundError::file(dir))?;
        let mut entries = fs::read_dir(dir).map_err(PlaygroundError::file(dir))?;
        if entries.next().is_some() {
            return Err(FolderError::Foreign { path: dir.to_owned() }.into());
        }
        let dir = std::path::absolute(dir).map_err(PlaygroundError::file(dir))?;
        if auth {
            administrator::draw(&dir)?;
        }
        let layout = Self { dir, shape, is_secure: is_secure() };
        layout.save()?;
        Ok(layout)
    }

    /// Writes down what may have changed, for those that come after.
    pub(super) fn save(&self) -> Result<(), PlaygroundError> {
        let marker = self.dir.join(MARKER);
        let text = toml::to_string(&self.shape).map_err(io::Error::other);
        let text = text.map_err(PlaygroundError::file(&marker))?;
        fs::write(&marker, text).map_err(PlaygroundError::file(&marker))
    }

    /// Who administers it; `None` when everybody may do everything.
    pub(super) fn login(&self) -> Result<Option<Login>, PlaygroundError> {
        self.shape.auth.then(|| administrator::login(&self.dir)).transpose()
    }

    /// Whether nobody may do anything that is not granted.
    pub(super) const fn is_closed(&self) -> bool {
        self.shape.auth
    }

    /// The folder.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The Unix socket at which the running playground takes orders.
    pub(super) fn control(&self) -> PathBuf {
        self.dir.join("control")
    }

    /// The file with the token by which nodes join the first one.
    pub(super) fn token(&self) -> PathBuf {
        self.dir.join("token")
    }

    /// The nodes' places, in order.
    pub(super) fn places(&self) -> Vec<Place> {
        (1..=self.shape.nodes).map(|number| self.place_at(number)).collect()
    }

    /// The place of node `number`.
    pub(super) fn place(&self, number: u16) -> Result<Place, PlaygroundError> {
        let nodes = self.shape.nodes;
        if (1..=nodes).contains(&number) {
            Ok(self.place_at(number))
        } else {
            Err(PlaygroundError::NoSuchNode { node: number, nodes })
        }
    }

    /// `number` is one of the nodes.
    fn place_at(&self, number: u16) -> Place {
        let port = self.shape.port + STRIDE * (number - 1);
        Place { number, port, dir: self.dir.join(format!("node-{number}")) }
    }

    /// The scheme of the nodes' API.
    pub(super) const fn scheme(&self) -> &'static str {
        if self.is_secure { "https" } else { "http" }
    }

    /// How many of the nodes vote, once all are there.
    pub(super) const fn voters(&self) -> u16 {
        match self.shape.nodes {
            ..3 => 1,
            3..5 => 3,
            5.. => 5,
        }
    }

    /// The keys that the playground itself sets for the node at `place`, by section.
    fn settings_of(&self, place: &Place) -> Table {
        let others = self.places().into_iter().filter(|other| other.number != place.number);
        // The first node founds the cluster.
        let join: Vec<_> = if place.number == 1 { Vec::new() } else { others.collect() };
        let join = join.iter().map(|other| text(other.peer())).collect();
        let access = if self.shape.auth {
            let password = administrator::file(&self.dir);
            vec![
                ("mode", text("closed")),
                ("administrator_password_file", text(password.display())),
            ]
        } else {
            vec![("mode", text("open"))]
        };
        let sections = [
            ("access", access),
            ("node", vec![("data_dir", text(place.data().display()))]),
            ("api", vec![("listen", text(place.api()))]),
            ("peer", vec![("listen", text(place.peer())), ("advertise", text(place.peer()))]),
            ("admin", vec![("listen", text(place.admin()))]),
            (
                "cluster",
                vec![
                    ("join", Value::Array(join)),
                    ("token_file", text(self.token().display())),
                    ("voters", Value::Integer(self.voters().into())),
                ],
            ),
        ];
        let mut sections: Table = sections
            .into_iter()
            .map(|(section, keys)| {
                let keys: Table =
                    keys.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
                (section.to_owned(), Value::Table(keys))
            })
            .collect();
        let on_disk = || Table::from_iter([path_entry(&self.dir)]);
        let mut storage = self.shape.storage.clone().unwrap_or_else(on_disk);
        // Never one that another node has, which would remove what is not its own.
        storage.insert("cache_path".to_owned(), text(place.data().join("cache").display()));
        sections.insert("storage".to_owned(), Value::Table(storage));
        sections
    }

    /// Whether the environment variable `name` would undo what the playground sets for its nodes.
    pub(super) fn is_undone_by(&self, place: &Place, name: &str) -> bool {
        self.settings_of(place).iter().any(|(section, keys)| {
            let mut keys = keys.as_table().into_iter().flat_map(Table::keys);
            keys.any(|key| variable(&format!("{section}.{key}")) == name)
        })
    }

    /// The content of the configuration file of the node at `place`.
    pub(super) fn config_of(&self, place: &Place) -> String {
        let file = self.settings_of(place);
        format!("# Written by `roadstead playground` at each start of this node.\n{file}")
    }
}

impl Shape {
    fn check(&self) -> Result<(), PlaygroundError> {
        if !(1..=NODES_MAX).contains(&self.nodes) {
            return Err(PlaygroundError::Nodes(self.nodes));
        }
        if self.port == 0 || self.port.checked_add(STRIDE * (self.nodes - 1) + 2).is_none() {
            return Err(PlaygroundError::Port(self.port));
        }
        Ok(())
    }
}

fn is_secure() -> bool {
    env::var_os(variable("tls.certificate")).is_some()
}

fn path_entry(dir: &Path) -> (String, Value) {
    ("path".to_owned(), text(dir.join("blobs").display()))
}

fn text(value: impl ToString) -> Value {
    Value::String(value.to_string())
}

/// A node's place in a playground.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// Its number, from 1.
    pub(super) number: u16,
    port: u16,
    /// Its folder.
    pub(super) dir: PathBuf,
}

impl Place {
    /// Where its API listens.
    pub(super) fn api(&self) -> SocketAddr {
        self.at(0)
    }

    /// Where it listens for peers.
    pub(super) fn peer(&self) -> SocketAddr {
        self.at(1)
    }

    /// Where its health and metrics are.
    pub(super) fn admin(&self) -> SocketAddr {
        self.at(2)
    }

    fn at(&self, offset: u16) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port + offset).into()
    }

    /// Its configuration file.
    pub(super) fn config(&self) -> PathBuf {
        self.dir.join("roadstead.toml")
    }

    /// Its data folder.
    pub(super) fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// What it logs.
    pub(super) fn log(&self) -> PathBuf {
        self.dir.join("log")
    }

    /// The file with its process id, there while it runs.
    pub(super) fn pid(&self) -> PathBuf {
        self.dir.join("pid")
    }

    /// Whether it has been part of the cluster.
    pub(super) fn is_settled(&self) -> bool {
        DataFolder::is_in_use_at(&self.data())
    }

    /// Whether a process uses its data folder.
    pub(super) fn is_occupied(&self) -> bool {
        self.is_settled() && DataFolder::is_locked_at(&self.data())
    }

    /// The last lines of its log.
    pub(super) fn log_tail(&self) -> String {
        const LINES: usize = 15;
        let log = fs::read(self.log()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(LINES)..].join("\n")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use super::*;
    use crate::Config;
    use crate::config::{AccessKind, Redirect, Source};

    fn shape(nodes: Option<u16>, port: Option<u16>) -> Wanted {
        Wanted { nodes, port, auth: false }
    }

    #[test]
    fn a_playground_stays_open_or_closed() {
        let folder = tempfile::tempdir().unwrap();
        let (open, closed) = (folder.path().join("open"), folder.path().join("closed"));
        let auth = Wanted { auth: true, ..Wanted::default() };
        Layout::open(&open, Wanted::default(), []).unwrap();
        let refusal = Layout::open(&open, auth, []).unwrap_err().to_string();
        assert!(refusal.contains("is open to everybody"), "{refusal}");
        assert!(Layout::open(&open, Wanted::default(), []).unwrap().login().unwrap().is_none());
        Layout::open(&closed, auth, []).unwrap();
        let found = Layout::open(&closed, Wanted::default(), []).unwrap();
        let password = found.login().unwrap().unwrap().password().to_owned();
        assert_eq!(password.len(), 24);
        let place = found.place(1).unwrap();
        let source = Source::default();
        let mut source = source.with_text(&place.config(), &found.config_of(&place)).unwrap();
        let access = Config::read(&mut source).unwrap().access;
        assert_eq!(access.kind, AccessKind::Closed);
        let kept = fs::read_to_string(access.administrator_password.unwrap()).unwrap();
        assert_eq!(kept.trim(), password);
    }

    #[test]
    fn a_playground_keeps_its_shape() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("new");
        Layout::open(&dir, shape(Some(5), Some(6000)), []).unwrap();
        for (nodes, port) in [(None, None), (Some(5), None), (Some(5), Some(6000))] {
            assert_eq!(Layout::open(&dir, shape(nodes, port), []).unwrap().places().len(), 5);
        }
        for (nodes, port) in [(Some(3), None), (None, Some(5000))] {
            let refusal = Layout::open(&dir, shape(nodes, port), []).unwrap_err().to_string();
            assert!(refusal.contains("has 5 nodes from port 6000"), "{refusal}");
        }
    }

    #[test]
    fn impossible_shapes_and_foreign_folders_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("new");
        for (nodes, port) in [(0, 5000), (10, 5000), (3, 0), (3, 65_514)] {
            assert!(
                Layout::open(&dir, shape(Some(nodes), Some(port)), []).is_err(),
                "{nodes} at {port}"
            );
            assert!(!dir.exists());
        }
        Layout::open(&dir, shape(Some(3), Some(65_513)), []).unwrap();
        let refusal = Layout::open(folder.path(), Wanted::default(), []).unwrap_err().to_string();
        assert!(refusal.contains("not Roadstead's"), "{refusal}");
    }

    #[test]
    fn the_environment_sets_what_the_playground_leaves_open() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::open(&folder.path().join("new"), Wanted::default(), []).unwrap();
        let place = layout.place(1).unwrap();
        for (name, is_undone) in [
            ("ROADSTEAD_API_LISTEN", true),
            ("ROADSTEAD_CLUSTER_JOIN", true),
            ("ROADSTEAD_PEER_ADVERTISE", true),
            ("ROADSTEAD_STORAGE_PATH", true),
            ("ROADSTEAD_STORAGE_CACHE_PATH", true),
            ("ROADSTEAD_STORAGE_REDIRECT", false),
            ("ROADSTEAD_API_SPARSE", false),
            ("ROADSTEAD_LOG_FILTER", false),
            ("PATH", false),
        ] {
            assert_eq!(layout.is_undone_by(&place, name), is_undone, "{name}");
        }
    }

    #[test]
    fn a_playground_keeps_its_bucket_and_uses_it_as_it_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("new");
        let open = |variables: &[(&str, &str)]| {
            let name = |key| format!("ROADSTEAD_STORAGE_{key}");
            let variables = variables.iter().map(|(key, value)| (name(key), (*value).to_owned()));
            Layout::open(&dir, Wanted::default(), variables)
        };
        let made = open(&[("KIND", "s3"), ("BUCKET", "b")]).unwrap();
        assert_eq!(open(&[]).unwrap().shape, made.shape);
        for others in [[("BUCKET", "c")], [("PREFIX", "p")], [("ENDPOINT", "http://127.0.0.1:1")]] {
            let refusal = open(&others).unwrap_err().to_string();
            assert!(refusal.contains("keeps its blobs elsewhere"), "{others:?}: {refusal}");
        }
        for (others, said) in [
            ([("KIND", "disk")], "storage.kind is \"disk\""),
            ([("REDIRECT", "perhaps")], "storage.redirect is \"perhaps\""),
        ] {
            let refusal = open(&others).unwrap_err().to_string();
            assert!(refusal.contains(said), "{refusal}");
        }
        open(&[("REDIRECT", "auto")]).unwrap().save().unwrap();
        let resumed = open(&[]).unwrap();
        let storage_of = |number| {
            let place = resumed.place(number).unwrap();
            let source = Source::default();
            let mut source = source.with_text(&place.config(), &resumed.config_of(&place)).unwrap();
            Config::read(&mut source).unwrap().storage
        };
        let storage = storage_of(2);
        assert_ne!(storage.cache_path, storage_of(1).cache_path, "each node has a cache alone");
        assert!(storage.cache_path.starts_with(&dir));
        assert_eq!(storage.bucket.as_deref(), Some("b"));
        assert!(storage.prefix.unwrap().starts_with("playground-"));
        assert_eq!(storage.redirect, Redirect::Auto);
    }

    #[test]
    fn the_configurations_it_writes_are_valid() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::open(&folder.path().join("a \"b\" c"), Wanted::default(), []).unwrap();
        for place in layout.places() {
            let source = Source::default();
            let mut source = source.with_text(&place.config(), &layout.config_of(&place)).unwrap();
            let config = Config::read(&mut source).unwrap();
            assert_eq!(config.api.listen.port(), 4990 + 10 * place.number);
            assert_eq!(config.peer.listen, place.peer());
            assert_eq!(config.cluster.join.len(), if place.number == 1 { 0 } else { 2 });
            assert_eq!(config.node.data_dir, place.data());
        }
    }
}
