//! Whether a job that is called after a script is that script's, or that of another whose file has the same name.

use crate::error::{Error, Result};
use crate::state::{LogEntry, ScriptId};

/// The script of whoever claimed the job last; `None` if that was none, as where SQL was given on the command line.
pub fn current_script<'a>(entries: &[&'a LogEntry]) -> Option<&'a ScriptId> {
    entries.iter().rev().find_map(|entry| entry.claim())?.script.as_ref()
}

/// Refuses a job that is `owner`'s to another script, whatever that wants to do with it: beginning anew would remove
/// what the owner has written.
pub fn check_script(job: &str, owner: Option<&ScriptId>, script: &ScriptId) -> Result<()> {
    match owner.filter(|owner| !owner.is(script)) {
        None => Ok(()),
        Some(owner) => Err(Error::query(format!(
            "job '{job}' is that of another script: {}, and this is {}",
            owner.file, script.file
        ))
        .with_id("BL-JOB-OTHER-SCRIPT")
        .with_help("give the job of this script a name of its own: SET 'pipeline.name' = '...'")
        .with_help(format!("if it is the same script in another place: SET 'pipeline.name' = '{job}'"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{Claim, FORMAT_VERSION};
    use crate::stream::{Epoch, Generation};
    use std::path::Path;

    fn script(path: &str) -> ScriptId {
        ScriptId::new(Path::new(path), Path::new(path), Path::new("/checkpoints"))
    }

    fn claim(generation: u64, script: Option<ScriptId>) -> LogEntry {
        LogEntry::Claim(Claim {
            format: FORMAT_VERSION,
            job: "x-a".to_owned(),
            script,
            lineage: "a".repeat(32),
            generation: Generation(generation),
            parallelism: 1,
            sinks: Vec::new(),
        })
    }

    #[test]
    fn the_last_claim_says_whose_the_job_is() {
        let entries = [
            claim(1, Some(script("/a/x.sql"))),
            LogEntry::Confirm { epoch: Epoch(1) },
            claim(2, Some(script("/b/x.sql"))),
            LogEntry::Finished { epoch: Epoch(2) },
            claim(3, None),
        ];
        let owner = |length: usize| current_script(&entries[..length].iter().collect::<Vec<_>>()).cloned();
        assert_eq!(owner(0), None);
        assert_eq!(owner(2), Some(script("/a/x.sql")));
        assert_eq!(owner(4), Some(script("/b/x.sql")));
        assert_eq!(owner(5), None);
    }

    #[test]
    fn another_script_is_told_to_choose_a_name() {
        let (owner, other) = (script("/a/x.sql"), script("/b/x.sql"));
        assert!(check_script("x-a", None, &other).is_ok());
        assert!(check_script("x-a", Some(&owner), &owner).is_ok());
        let error = check_script("x-a", Some(&owner), &other).unwrap_err();
        assert_eq!(error.id(), Some("BL-JOB-OTHER-SCRIPT"));
        assert!(error.message().contains("/a/x.sql") && error.message().contains("/b/x.sql"), "{error}");
        assert!(
            error.helps().iter().all(|help| help.contains("pipeline.name") && !help.contains("--fresh")),
            "{error}"
        );
    }
}
