//! The shape of the source tree, as far as a machine can tell: sizes, headers, who may import whom, and that the tables of
//! keys and APIs and the pages that explain them say the same. Reads text only: it needs no compiler and no broker.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::told::aloud;

const LINES_WARN: usize = 500;
const LINES_MAX: usize = 800;

/// Tables: as long as what they list.
const TABLES: &[&str] = &["src/config/keys.rs", "src/api/table.rs", "src/wire/error.rs"];

/// What a folder (or file) below `shards/src` may import from its own package. Absent: anything.
const SHARDS_MAY_USE: &[(&str, &[&str])] = &[
    ("types", &[]),
    ("codec", &[]),
    ("runtime", &["types"]),
    ("batch", &["types"]),
    ("partition", &["request", "types"]),
    ("catalog", &["codec", "types"]),
    ("log", &["batch", "runtime", "types", "planted"]),
    ("journal", &["batch", "log", "partition", "runtime", "types", "planted"]),
    ("group", &["catalog", "codec", "types", "planted"]),
    ("request", &["batch", "catalog", "group", "router", "types"]),
    ("router", &["catalog", "group", "request", "shard", "types"]),
];

/// What a folder below `src` may import from its own package, and from `shards`. Absent: anything.
const ROOT_MAY_USE: &[(&str, &[&str], &[&str])] = &[
    ("wire", &[], &["codec"]),
    ("config", &[], &["catalog"]),
    ("client", &["wire"], &["batch", "codec"]),
    ("bench", &["client", "wire"], &["batch"]),
    ("api", &["config", "wire"], &["batch", "catalog", "group", "request", "router", "types"]),
    ("http", &["listen"], &["router"]),
    ("listen", &["api", "wire"], &["router", "runtime", "types"]),
    (
        "cli",
        &["adopt", "bench", "client", "config", "disk", "http", "launch"],
        &["batch", "catalog", "group", "journal", "log", "router", "shard", "types"],
    ),
    (
        "adopt",
        &["config", "disk", "launch"],
        &["batch", "catalog", "group", "journal", "log", "partition", "shard", "types"],
    ),
    ("disk", &["launch"], &["batch", "catalog", "group", "journal", "log", "runtime", "shard", "types"]),
];

/// Where the type parameter `R: Runtime` may appear; everything else is concrete.
const GENERIC: &[&str] = &[
    "shards/src/journal/",
    "shards/src/log/",
    "shards/src/shard/",
    "shards/src/runtime/",
    "src/listen/",
    "src/launch",
];

/// More types than this with a runtime parameter, and enum dispatch would read better.
const GENERIC_TYPES_MAX: usize = 15;

/// Code that gets time, files and sockets from the runtime only, so that the simulator runs all of it.
const SIMULATED: &[&str] = &["shards/src/", "src/api/", "src/listen/", "src/wire/"];

const FROM_THE_MACHINE: &[&str] =
    &["std::fs", "std::net::Tcp", "Instant::now", "SystemTime::now", "thread::sleep", "File::open", "File::create"];

/// One `.rs` file of the repository.
struct Source {
    /// From the repository's root, with `/`.
    path: String,
    text: String,
}

impl Source {
    /// The text without comments, and without the tests that close a file.
    fn code(&self) -> String {
        let code = self.text.split("\n#[cfg(test)]\nmod ").next().unwrap_or_default();
        code.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
    }

    fn is_test(&self) -> bool {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        self.path.split('/').any(|part| part == "tests" || part == "benches") || name.ends_with("tests.rs")
    }

    /// The first name below `package` (`shards/src/`): its folder, or the file itself without `.rs`.
    fn folder_in<'a>(&'a self, package: &str) -> Option<&'a str> {
        self.path.strip_prefix(package)?.split(['/', '.']).next()
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    let mut folders = vec![root().to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the repository") {
            let path = entry.expect("an entry of it").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                folders.push(path);
            } else if name.ends_with(".rs") {
                found.push(source(&path));
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(found.len() > 20, "only {} sources found below {}", found.len(), root().display());
    found
}

fn source(path: &PathBuf) -> Source {
    let inside = path.strip_prefix(root()).expect("below the root").to_string_lossy().replace('\\', "/");
    Source { path: inside, text: fs::read_to_string(path).expect("UTF-8") }
}

/// Fails with all complaints at once.
fn none(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

/// Names that follow `prefix` in the code: `crate::a` and `crate::{a, b::c}` both name `a`.
fn names_after(code: &str, prefix: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (at, _) in code.match_indices(prefix) {
        let before = code[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
            continue;
        }
        let rest = &code[at + prefix.len()..];
        match rest.strip_prefix('{') {
            Some(group) => names.extend(group_heads(group)),
            None => names.extend(Some(head(rest)).filter(|name| !name.is_empty())),
        }
    }
    names
}

/// The first name of each path of a use group, up to its closing brace.
fn group_heads(group: &str) -> Vec<String> {
    let (mut heads, mut depth, mut wanted) = (Vec::new(), 0, true);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => wanted = true,
            c if wanted && (c.is_alphabetic() || c == '_') => {
                heads.push(head(&group[at..]));
                wanted = false;
            }
            _ => {}
        }
    }
    heads
}

fn head(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// Modules at the top of a package; what else follows `crate::` is a macro or an item of `lib.rs`.
fn modules(package: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(root().join(package)).expect("the package's sources");
    entries.map(|e| e.expect("an entry").file_name().to_string_lossy().trim_end_matches(".rs").to_owned()).collect()
}

#[test]
fn files_stay_small_enough_to_read() {
    let mut complaints = Vec::new();
    for source in sources().iter().filter(|s| !TABLES.contains(&s.path.as_str())) {
        let lines = source.text.lines().count();
        if lines > LINES_MAX {
            complaints.push(format!("{}: {lines} lines, over {LINES_MAX}: split it by subject", source.path));
        } else if lines > LINES_WARN {
            aloud(&format!("warning: {}: {lines} lines, over {LINES_WARN}", source.path));
        }
    }
    none(complaints);
}

#[test]
fn every_file_begins_by_saying_what_it_owns() {
    let silent = |s: &&Source| s.text.lines().next().is_none_or(|line| line.trim_start_matches("//!").len() < 10);
    let complaint = |s: &Source| format!("{}: the first line is not a `//!` that says what the file owns", s.path);
    none(sources().iter().filter(silent).filter(|s| !s.text.starts_with("//! ")).map(complaint).collect());
}

#[test]
fn folders_import_only_what_the_architecture_allows() {
    let (in_shards, in_root) = (modules("shards/src"), modules("src"));
    let mut complaints = Vec::new();
    for source in sources().iter().filter(|s| !s.is_test()) {
        let code = source.code();
        let mut check = |prefix: &str, modules: &BTreeSet<String>, own: &str, allowed: &[&str]| {
            for name in names_after(&code, prefix) {
                if modules.contains(&name) && name != own && !allowed.contains(&name.as_str()) {
                    complaints.push(format!("{}: {own} may not import {prefix}{name}", source.path));
                }
            }
        };
        if let Some(folder) = source.folder_in("shards/src/") {
            check("corelog::", &in_root, folder, &[]);
            if let Some((_, allowed)) = SHARDS_MAY_USE.iter().find(|(name, ..)| *name == folder) {
                check("crate::", &in_shards, folder, allowed);
            }
        } else if let Some(folder) = source.folder_in("src/")
            && let Some((_, own, shards)) = ROOT_MAY_USE.iter().find(|(name, ..)| *name == folder)
        {
            check("crate::", &in_root, folder, own);
            check("shards::", &in_shards, folder, shards);
        }
    }
    none(complaints);
}

#[test]
fn only_what_touches_the_machine_is_generic_over_it() {
    let (mut complaints, mut types) = (Vec::new(), Vec::new());
    for source in sources().iter().filter(|s| !s.is_test()) {
        let code = source.code();
        let generic = ["R: Runtime", ": impl Runtime", "dyn Runtime"].iter().any(|bound| code.contains(bound));
        if generic && !GENERIC.iter().any(|place| source.path.starts_with(place)) {
            complaints.push(format!("{}: generic over the runtime, which belongs in {GENERIC:?}", source.path));
        }
        let declares =
            |line: &&str| ["struct ", "enum "].iter().any(|word| line.contains(word)) && line.contains("R: Runtime");
        types.extend(code.lines().filter(declares).map(str::trim).map(str::to_owned));
    }
    if types.len() > GENERIC_TYPES_MAX {
        complaints
            .push(format!("{} types with a runtime parameter, over {GENERIC_TYPES_MAX}: {types:#?}", types.len()));
    }
    none(complaints);
}

#[test]
fn glommio_is_named_in_one_folder() {
    let elsewhere = |s: &&Source| !s.path.starts_with("shards/src/runtime/uring") && s.path != "tests/it/tidy.rs";
    let named = |s: &&Source| s.code().contains("glommio");
    let complaint = |s: &Source| format!("{}: names glommio, which belongs in shards/src/runtime/uring", s.path);
    none(sources().iter().filter(elsewhere).filter(named).map(complaint).collect());
}

#[test]
fn time_files_and_sockets_come_from_the_runtime() {
    let simulated = |s: &&Source| {
        let inside = SIMULATED.iter().any(|place| s.path.starts_with(place));
        inside && !s.path.starts_with("shards/src/runtime/") && !s.is_test()
    };
    let mut complaints = Vec::new();
    for source in sources().iter().filter(simulated) {
        let code = source.code();
        for taken in FROM_THE_MACHINE.iter().filter(|taken| code.contains(**taken)) {
            complaints.push(format!("{}: {taken}: ask the runtime instead", source.path));
        }
    }
    none(complaints);
}

/// The text of a file that a check needs: its absence is a complaint, for the check would pass in silence without it.
fn text_of(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// The first string literal of each row of a key table: a line that begins with it, or `name: "…"`.
fn keys_of(table: &str) -> BTreeSet<String> {
    let is_key = |text: &str| {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
        text.starts_with(|c: char| c.is_ascii_lowercase()) && text.chars().all(plain)
    };
    let mut keys = BTreeSet::new();
    for line in table.lines().map(str::trim) {
        let Some((before, rest)) = line.split_once('"') else { continue };
        let Some((text, _)) = rest.split_once('"') else { continue };
        let opens_a_row = matches!(before.trim(), "" | "name:" | "key:")
            || before.ends_with("Key {name: ")
            || before.ends_with("Key { name: ")
            || before.ends_with("key(");
        if opens_a_row && is_key(text) {
            keys.insert(text.to_owned());
        }
    }
    keys
}

#[test]
fn every_config_key_is_explained_in_tuning() {
    let table = text_of("src/config/keys.rs");
    let keys = keys_of(&table);
    assert!(keys.len() > 10, "src/config/keys.rs: only {keys:?} look like keys: has the table's form changed?");
    let page = text_of("tuning.md");
    none(
        keys.iter()
            .filter(|key| !page.contains(&format!("`{key}`")))
            .map(|key| format!("tuning.md lacks `{key}`"))
            .collect(),
    );
}

/// The API names of the rows of `rows! { … }`: each row is `Name, …`.
fn apis_of(table: &str) -> BTreeSet<String> {
    let rows = table.split_once("\nrows! {").map_or("", |(_, rest)| rest.split("\n}").next().unwrap_or_default());
    let names = rows.lines().map(str::trim).filter(|line| line.starts_with(|c: char| c.is_ascii_uppercase())).map(head);
    names.collect()
}

#[test]
fn every_api_of_the_table_is_in_the_readme() {
    let table = text_of("src/api/table.rs");
    let apis = apis_of(&table);
    assert!(apis.contains("Produce"), "src/api/table.rs: {apis:?} are its APIs: has the table's form changed?");
    let page = text_of("README.md");
    let cells: BTreeSet<&str> = page
        .lines()
        .filter(|line| line.starts_with('|'))
        .flat_map(|row| row.split('|').map(|cell| cell.trim().trim_matches('`')))
        .collect();
    none(
        apis.iter()
            .filter(|api| !cells.contains(api.as_str()))
            .map(|api| format!("README.md's table lacks {api}"))
            .collect(),
    );
}

#[test]
fn the_checks_read_what_they_should() {
    let code =
        "use crate::log;\nuse crate::{batch::Batch, types::{Offset, Run}, router};\nfn f(x: shards::codec::Y) {}";
    let set = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(names_after(code, "crate::"), set(&["batch", "log", "router", "types"]));
    assert_eq!(names_after(code, "shards::"), set(&["codec"]));
    let source =
        Source { path: "shards/src/log/x.rs".into(), text: "a // glommio\nb\n\n#[cfg(test)]\nmod tests { c }".into() };
    assert_eq!(source.code(), "a \nb");
    assert_eq!(source.folder_in("shards/src/"), Some("log"));
    assert_eq!(
        keys_of("  name: \"a.b\",\n  default: \"yes\",\n  \"c_d\", X,\n Key { name: \"e\" }"),
        set(&["a.b", "c_d", "e"])
    );
    assert_eq!(
        apis_of("x\nrows! {\n    // A comment\n    Fetch, told from 4;\n    Produce, x;\n}\nOther, y;"),
        set(&["Fetch", "Produce"])
    );
}
