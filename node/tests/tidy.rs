//! The style that no other tool holds: shapes of files and functions, and which part may use which.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed test panics")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Most lines of a file, without its tests.
const FILE_LINES_MAX: usize = 400;
/// Most lines of a function, from its signature to its closing brace.
const FUNCTION_LINES_MAX: usize = 70;
/// Most characters of a line.
const COLUMNS_MAX: usize = 100;

/// The crates; each uses only those before it.
const CRATES: [&str; 7] = ["proto", "storage", "raft", "api", "bench", "node", "chaos-tests"];
/// Of these, what the load generator may not use: it measures any registry, so it knows none.
const SERVERS: [&str; 3] = ["storage", "raft", "api"];

/// A source file of the workspace.
struct Source {
    /// Relative to the workspace.
    path: PathBuf,
    text: String,
}

impl Source {
    /// Where the tests at the end begin, as an index of lines.
    fn tests_begin(&self) -> usize {
        let lines: Vec<&str> = self.text.lines().collect();
        let tests = lines.windows(2).position(|pair| pair == ["#[cfg(test)]", "mod tests {"]);
        tests.unwrap_or(lines.len())
    }

    /// Whether the whole file is for tests.
    fn is_test(&self) -> bool {
        self.path.components().any(|part| part.as_os_str() == "tests")
            || self.path.file_name().is_some_and(|name| name == "tests.rs")
    }

    /// The crate it belongs to.
    fn home(&self) -> String {
        self.path.iter().next().unwrap_or_default().to_string_lossy().into_owned()
    }
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("node is in the workspace").to_owned()
}

fn sources() -> Vec<Source> {
    let root = workspace();
    let mut folders: Vec<PathBuf> = CRATES.iter().map(|name| root.join(name)).collect();
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                sources.push(Source { path: path.strip_prefix(&root).unwrap().to_owned(), text });
            }
        }
    }
    assert!(sources.len() > 50, "the sources are found");
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

/// Fails with all of `offences`, each `file:line: what is wrong`.
fn expect_none(offences: &[String]) {
    assert!(offences.is_empty(), "\n{}\n", offences.join("\n"));
}

/// An offence at line `index`, counted from 0.
fn offence(source: &Source, index: usize, what: &str) -> String {
    format!("{}:{}: {what}", source.path.display(), index + 1)
}

#[test]
fn the_image_is_built_from_all_crates() {
    let admitted = fs::read_to_string(workspace().join(".dockerignore")).unwrap();
    for name in CRATES {
        assert!(admitted.lines().any(|line| line == format!("!{name}")), "{name}");
    }
}

#[test]
fn files_are_short() {
    let too_long = sources().into_iter().filter_map(|source| {
        let lines = if source.is_test() { 0 } else { source.tests_begin() };
        let what = format!("{lines} lines without tests, of at most {FILE_LINES_MAX}");
        (lines > FILE_LINES_MAX).then(|| offence(&source, lines - 1, &what))
    });
    expect_none(&too_long.collect::<Vec<_>>());
}

#[test]
fn lines_are_short() {
    let mut offences = Vec::new();
    for source in sources() {
        for (index, line) in source.text.lines().enumerate() {
            let columns = line.chars().count();
            if columns > COLUMNS_MAX {
                let what = format!("{columns} columns, of at most {COLUMNS_MAX}");
                offences.push(offence(&source, index, &what));
            }
        }
    }
    expect_none(&offences);
}

#[test]
fn functions_are_short() {
    let mut offences = Vec::new();
    for source in sources() {
        for (begin, length) in functions(&source.text) {
            if length > FUNCTION_LINES_MAX {
                let what = format!("a function of {length} lines, of at most {FUNCTION_LINES_MAX}");
                offences.push(offence(&source, begin, &what));
            }
        }
    }
    expect_none(&offences);
}

/// Where the functions of `text` begin, and how many lines they have. Relies on rustfmt: a function
/// ends at the first closing brace that is indented as its signature is.
fn functions(text: &str) -> Vec<(usize, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut functions = Vec::new();
    for (begin, line) in lines.iter().enumerate() {
        let signature = line.trim_start();
        if !is_signature(signature) || signature.ends_with(['}', ';']) {
            continue;
        }
        let indent = &line[..line.len() - signature.len()];
        let closing = format!("{indent}}}");
        let mut rest = lines[begin..].iter();
        if let Some(length) = rest.position(|line| **line == closing || is_bodiless(line, indent)) {
            functions.push((begin, length + 1));
        }
    }
    functions
}

fn is_signature(line: &str) -> bool {
    const QUALIFIERS: [&str; 6] = ["pub", "const", "async", "unsafe", "extern", "\"C\""];
    // For whom it is public may be told in two words: `pub(in crate::sim)`.
    let line = match line.strip_prefix("pub(").and_then(|rest| rest.split_once(") ")) {
        Some((_, rest)) => rest,
        None => line,
    };
    let mut words = line.split_whitespace();
    let is_function = words.by_ref().find(|word| !QUALIFIERS.contains(word)) == Some("fn");
    is_function && words.next().is_some()
}

/// Whether `line` ends a signature that has no body, as methods of traits have.
fn is_bodiless(line: &str, indent: &str) -> bool {
    line.starts_with(&format!("{indent})")) && line.ends_with(';')
}

#[test]
fn functions_are_found() {
    let text = [
        "fn a() {",
        "}",
        "impl B {",
        "    pub(crate) async fn c(",
        "        d: u8,",
        "    ) -> u8 {",
        "        if d {",
        "        }",
        "    }",
        "}",
        "trait E {",
        "    fn f(",
        "        g: u8,",
        "    ) -> u8;",
        "    fn h();",
        "}",
        "pub(in crate::i) const fn j() {",
        "}",
    ];
    let text = &text.join("\n");
    assert_eq!(functions(text), [(0, 2), (3, 6), (11, 3), (16, 2)]);
}

#[test]
fn every_module_says_what_it_owns() {
    let silent = sources().into_iter().filter_map(|source| {
        let speaks = source.text.starts_with("//! ");
        (!speaks).then(|| offence(&source, 0, "no //! sentence says what this module owns"))
    });
    expect_none(&silent.collect::<Vec<_>>());
}

#[test]
fn crates_use_only_those_before_them() {
    let mut offences = Vec::new();
    for (position, name) in CRATES.iter().enumerate() {
        let manifest = fs::read_to_string(workspace().join(name).join("Cargo.toml")).unwrap();
        let manifest: toml::Table = toml::from_str(&manifest).unwrap();
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let Some(used) = manifest.get(section).and_then(toml::Value::as_table) else {
                continue;
            };
            for later in &CRATES[position..] {
                // Its own features for its own tests are no arrow.
                if used.contains_key(*later) && later != name {
                    offences.push(format!("{name}/Cargo.toml:1: {name} must not use {later}"));
                }
            }
        }
    }
    expect_none(&offences);
}

#[test]
fn the_load_generator_knows_no_server() {
    let manifest = fs::read_to_string(workspace().join("bench/Cargo.toml")).unwrap();
    let manifest: toml::Table = toml::from_str(&manifest).unwrap();
    let used = manifest["dependencies"].as_table().unwrap();
    let offences = SERVERS.iter().filter(|server| used.contains_key(**server));
    let offences =
        offences.map(|server| format!("bench/Cargo.toml:1: bench must not use {server}"));
    expect_none(&offences.collect::<Vec<_>>());
}

#[test]
fn consensus_has_one_home() {
    let mut offences = Vec::new();
    for source in sources() {
        if source.home() == "raft" {
            continue;
        }
        let code = source.text.lines().enumerate().filter(|(_, line)| !is_comment(line));
        for (index, line) in code {
            // Paths, not names in texts: log filters know the crate too.
            if line.contains("openraft::") || line.trim_start().starts_with("use openraft") {
                // This file has to spell what it looks for.
                if source.path != Path::new("node/tests/tidy.rs") {
                    offences.push(offence(&source, index, "openraft stays inside raft"));
                }
            }
        }
    }
    expect_none(&offences);
}

/// What is hidden is not there for other crates: they have `raft::Cluster`.
#[test]
fn the_bare_parts_of_raft_are_for_its_benchmarks() {
    let mut offences = Vec::new();
    for source in sources() {
        // This file has to spell what it looks for.
        if source.home() == "raft" || source.path == Path::new("node/tests/tidy.rs") {
            continue;
        }
        for (index, line) in source.text.lines().enumerate() {
            if line.contains("BareCatalog") || line.contains("BareLog") {
                offences.push(offence(&source, index, "only benchmarks of raft may go round it"));
            }
        }
    }
    expect_none(&offences);
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with("//")
}

/// What is written to disk, or shown to other nodes: its file, how its enum opens, and what the
/// names of its golden files begin with.
const ENCODED: [(&str, &str, &str); 8] = [
    ("proto/src/command.rs", "pub enum Command {", "entry"),
    ("proto/src/command.rs", "pub enum Answer {", "answer"),
    ("proto/src/event.rs", "pub enum Event {", "event"),
    ("proto/src/refusal.rs", "pub enum Refusal {", "refusal"),
    ("proto/src/access/change.rs", "pub enum AccessCommand {", "entry-access"),
    ("proto/src/access/change.rs", "pub enum AccessChange {", "event-access"),
    ("proto/src/access/refusal.rs", "pub enum AccessRefusal {", "refusal-access"),
    ("raft/src/catalog/keys.rs", "pub(crate) enum Table {", "row"),
];

/// Once anything is written to disk, its encoding is for ever: there is one of each kind to read.
#[test]
fn every_kind_of_what_is_encoded_has_a_golden_file() {
    let folder = workspace().join("raft/tests/golden");
    let files = fs::read_dir(folder)
        .expect("the golden files are there")
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let files: Vec<String> = files.collect();
    let mut offences = Vec::new();
    for (path, opening, prefix) in ENCODED {
        let text = fs::read_to_string(workspace().join(path)).unwrap();
        let mut variants = variants(&text, opening);
        assert!(variants.len() >= 4, "the variants are found after `{opening}`: {variants:?}");
        // Each change of access has files of its own.
        variants.retain(|(_, name)| name != "AccessChanged");
        let names = variants.iter().map(|(_, name)| format!("{prefix}-{}", kebab(name)));
        let names: Vec<String> = names.collect();
        let held: BTreeSet<&String> = files.iter().filter_map(|it| held_by(it, &names)).collect();
        for ((index, variant), name) in variants.iter().zip(&names) {
            if !held.contains(name) {
                let line = index + 1;
                offences.push(format!("{path}:{line}: {variant} has no golden file {name}.hex"));
            }
        }
    }
    expect_none(&offences);
}

/// Which of `names` the golden file holds a sample of: its own name is one, or goes on after one.
/// Of two it is the longer: `revoke-key` is no sample of `revoke`.
fn held_by<'a>(file: &str, names: &'a [String]) -> Option<&'a String> {
    let is_of = |name: &&String| {
        file.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with(['-', '.']))
    };
    names.iter().filter(is_of).max_by_key(|name| name.len())
}

/// `link-blob` for `LinkBlob`.
fn kebab(name: &str) -> String {
    let mut kebab = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !kebab.is_empty() {
            kebab.push('-');
        }
        kebab.push(letter.to_ascii_lowercase());
    }
    kebab
}

#[test]
fn a_golden_file_holds_one_kind() {
    let names = ["entry-revoke", "entry-revoke-key", "entry-link"].map(str::to_owned);
    for (file, held) in [
        ("entry-revoke.hex", Some("entry-revoke")),
        ("entry-revoke-key.hex", Some("entry-revoke-key")),
        ("entry-link-summed.hex", Some("entry-link")),
        ("entry-linked.hex", None),
        ("old-entry-link.hex", None),
    ] {
        assert_eq!(held_by(file, &names).map(String::as_str), held, "{file}");
    }
    assert_eq!(kebab("LinkBlob"), "link-blob");
}

/// The variants of the enum that `opening` opens, with their lines.
fn variants(text: &str, opening: &str) -> Vec<(usize, String)> {
    let lines = text.lines().enumerate().skip_while(|(_, line)| *line != opening).skip(1);
    let body = lines.take_while(|(_, line)| *line != "}");
    let names = body.filter_map(|(index, line)| {
        let name = line.strip_prefix("    ")?;
        let name: String = name.chars().take_while(char::is_ascii_alphanumeric).collect();
        name.starts_with(char::is_uppercase).then_some((index, name))
    });
    names.collect()
}

/// A scenario that is not registered is never played.
#[test]
fn every_scenario_is_registered() {
    let folder = workspace().join("chaos-tests/src/scenarios");
    let registry = fs::read_to_string(folder.join("mod.rs")).unwrap();
    let files = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let names: Vec<String> = files
        .map(|file| file.file_stem().unwrap().to_string_lossy().into_owned())
        .filter(|name| name != "mod")
        .collect();
    assert!(names.len() >= 10, "the scenarios are found");
    let missing = names.into_iter().filter(|name| {
        !registry.contains(&format!("mod {name};"))
            || !registry.contains(&format!("    {name}::SCENARIO,"))
    });
    let missing = missing.map(|name| {
        format!("chaos-tests/src/scenarios/mod.rs:1: {name} is not among the scenarios")
    });
    expect_none(&missing.collect::<Vec<_>>());
}

/// The scenario that the guide shows is compiled where it stands as an example of the code.
#[test]
fn the_scenario_of_the_guide_is_one_that_compiles() {
    let guide = fs::read_to_string(workspace().join("docs/simulation.md")).unwrap();
    let code = workspace().join("chaos-tests/src/sim/scenario/mod.rs");
    let code = fs::read_to_string(code).unwrap().replace("/// ", "").replace("///", "");
    let scenario = |text: &str| {
        let lines = text.lines().skip_while(|line| !line.starts_with("    name: \"lost-leader\""));
        let lines = lines.take_while(|line| !line.starts_with(['#', '`']));
        lines.collect::<Vec<_>>().join("\n").trim_end().to_owned()
    };
    assert!(scenario(&guide).lines().count() > 10, "the scenario is found");
    assert_eq!(scenario(&guide), scenario(&code));
}

/// Cargo leaves a patch aside when another version is asked for, and only warns: ADR 16.
#[test]
fn openraft_counts_with_the_histograms_of_this_workspace() {
    let lock = fs::read_to_string(workspace().join("Cargo.lock")).unwrap();
    let packages = lock.split("[[package]]").filter(|it| it.contains("\"base2histogram\"\n"));
    let (ours, others): (Vec<_>, Vec<_>) = packages
        .filter(|it| it.contains("name = \"base2histogram\""))
        .partition(|it| !it.contains("source = "));
    assert_eq!((ours.len(), others.len()), (1, 0));
}

/// The table of abuse cases is worth what its tests are.
#[test]
fn every_abuse_case_names_tests_that_exist() {
    let text = fs::read_to_string(workspace().join("docs/abuse-cases.md")).unwrap();
    let sources = sources();
    let exists = |name: &str| {
        let signature = format!("fn {name}(");
        sources.iter().any(|source| source.text.contains(&signature))
    };
    let mut offences = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let quoted = line.split('`').skip(1).step_by(2);
        // Tests are sentences; what else is quoted has fewer words.
        let names: Vec<&str> = quoted.filter(|name| name.matches('_').count() >= 3).collect();
        let is_row = line.starts_with("| ") && !line.starts_with("| input");
        if is_row && names.is_empty() {
            offences.push(format!("docs/abuse-cases.md:{}: no test", index + 1));
        }
        for name in names.into_iter().filter(|name| !exists(name)) {
            offences.push(format!("docs/abuse-cases.md:{}: there is no test {name}", index + 1));
        }
    }
    expect_none(&offences);
}
