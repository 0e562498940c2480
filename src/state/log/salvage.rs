//! A damaged log under a start that begins anew: what can still be told of it, and how it goes away.
//!
//! Nothing is gone on from here, so that no entry has to be believed. But the new claim must stand behind all that an
//! older process may still write, and what earlier starts made public can only be found by the names of their
//! lineages, which are looked for in the text of entries that cannot be read as such.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::JobLog;
use super::ScriptId;
use super::job_log::{entry_number, read_entry};
use crate::error::{Error, Result};
use crate::storage::LocalStore;
use crate::stream::Generation;

/// What is left of a damaged log.
#[derive(Debug)]
pub struct DamagedLog {
    /// What is wrong with it.
    pub damage: Error,
    /// The lineages that it still names.
    pub lineages: Vec<String>,
    /// The script of the last claim that can be read.
    pub script: Option<ScriptId>,
    files: Vec<PathBuf>,
}

impl JobLog {
    /// Locks and reads the log like [`open`](Self::open), for a start that begins anew: a damaged one does not stop it.
    pub fn open_anew(store: Arc<dyn LocalStore>, directory: &Path, job: &str) -> Result<(Self, Option<DamagedLog>)> {
        let mut log = Self::locked(store, directory, job)?;
        match log.read_all() {
            Ok(()) => Ok((log, None)),
            Err(damage) if damage.id() == Some("BL-STATE-CORRUPT") => {
                let damaged = log.salvage(damage)?;
                Ok((log, Some(damaged)))
            }
            Err(error) => Err(error),
        }
    }

    /// Removes what is left of a damaged log; to be called behind a claim, and once what it tells is not needed
    /// any more. A start that dies before it has come to the end of this finds a damaged log once more.
    pub fn clear_away(&mut self, damaged: &DamagedLog) -> Result<()> {
        for file in &damaged.files {
            self.store.remove(file)?;
        }
        Ok(())
    }

    fn salvage(&mut self, damage: Error) -> Result<DamagedLog> {
        self.entries.clear();
        let (mut lineages, mut files) = (Vec::<String>::new(), Vec::new());
        let (mut number, mut generation, mut script) = (0, 0, None);
        for file in self.store.list(&self.directory.join("log"))? {
            let name = file.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let found = entry_number(name, ".json").or_else(|| entry_number(name, ".latest"));
            let Some(found) = found else { continue };
            number = number.max(found);
            if name.ends_with(".json") {
                let bytes = self.store.read_all(&file.path)?;
                if let Some(claim) = read_entry(&bytes).ok().as_ref().and_then(|stored| stored.entry.claim()) {
                    script = claim.script.clone();
                }
                let text = String::from_utf8_lossy(&bytes);
                for lineage in values(&text, "\"lineage\": \"", |digit| digit.is_ascii_hexdigit()) {
                    if lineage.len() == 32 && !lineages.iter().any(|known| known == lineage) {
                        lineages.push(lineage.to_owned());
                    }
                }
                for digits in values(&text, "\"generation\": ", |digit| digit.is_ascii_digit()) {
                    generation = generation.max(digits.parse().unwrap_or(0));
                }
                // Its own generation may be what cannot be read.
                generation += 1;
            }
            files.push(file.path);
        }
        self.floor = (number, Generation(generation).max(self.newest_of_files()?));
        Ok(DamagedLog { damage, lineages, script, files })
    }
}

/// What stands behind each `start`, as far as its characters belong to it.
fn values<'t>(text: &'t str, start: &'static str, belongs: fn(&char) -> bool) -> impl Iterator<Item = &'t str> {
    text.match_indices(start).map(move |(at, start)| {
        let rest = &text[at + start.len()..];
        &rest[..rest.chars().take_while(belongs).map(char::len_utf8).sum()]
    })
}
