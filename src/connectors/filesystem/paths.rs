//! Which files a path names: one file, all below a directory, or whatever a pattern matches, component by component.
//!
//! Only directories that the pattern leads through are looked at, and only what it matches there has to be readable.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::storage::{FileInfo, FileKind, Store};

/// The files that `path` names, by name; an error if there is none, or anything among them that is no file.
pub(super) fn find_files(store: &dyn Store, path: &Path) -> Result<Vec<FileInfo>> {
    let mut search = Search { store, files: BTreeMap::new() };
    match store.info(path)? {
        Some(info) => search.take(info)?,
        None => search.pattern(path)?,
    }
    Ok(search.files.into_values().collect())
}

struct Search<'a> {
    store: &'a dyn Store,
    files: BTreeMap<PathBuf, FileInfo>,
}

/// Directories that have been walked through. Links may lead to one of them again, even from within.
type Visited = BTreeSet<(u64, u64)>;

/// One component of a pattern.
enum Part {
    /// A name as it stands.
    Plain(String),
    /// A name with `*`, `?` or `[…]`.
    Names { pattern: glob::Pattern, takes_hidden: bool },
    /// `**`: any number of directories, none included.
    AnyDepth,
}

impl Search<'_> {
    /// Takes what has been named: a file, or a directory with all below it.
    fn take(&mut self, info: FileInfo) -> Result<()> {
        self.take_below(info, &mut Visited::new())
    }

    fn take_below(&mut self, info: FileInfo, visited: &mut Visited) -> Result<()> {
        match info.kind {
            FileKind::File => drop(self.files.insert(info.path.clone(), info)),
            FileKind::Directory => {
                if visited.insert(info.identity) {
                    for entry in self.store.list(&info.path)?.into_iter().filter(|entry| !is_hidden(&entry.path)) {
                        self.take_below(entry, visited)?;
                    }
                }
            }
            FileKind::Other | FileKind::Unreachable => return Err(no_file(&info)),
        }
        Ok(())
    }

    fn pattern(&mut self, path: &Path) -> Result<()> {
        let text = path.to_str().filter(|text| is_pattern(text)).ok_or_else(|| absent(path))?;
        let (mut base, mut parts) = (PathBuf::new(), Vec::new());
        for component in path.components() {
            let name = component.as_os_str().to_string_lossy();
            match part(&name).map_err(|error| unreadable_pattern(text, &error))? {
                Part::Plain(_) if parts.is_empty() => base.push(component),
                part => parts.push(part),
            }
        }
        // Where it begins there may be nothing, which is no match.
        let base_info =
            if base.as_os_str().is_empty() { self.store.info(Path::new("."))? } else { self.store.info(&base)? };
        if let Some(info) = base_info {
            self.matches(FileInfo { path: base, ..info }, &parts)?;
        }
        if self.files.is_empty() {
            return Err(Error::world(format!("no file matches the pattern '{text}'")));
        }
        Ok(())
    }

    /// Takes everything at `at` and below that the rest of a pattern matches.
    fn matches(&mut self, at: FileInfo, rest: &[Part]) -> Result<()> {
        let Some((part, rest)) = rest.split_first() else { return self.take(at) };
        match at.kind {
            FileKind::Directory => {}
            // Nothing is below it.
            FileKind::File | FileKind::Other => return Ok(()),
            FileKind::Unreachable => return Err(no_file(&at)),
        }
        match part {
            Part::Plain(name) => match self.store.info(&at.path.join(name))? {
                Some(info) => self.matches(info, rest),
                None => Ok(()),
            },
            Part::Names { pattern, takes_hidden } => {
                for entry in self.store.list(&at.path)? {
                    let name = entry.path.file_name().unwrap_or_default().to_string_lossy();
                    if pattern.matches(&name) && (*takes_hidden || !is_hidden(&entry.path)) {
                        self.matches(entry, rest)?;
                    }
                }
                Ok(())
            }
            Part::AnyDepth => self.at_any_depth(at, rest, &mut Visited::new()),
        }
    }

    fn at_any_depth(&mut self, at: FileInfo, rest: &[Part], visited: &mut Visited) -> Result<()> {
        if !visited.insert(at.identity) {
            return Ok(());
        }
        if rest.is_empty() {
            return self.take(at);
        }
        let entries = self.store.list(&at.path)?;
        self.matches(at, rest)?;
        for entry in entries.into_iter().filter(|entry| entry.is_directory() && !is_hidden(&entry.path)) {
            self.at_any_depth(entry, rest, visited)?;
        }
        Ok(())
    }
}

fn part(name: &str) -> std::result::Result<Part, glob::PatternError> {
    Ok(match name {
        "**" => Part::AnyDepth,
        _ if is_pattern(name) => {
            Part::Names { pattern: glob::Pattern::new(name)?, takes_hidden: name.starts_with(['.', '_']) }
        }
        _ => Part::Plain(name.to_owned()),
    })
}

fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// As in Flink, names that begin with `.` or `_` are left out where they are not asked for.
fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| matches!(name.as_encoded_bytes().first(), Some(b'.' | b'_')))
}

fn absent(path: &Path) -> Error {
    let error = Error::world(format!("there is no file or directory '{}'", path.display()));
    match path.is_relative() {
        true => error.with_help("a relative path begins at the working directory"),
        false => error,
    }
}

fn unreadable_pattern(text: &str, error: &glob::PatternError) -> Error {
    Error::query(format!("the pattern in 'path' = '{text}' cannot be read: {error}"))
}

/// The error about something that is named and is neither a file nor a directory.
pub(super) fn no_file(info: &FileInfo) -> Error {
    let name = info.path.display();
    match info.kind {
        FileKind::Unreachable => {
            Error::world(format!("'{name}' is a link that leads nowhere, or to where it cannot be followed"))
                .with_help("remove the link, or leave it out by a pattern in 'path'")
        }
        _ => not_regular(&info.path),
    }
}

/// The error about what can be read only once, or has no length that says how much there is.
pub(super) fn not_regular(path: &Path) -> Error {
    Error::query(format!("'{}' is no regular file, and 'filesystem' reads nothing else", path.display()))
        .with_help("read a pipe or a device through the table `stdin`: … | beadline …, or beadline … < file")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::storage::LocalFiles;

    /// A directory on the real disk, since links are what matters here.
    struct Place(tempfile::TempDir);

    impl Place {
        fn new(files: &[&str]) -> Self {
            let place = Self(tempfile::tempdir().unwrap());
            for file in files {
                LocalFiles.put_if_absent(&place.path(file), b"1\n").unwrap();
            }
            place
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn link(&self, to: &str, name: &str) {
            symlink(to, self.path(name)).unwrap();
        }

        /// The files that are found, as they are named from here.
        fn find(&self, path: &str) -> Vec<String> {
            let found = find_files(&LocalFiles, &self.path(path)).unwrap();
            let name = |file: &FileInfo| file.path.strip_prefix(self.0.path()).unwrap().to_str().unwrap().to_owned();
            found.iter().map(name).collect()
        }

        fn error(&self, path: &str) -> String {
            find_files(&LocalFiles, &self.path(path)).unwrap_err().to_string()
        }
    }

    #[test]
    fn a_link_to_where_it_stands_is_walked_once() {
        let place = Place::new(&["g/a.csv", "g/sub/b.csv", "g/sub/deep/c.csv"]);
        place.link(".", "g/self");
        place.link("..", "g/sub/up");
        place.link("itself", "itself");
        assert_eq!(place.find("g/*.csv"), ["g/a.csv"]);
        assert_eq!(place.find("g"), ["g/a.csv", "g/sub/b.csv", "g/sub/deep/c.csv"]);
        assert_eq!(place.find("g/**/*.csv"), ["g/a.csv", "g/sub/b.csv", "g/sub/deep/c.csv"]);
        assert_eq!(place.find("**/deep"), ["g/sub/deep/c.csv"]);
        assert_eq!(place.find("g/**"), ["g/a.csv", "g/sub/b.csv", "g/sub/deep/c.csv"]);
        assert_eq!(place.find("g/**/sub/**/c.csv"), ["g/sub/deep/c.csv"]);
        // By a name that the pattern spells out, a link is followed wherever it leads.
        assert_eq!(place.find("g/self/self/*.csv"), ["g/self/self/a.csv"]);
        assert!(place.error("itself").contains("leads nowhere"));
    }

    #[test]
    fn a_dangling_link_is_named_where_it_is_asked_for_and_not_touched_elsewhere() {
        let place = Place::new(&["in/a.csv", "in/b/c.csv"]);
        place.link("nowhere", "in/z.csv");
        place.link("nowhere", "broken");
        for path in ["in", "in/*.csv", "in/z.csv", "in/z*", "*/a.csv", "in/*/c.csv"] {
            let error = place.error(path);
            assert!(
                error.contains("leads nowhere") && (error.contains("z.csv") || error.contains("broken")),
                "{error}"
            );
        }
        assert_eq!(place.find("in/a*"), ["in/a.csv"]);
        assert_eq!(place.find("in/b*/c.csv"), ["in/b/c.csv"]);
        assert_eq!(place.find("i[n]/b"), ["in/b/c.csv"]);
    }

    #[test]
    fn names_that_are_hidden_are_left_out_unless_the_pattern_begins_like_them() {
        let place = Place::new(&["in/a", "in/_b", "in/.c", "in/_d/e", "in/[x]"]);
        assert_eq!(place.find("in/*"), ["in/[x]", "in/a"]);
        assert_eq!(place.find("in/_*"), ["in/_b", "in/_d/e"]);
        assert_eq!(place.find("in/_d/*"), ["in/_d/e"]);
        assert_eq!(place.find("in/.*"), ["in/.c"]);
        assert!(place.error("in/[_]b").contains("no file matches"));
    }

    #[test]
    fn pipes_and_sockets_are_refused_by_name() {
        let place = Place::new(&["in/a.csv"]);
        rustix::fs::mkfifoat(rustix::fs::CWD, place.path("in/pipe.csv"), rustix::fs::Mode::RUSR).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(place.path("in/socket")).unwrap();
        for (path, name) in
            [("in/pipe.csv", "pipe.csv"), ("in/*.csv", "pipe.csv"), ("in", "pipe.csv"), ("in/so*", "socket")]
        {
            let error = place.error(path);
            assert!(error.contains(&format!("in/{name}' is no regular file")) && error.contains("`stdin`"), "{error}");
        }
        assert_eq!(place.find("in/a*"), ["in/a.csv"]);
    }
}
