//! Which script a job is from, as its claim says it: another script whose file has the same name is another one.

use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

/// A file of SQL, known by two paths. Either may change without the script being another: a link in the path may lead
/// elsewhere by now, or script and checkpoints were moved together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScriptId {
    /// Where the file is: absolute, links followed.
    pub file: String,
    /// The path as it was given, links and all, seen from the directory of checkpoints.
    pub from_checkpoints: String,
}

impl ScriptId {
    /// `file` is where the script is, `given` its path as given; `given` and `checkpoints` are absolute.
    pub fn new(file: &Path, given: &Path, checkpoints: &Path) -> Self {
        let from_checkpoints = seen_from(checkpoints, given).to_string_lossy().into_owned();
        Self { file: file.to_string_lossy().into_owned(), from_checkpoints }
    }

    /// Whether both mean one script.
    pub fn is(&self, other: &Self) -> bool {
        self.file == other.file || self.from_checkpoints == other.from_checkpoints
    }
}

/// `path` with as many `..` before it as lead out of `directory` to where both are below.
fn seen_from(directory: &Path, path: &Path) -> PathBuf {
    let (directory, path) = (without_dots(directory), without_dots(path));
    let shared = directory.components().zip(path.components()).take_while(|(a, b)| a == b).count();
    let up = directory.components().skip(shared).map(|_| Component::ParentDir);
    up.chain(path.components().skip(shared)).collect()
}

/// A path whose `.` and `..` are taken at their word.
fn without_dots(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut path, component| {
        match component {
            Component::CurDir => {}
            Component::ParentDir => drop(path.pop()),
            other => path.push(other),
        }
        path
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(file: &str, given: &str, checkpoints: &str) -> ScriptId {
        ScriptId::new(Path::new(file), Path::new(given), Path::new(checkpoints))
    }

    #[test]
    fn a_script_is_known_by_either_path() {
        let script = id("/p/q/x.sql", "/p/q/x.sql", "/p/.beadline/checkpoints");
        assert_eq!(script.from_checkpoints, "../../q/x.sql");
        assert!(script.is(&id("/p/q/x.sql", "/p/q/../q/./x.sql", "/p/.beadline/checkpoints")));
        assert!(script.is(&id("/p/q/x.sql", "/links/y.sql", "/p/.beadline/checkpoints")), "a link to the same file");
        assert!(script.is(&id("/r/q/x.sql", "/r/q/x.sql", "/r/.beadline/checkpoints")), "moved, with its checkpoints");
        assert!(!script.is(&id("/p/r/x.sql", "/p/r/x.sql", "/p/.beadline/checkpoints")));
        let current = |release: &str| id(release, "/srv/current/x.sql", "/var/checkpoints");
        assert!(current("/srv/1/x.sql").is(&current("/srv/2/x.sql")), "a link that leads to another release by now");
    }

    #[test]
    fn two_checkouts_that_share_their_checkpoints_have_two_scripts() {
        let script = |checkout: &str| {
            let path = format!("/{checkout}/x.sql");
            id(&path, &path, "/var/checkpoints")
        };
        assert!(!script("a").is(&script("b")));
    }
}
