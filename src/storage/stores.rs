//! Which store a location means: files of this computer, or those of a store that a scheme names.
//!
//! ```text
//!   out/rows, file:///out/rows     the files of this computer: all that a file system has
//!   s3://bucket/rows               the store of the scheme `s3`: what every store has
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{LocalStore, Store};
use crate::error::{Error, Result};

/// The stores that a process has.
#[derive(Debug, Clone)]
pub struct Stores {
    local: Arc<dyn LocalStore>,
    by_scheme: BTreeMap<String, Arc<dyn Store>>,
}

impl Stores {
    /// The files of this computer and nothing else.
    pub fn new(local: Arc<dyn LocalStore>) -> Self {
        Self { local, by_scheme: BTreeMap::new() }
    }

    /// The same with a store for locations that begin with `scheme://`.
    pub fn with_scheme(mut self, scheme: &str, store: Arc<dyn Store>) -> Self {
        self.by_scheme.insert(scheme.to_owned(), store);
        self
    }

    /// The files of this computer.
    pub fn local(&self) -> &Arc<dyn LocalStore> {
        &self.local
    }

    /// The store of a location, and the path in it.
    pub fn at(&self, location: impl AsRef<Path>) -> Result<(Arc<dyn Store>, PathBuf)> {
        match Location::of(location.as_ref())? {
            Location::Local(path) => Ok((Arc::<dyn LocalStore>::clone(&self.local), path)),
            Location::Scheme(scheme, path) => match self.by_scheme.get(scheme) {
                Some(store) => Ok((Arc::clone(store), path)),
                None => Err(self.unknown(location.as_ref(), scheme)),
            },
        }
    }

    /// The same for `what`, which needs a file system: one that renames and locks.
    pub fn local_at(&self, location: impl AsRef<Path>, what: &str) -> Result<(Arc<dyn LocalStore>, PathBuf)> {
        match Location::of(location.as_ref())? {
            Location::Local(path) => Ok((Arc::clone(&self.local), path)),
            Location::Scheme(scheme, _) if !self.by_scheme.contains_key(scheme) => {
                Err(self.unknown(location.as_ref(), scheme))
            }
            Location::Scheme(scheme, _) => Err(Error::query(format!(
                "'{}': {what} need a file system, which renames and locks; the store of '{scheme}' does neither.",
                location.as_ref().display()
            ))
            .with_help("use a path of this computer")),
        }
    }

    fn unknown(&self, location: &Path, scheme: &str) -> Error {
        let known: Vec<&str> = self.by_scheme.keys().map(String::as_str).collect();
        let known = if known.is_empty() { String::new() } else { format!("; there are {}", known.join(", ")) };
        Error::query(format!("'{}': there is no store for the scheme '{scheme}'{known}.", location.display()))
            .with_help("use a path of this computer")
    }
}

/// A location as it is kept: what is of this computer as a plain path, and all else as it was written.
pub fn plain_location(text: &str) -> Result<PathBuf> {
    Ok(match Location::of(Path::new(text))? {
        Location::Local(path) => path,
        Location::Scheme(..) => text.into(),
    })
}

/// What a location says.
enum Location<'a> {
    Local(PathBuf),
    /// A scheme, and the path behind its `://`.
    Scheme(&'a str, PathBuf),
}

impl<'a> Location<'a> {
    fn of(location: &'a Path) -> Result<Self> {
        // What is no text is the name of a file.
        let Some(text) = location.to_str() else { return Ok(Self::Local(location.to_owned())) };
        if let Some(rest) = text.strip_prefix("file:") {
            // `file:///a` and `file:/a` name the same file; `file://host/a` would be another computer's.
            return match rest.strip_prefix("//") {
                Some(absolute) if absolute.starts_with('/') => Ok(Self::Local(absolute.into())),
                Some(_) => Err(Error::query(format!("'{text}' names a file of another computer."))),
                None => Ok(Self::Local(rest.into())),
            };
        }
        Ok(match text.split_once("://") {
            Some((scheme, path)) => Self::Scheme(scheme, path.into()),
            None => Self::Local(text.into()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::FakeStore;
    use super::*;

    #[test]
    fn a_location_names_its_store() {
        let (local, bucket) = (FakeStore::new(), FakeStore::new());
        bucket.put_if_absent(Path::new("bucket/a"), b"1").unwrap();
        let stores = Stores::new(Arc::new(local.clone())).with_scheme("mem", Arc::new(bucket));
        for (location, path) in [("a/b", "a/b"), ("/a/b", "/a/b"), ("file:///a/b", "/a/b"), ("file:/a/b", "/a/b")] {
            let (store, found) = stores.at(location).unwrap();
            assert_eq!((found.as_path(), store.info(Path::new("bucket/a")).unwrap()), (Path::new(path), None));
            assert_eq!(stores.local_at(location, "rows").unwrap().1, Path::new(path));
        }
        let (store, path) = stores.at("mem://bucket/a").unwrap();
        assert_eq!(&store.read_all(&path).unwrap()[..], b"1");
        let said = |refused: Result<()>| refused.unwrap_err().to_string();
        let error = said(stores.local_at("mem://bucket/a", "checkpoints").map(drop));
        assert!(error.contains("'mem://bucket/a': checkpoints need a file system"), "{error}");
        let error = said(stores.at("s3://bucket/a").map(drop));
        assert!(error.contains("no store for the scheme 's3'; there are mem"), "{error}");
        assert!(said(stores.local_at("s3://bucket/a", "checkpoints").map(drop)).contains("no store for the scheme"));
        assert!(said(stores.at("file://host/a").map(drop)).contains("another computer"));
    }
}
