//! What the prompt does outside: the state of the terminal, an editor, a file for rows.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::process::Command;

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::error::{Error, Result};

/// How the terminal was before a line was edited on it.
pub struct TerminalState(Option<Termios>);

impl TerminalState {
    /// Of the process's standard input; nothing if that is no terminal.
    pub fn save() -> Self {
        Self(tcgetattr(std::io::stdin()).ok())
    }

    /// Makes the terminal what it was.
    pub fn restore(&self) {
        if let Some(state) = &self.0 {
            // A terminal that is gone needs no state.
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, state);
        }
    }
}

/// A new file for rows; one that exists is written over, as a shell's `>` does.
pub fn create(path: &str) -> Result<impl Write + Send + use<>> {
    File::create(path).map(BufWriter::new).map_err(|error| Error::io(format_args!("write {path}"), &error))
}

/// Opens the user's editor on a file, or on `text` where none is named, and returns what stands there in the end.
pub async fn edit(path: &str, text: &str) -> Result<String> {
    let editor = ["VISUAL", "EDITOR"].iter().find_map(|name| std::env::var(name).ok().filter(|it| !it.is_empty()));
    let editor = editor.unwrap_or_else(|| "vi".to_owned());
    let is_temporary = path.is_empty();
    let file = if is_temporary {
        let file = std::env::temp_dir().join(format!("beadline-{}.sql", std::process::id()));
        let mut options = std::fs::OpenOptions::new();
        // One of that name is a leftover, or somebody else's trap.
        let _ = std::fs::remove_file(&file);
        std::os::unix::fs::OpenOptionsExt::mode(options.write(true).create_new(true), 0o600)
            .open(&file)
            .and_then(|mut opened| opened.write_all(text.as_bytes()))
            .map_err(|error| Error::io(format_args!("write {}", file.display()), &error))?;
        file
    } else {
        PathBuf::from(path)
    };
    let shown = file.clone();
    // As a shell would read it: `code --wait`.
    let ran = tokio::task::spawn_blocking(move || {
        Command::new("sh").args(["-c", &format!("{editor} \"$1\""), "sh"]).arg(&shown).status()
    });
    let status = ran
        .await
        .map_err(|error| Error::bug(format!("the editor's thread failed: {error}")))?
        .map_err(|error| Error::io("start the editor", &error))?;
    let edited = std::fs::read_to_string(&file);
    if is_temporary {
        let _ = std::fs::remove_file(&file);
    }
    if !status.success() {
        return Err(Error::world(format!("the editor ended with {status}")));
    }
    edited
        .map(|text| text.trim_end().to_owned())
        .map_err(|error| Error::io(format_args!("read {}", file.display()), &error))
}
