//! The shape of the source: layers, absences, lengths, words. A failure here names the file and the rule; where a rule
//! is wrong, change it here and say why in `docs/decisions/`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What each folder may import, besides itself and what everyone may (`EVERYWHERE`). In order of rank.
const LAYERS: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("failpoint", &[]),
    ("options", &[]),
    ("stream", &[]),
    ("sql", &["stream", "options"]),
    ("formats", &["stream", "options"]),
    ("storage", &["stream"]),
    ("expressions", &["stream"]),
    ("state", &["stream", "storage"]),
    ("checkpoint", &["stream", "state"]),
    ("operators", &["stream", "state", "expressions"]),
    ("connectors", &["stream", "options", "formats", "storage"]),
    ("catalog", &["stream", "options", "sql", "formats", "expressions", "operators", "connectors"]),
    ("plan", &["stream", "options", "sql", "catalog", "connectors", "expressions", "operators"]),
    (
        "batch",
        &[
            "stream",
            "options",
            "storage",
            "state",
            "formats",
            "expressions",
            "operators",
            "connectors",
            "catalog",
            "plan",
        ],
    ),
    (
        "runtime",
        &[
            "stream",
            "options",
            "formats",
            "storage",
            "expressions",
            "state",
            "checkpoint",
            "operators",
            "connectors",
            "catalog",
            "plan",
        ],
    ),
    (
        "session",
        &[
            "stream",
            "options",
            "sql",
            "formats",
            "storage",
            "expressions",
            "state",
            "checkpoint",
            "operators",
            "connectors",
            "catalog",
            "plan",
            "batch",
            "runtime",
        ],
    ),
    ("cli", &["session", "sql", "options", "stream"]),
];

/// What every folder may import.
const EVERYWHERE: &[&str] = &["error", "failpoint"];

/// Libraries that only some folders may name, because their majors break or because they touch the world.
const NAMED_ONLY_IN: &[(&str, &[&str])] = &[
    ("datafusion::", &["expressions", "catalog", "plan", "batch"]),
    ("parquet::", &["state", "formats"]),
    ("sqlparser::", &["sql", "plan", "catalog"]),
    ("std::fs", &["storage", "cli"]),
    ("new_multi_thread", &["cli"]),
    ("global_allocator", &["main.rs"]),
];

/// What a folder must not name: the absences that docs/ARCHITECTURE.md promises.
const ABSENT: &[(&str, &[&str])] = &[
    ("operators", &["async ", ".await", "tokio::", "std::io", "Clock", "Barrier"]),
    ("connectors", &["Barrier", "Manifest", "Coordinator"]),
    ("checkpoint", &["async ", ".await", "tokio::", "std::io", "Clock", "dyn Store"]),
    ("plan", &["dyn Store", "World", "std::io", ".await"]),
];

/// Files that are longer than [`MAXIMUM_LINES`], with their length. May only shrink.
const LONG_FILES: &[(&str, usize)] = &[];
const MAXIMUM_LINES: usize = 700;

/// What may wait for time: a benchmark that looks at files now and then, this test, which needs the word, and one that kills a
/// real process at a time.
const MAY_WAIT: &[&str] = &["benches/state.rs", "tests/it/tidy.rs", "tests/it/kill.rs"];

#[test]
fn folders_import_only_from_below() {
    let mut faults = Vec::new();
    for source in sources("src") {
        let Some(layer) = source.layer() else { continue };
        let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == layer) else {
            faults.push(format!("{}: the folder `{layer}` is not in the table of layers", source.path));
            continue;
        };
        for (line, import) in source.imports() {
            let is_layer = LAYERS.iter().any(|(name, _)| *name == import);
            if is_layer && import != layer && !allowed.contains(&&*import) && !EVERYWHERE.contains(&&*import) {
                faults.push(format!("{}:{line}: `{layer}` may not import `{import}`", source.path));
            }
        }
    }
    assert_none(&faults);
}

#[test]
fn each_layer_names_only_lower_ones() {
    for (rank, (name, allowed)) in LAYERS.iter().enumerate() {
        for other in *allowed {
            let below = LAYERS.iter().position(|(layer, _)| layer == other);
            assert!(below.is_some_and(|below| below < rank), "`{name}` lists `{other}`, which is not below it");
        }
    }
}

#[test]
fn libraries_are_named_only_where_they_belong() {
    let mut faults = Vec::new();
    for source in sources("src") {
        let place = source.layer().unwrap_or_else(|| source.file_name());
        for (word, folders) in NAMED_ONLY_IN {
            if !folders.contains(&&*place) {
                source.find(word, &mut faults);
            }
        }
    }
    assert_none(&faults);
}

#[test]
fn what_a_folder_never_does_is_absent() {
    let mut faults = Vec::new();
    for source in sources("src") {
        for (folder, words) in ABSENT {
            if source.layer().as_deref() == Some(folder) {
                words.iter().for_each(|word| source.find(word, &mut faults));
            }
        }
    }
    assert_none(&faults);
}

#[test]
fn every_file_says_what_it_is_and_is_not_too_long() {
    let mut faults = Vec::new();
    for source in all_sources() {
        if !source.text.starts_with("//! ") {
            faults.push(format!("{}: begins without `//!`", source.path));
        }
        let lines = source.text.lines().count();
        let limit = LONG_FILES.iter().find(|(path, _)| *path == source.path).map_or(MAXIMUM_LINES, |(_, lines)| *lines);
        if lines > limit {
            faults.push(format!("{}: {lines} lines, more than {limit}", source.path));
        }
    }
    for (path, _) in LONG_FILES {
        let lines = fs::read_to_string(root().join(path)).map_or(0, |text| text.lines().count());
        if lines <= MAXIMUM_LINES {
            faults.push(format!("{path}: no longer too long; take it off the list"));
        }
    }
    assert_none(&faults);
}

#[test]
fn nothing_is_left_undone_or_waits_for_time() {
    // Put together so that this file does not hold them.
    let undone = ["todo", "unimplemented", "dbg"].map(|name| format!("{name}!("));
    let ignored = format!("#[{}", "ignore");
    let mut faults = Vec::new();
    for source in all_sources() {
        for (number, line) in source.text.lines().enumerate() {
            let code = line.trim_start();
            if code.starts_with("//") {
                continue;
            }
            let is_test = source.path.starts_with("tests/") || number >= source.product_lines();
            let sleeps = line.contains(&format!("thread::{}(", "sleep")) || (is_test && line.contains("sleep("));
            if undone.iter().any(|word| line.contains(word)) || code.starts_with(&ignored) {
                faults.push(format!("{}:{}: {}", source.path, number + 1, line.trim()));
            } else if sleeps && !MAY_WAIT.contains(&source.path.as_str()) {
                faults.push(format!("{}:{}: waits for time, not for an event", source.path, number + 1));
            }
        }
    }
    assert_none(&faults);
}

#[test]
fn no_file_names_a_machine_or_a_registry() {
    let homes = ["home", "mnt", "opt", "root", "Users", "work"].map(|folder| format!("/{folder}/"));
    let hosts =
        ["index.crates", "static.crates", "pypi", "pythonhosted", "registry.npmjs"].map(|host| format!("{host}."));
    let mut faults = Vec::new();
    for path in files(&root()) {
        let name = relative(&path);
        let Ok(text) = fs::read_to_string(&path) else { continue };
        for (number, line) in text.lines().enumerate() {
            let at = || format!("{name}:{}", number + 1);
            if name == "Cargo.lock" {
                let source = line.strip_prefix("source = ");
                if source.is_some_and(|source| source != "\"registry+https://github.com/rust-lang/crates.io-index\"") {
                    faults.push(format!("{}: comes from an unusual place", at()));
                }
            } else if homes.iter().any(|home| names_folder(line, home)) || hosts.iter().any(|host| line.contains(host))
            {
                faults.push(format!("{}: {}", at(), line.trim()));
            }
        }
    }
    assert_none(&faults);
}

/// The last column of all tables of these sections of a page names tests that exist; returns how many rows there are.
fn check_guards(page: &str, sections: &[&str]) -> usize {
    let text = fs::read_to_string(root().join(page)).unwrap_or_else(|_| panic!("{page} is there"));
    let tests: String = all_sources().iter().map(|source| source.text.as_str()).collect();
    let (mut rows, mut faults) = (0, Vec::new());
    for section in sections {
        let body = text.split_once(section).unwrap_or_else(|| panic!("{section} is missing")).1;
        let body = body.split("\n## ").next().unwrap_or(body);
        for row in body.lines().filter(|line| line.starts_with("| ")).skip(1) {
            let guard = row.trim_end_matches(['|', ' ']).rsplit('|').next().unwrap_or("");
            let names: Vec<&str> = guard.split('`').skip(1).step_by(2).collect();
            rows += 1;
            if names.is_empty() {
                faults.push(format!("no test guards: {row}"));
            }
            for name in names {
                let function = name.rsplit("::").next().unwrap_or(name);
                if !tests.contains(&format!("fn {function}(")) {
                    faults.push(format!("there is no test `{name}`"));
                }
            }
        }
    }
    assert_none(&faults);
    rows
}

#[test]
fn every_invariant_names_a_test_that_exists() {
    let rows = check_guards("docs/ARCHITECTURE.md", &["## Invariants", "## Absences"]);
    assert!(rows > 5, "the tables of invariants and absences are there");
}

#[test]
fn every_planted_bug_names_a_test_that_exists() {
    let text = fs::read_to_string(root().join("docs/planted-bugs.md")).expect("docs/planted-bugs.md is there");
    let is_guarded = |line: &&str| line.starts_with("## ") && *line != "## Not caught";
    let sections: Vec<&str> = text.lines().filter(is_guarded).collect();
    assert!(check_guards("docs/planted-bugs.md", &sections) > 50, "the tables are there");
}

#[test]
fn links_between_pages_lead_somewhere() {
    let mut faults = Vec::new();
    for path in files(&root()).into_iter().filter(|path| path.extension().is_some_and(|ending| ending == "md")) {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap_or("");
            if target.is_empty() || target.contains("://") {
                continue;
            }
            if !path.parent().is_some_and(|folder| folder.join(target).exists()) {
                faults.push(format!("{}: there is no {target}", relative(&path)));
            }
        }
    }
    assert_none(&faults);
}

#[test]
fn every_honoured_setting_of_a_session_is_read() {
    let read = |name: &str| fs::read_to_string(root().join("src/session").join(name)).expect("it is there");
    let of_subjects = read("restart_settings.rs") + &read("checkpoint_settings.rs");
    let list = read("setting_list.rs") + &of_subjects;
    let settings = read("settings.rs") + &of_subjects;
    let of_tables = list.split_once("OF_TABLES").map_or("", |(_, rest)| rest.split("];").next().unwrap_or(""));
    let mut names = 0;
    for line in list.lines().filter_map(|line| line.strip_prefix("pub static ")) {
        let Some((name, _)) = line.split_once(": OptionSpec") else { continue };
        names += 1;
        let is_read = [format!("list::{name}"), format!("&{name})"), format!("&{name},")]
            .iter()
            .any(|read| settings.contains(read));
        assert!(is_read || of_tables.contains(&format!("&{name}")), "nothing reads {name}");
    }
    assert!(names > 20, "the list is found");
}

// ------------------------------------------------------------------------------------------------ reading

/// A Rust file.
struct Source {
    /// From the top of the project, with `/`.
    path: String,
    text: String,
}

impl Source {
    /// The folder or single file below `src` that it belongs to; none for `lib.rs` and `main.rs`.
    fn layer(&self) -> Option<String> {
        let below = self.path.strip_prefix("src/")?;
        let name = below.split('/').next()?.trim_end_matches(".rs");
        (!matches!(name, "lib" | "main")).then(|| name.to_owned())
    }

    fn file_name(&self) -> String {
        self.path.rsplit('/').next().unwrap_or("").to_owned()
    }

    /// How many modules deep it stands, so that as many `super` lead out to the crate.
    fn depth(&self) -> usize {
        let parts = self.path.split('/').count() - 1;
        if self.path.ends_with("/mod.rs") { parts - 1 } else { parts }
    }

    /// How many of its lines are no tests.
    fn product_lines(&self) -> usize {
        if self.path.ends_with("/tests.rs") {
            return 0;
        }
        let lines: Vec<&str> = self.text.lines().collect();
        let is_tests = |pair: &[&str]| {
            pair[0].trim() == "#[cfg(test)]" && (pair[1].starts_with("mod ") || pair[1].starts_with("pub mod "))
        };
        lines.windows(2).position(is_tests).unwrap_or(lines.len())
    }

    /// Lines of code that are no tests and no comments, with their numbers.
    fn product(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().take(self.product_lines()).enumerate();
        lines.map(|(number, line)| (number + 1, line)).filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    fn find(&self, word: &str, faults: &mut Vec<String>) {
        for (line, text) in self.product().filter(|(_, text)| text.contains(word)) {
            faults.push(format!("{}:{line}: names `{}`: {}", self.path, word.trim(), text.trim()));
        }
    }

    /// The top-level modules that the code names, with lines.
    fn imports(&self) -> Vec<(usize, String)> {
        let out = "super::".repeat(self.depth());
        let mut found = Vec::new();
        for (line, text) in self.product() {
            let places = text.match_indices("crate::").chain(text.match_indices(out.as_str()));
            for (place, prefix) in places {
                let before = text[..place].chars().next_back();
                let is_path = !before.is_some_and(|character| character.is_alphanumeric() || "_$".contains(character));
                let rest = &text[place + prefix.len()..];
                let names = match rest.strip_prefix('{') {
                    // Every name at the start of a part; deeper names that share a layer's are checked in vain.
                    Some(group) => group.split(['{', ',']).map(first_name).collect(),
                    None => vec![first_name(rest)],
                };
                if is_path {
                    found.extend(names.into_iter().map(|name| (line, name)));
                }
            }
        }
        found
    }
}

fn first_name(text: &str) -> String {
    text.trim_start().chars().take_while(|character| character.is_alphanumeric() || *character == '_').collect()
}

/// Whether `line` names a folder at the top of a file system, such as the one of homes: not as a part of a longer path.
fn names_folder(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(place, _)| {
        let before = line[..place].chars().next_back();
        !before.is_some_and(|character| character.is_alphanumeric() || "._-*/]})".contains(character))
    })
}

fn sources(folder: &str) -> Vec<Source> {
    files(&root().join(folder))
        .into_iter()
        .filter(|path| path.extension().is_some_and(|ending| ending == "rs"))
        .map(|path| Source { path: relative(&path), text: fs::read_to_string(&path).expect("sources are UTF-8") })
        .collect()
}

fn all_sources() -> Vec<Source> {
    ["src", "tests", "benches"].into_iter().flat_map(sources).collect()
}

/// All files below `folder` in order, but for what is built, hidden or data.
fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut sorted = BTreeMap::new();
    for entry in entries.flatten() {
        sorted.insert(entry.file_name(), entry.path());
    }
    let mut found = Vec::new();
    for (name, path) in sorted {
        if name == "target" || name == ".git" || name == ".beadline" {
            continue;
        }
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn relative(path: &Path) -> String {
    let below = path.strip_prefix(root()).unwrap_or(path);
    below.to_string_lossy().replace('\\', "/")
}

fn assert_none(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}
