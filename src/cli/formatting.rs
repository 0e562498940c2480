//! `beadline fmt`: scripts in the one layout that there is, in their place or from stdin to stdout.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::arguments::file;
use super::report::error_text;
use super::screen::Screen;
use super::script::{self, ScriptText};
use super::subcommand::show;
use crate::error::{Error, Result};
use crate::sql::format_script;

/// Scripts to format.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct Files {
    /// A file of SQL, which is formatted in its place; `-`, and no file at all, is from stdin to stdout
    #[arg(value_name = "FILE")]
    paths: Vec<PathBuf>,

    /// Change nothing, print the names of the files that would change, and fail if there are any
    #[arg(long)]
    check: bool,
}

/// Formats all of them; a mistake in one keeps none of the others from it. Whether there was nothing to complain of.
pub fn run(files: &Files, screen: &Screen) -> Result<bool> {
    let stdin = [PathBuf::from("-")];
    let paths = if files.paths.is_empty() { &stdin } else { files.paths.as_slice() };
    let mut is_well = true;
    for path in paths {
        is_well &= format_one(path, files.check, screen)?;
    }
    Ok(is_well)
}

fn format_one(path: &Path, is_check: bool, screen: &Screen) -> Result<bool> {
    let script = match read(path) {
        Ok(script) => script,
        Err(error) => return Ok(complain(&error, None, screen)),
    };
    let formatted = match format_script(&script.text) {
        Ok(formatted) => formatted,
        Err(error) => return Ok(complain(&error, Some(&script), screen)),
    };
    let is_changed = formatted != script.text;
    if is_check {
        return if is_changed {
            show(screen, format!("{}\n", script.name).as_bytes()).map(|_| false)
        } else {
            Ok(true)
        };
    }
    if path.as_os_str() == "-" {
        return show(screen, formatted.as_bytes());
    }
    if is_changed {
        if let Err(error) = replace(path, formatted.as_bytes()) {
            let error = Error::io(format_args!("write {}", script.name), &error);
            return Ok(complain(&error, None, screen));
        }
        screen.note(&format!("{} formatted", script.name));
    }
    Ok(true)
}

fn complain(error: &Error, script: Option<&ScriptText>, screen: &Screen) -> bool {
    let place = script.map(|script| (script.name.as_str(), script.text.as_str()));
    screen.complain(&error_text(error, place, screen.errors_in_colour));
    false
}

fn read(path: &Path) -> Result<ScriptText> {
    let scripts = script::read(&[file(path)])?;
    scripts
        .and_then(|mut scripts| scripts.pop())
        .ok_or_else(|| Error::query("no SQL").with_help("name a file, or give SQL on stdin: beadline fmt < query.sql"))
}

/// Puts the text in place of the file's, all of it or nothing. A link stays one, and the file keeps who may do what with it.
fn replace(path: &Path, text: &[u8]) -> std::io::Result<()> {
    let path = fs::canonicalize(path)?;
    let permissions = fs::metadata(&path)?.permissions();
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".formatted");
    let beside = path.with_file_name(name);
    let written = fs::OpenOptions::new().write(true).create_new(true).open(&beside).and_then(|mut file| {
        file.write_all(text)?;
        file.set_permissions(permissions)?;
        file.sync_all()
    });
    let done = written.and_then(|()| fs::rename(&beside, &path));
    if done.is_err() {
        // The error that is told is the first one.
        let _ = fs::remove_file(&beside);
    }
    done
}
