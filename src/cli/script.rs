//! Reads the SQL that is run: files, commands, stdin. Where stdin is not SQL, it is data.

use std::io::{ErrorKind, IsTerminal, Read};
use std::path::{Path, PathBuf};

use super::arguments::Input;
use super::standard_input::StandardInput;
use super::{not_sql, subcommand};
use crate::error::{Error, Result};
use crate::session::Pipe;

/// SQL and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptText {
    /// For messages.
    pub name: String,
    /// The file, if it is one: it names jobs.
    pub path: Option<PathBuf>,
    /// The SQL.
    pub text: String,
}

/// All scripts in order; `None` if the only one would be typed into a terminal.
pub fn read(inputs: &[Input]) -> Result<Option<Vec<ScriptText>>> {
    if inputs == [Input::Stdin] && std::io::stdin().is_terminal() {
        return Ok(None);
    }
    inputs.iter().map(read_one).collect::<Result<_>>().map(Some)
}

/// What the table `stdin` reads: the standard input, unless that is SQL. Nothing is read until somebody asks.
pub fn data(inputs: &[Input]) -> Pipe {
    if inputs.contains(&Input::Stdin) {
        return Pipe::refused(
            Error::query("SQL is read from stdin here, so stdin cannot be the table `stdin` as well")
                .with_help("put the SQL into a file, or on the command line behind -c"),
        );
    }
    Pipe::new(StandardInput::default())
}

fn read_one(input: &Input) -> Result<ScriptText> {
    match input {
        Input::Command(sql) => Ok(ScriptText { name: "command line".to_owned(), path: None, text: sql.clone() }),
        Input::Stdin => {
            let mut bytes = Vec::new();
            std::io::stdin().read_to_end(&mut bytes).map_err(|error| Error::io("read SQL from stdin", &error))?;
            not_sql::error(None, &bytes).map_or(Ok(()), Err)?;
            Ok(ScriptText { name: "stdin".to_owned(), path: None, text: text("stdin", bytes)? })
        }
        Input::File(path) => read_file(path),
    }
}

/// The script in a file.
pub fn read_file(path: &Path) -> Result<ScriptText> {
    let name = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|error| no_file(path, &error))?;
    not_sql::error(Some(path), &bytes).map_or(Ok(()), Err)?;
    // A pipe, as `<(…)` makes one, has a number for a name and is another each time.
    let is_file = std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file());
    Ok(ScriptText { text: text(&name, bytes)?, name, path: is_file.then(|| path.to_owned()) })
}

/// SQL is UTF-8; a byte order mark before it is none of it.
fn text(name: &str, bytes: Vec<u8>) -> Result<String> {
    let mut text = String::from_utf8(bytes).map_err(|error| {
        let line = error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
        Error::query(format!("{name} is not UTF-8: line {} holds other bytes", line + 1))
    })?;
    if text.starts_with('\u{feff}') {
        text.drain(..'\u{feff}'.len_utf8());
    }
    Ok(text)
}

fn no_file(path: &Path, error: &std::io::Error) -> Error {
    let failure = Error::io(format_args!("read {}", path.display()), error);
    let text = path.to_string_lossy();
    match error.kind() {
        ErrorKind::NotFound if text.contains(char::is_whitespace) => {
            failure.with_help("to run SQL itself, put -c before it")
        }
        // What has no dot and no slash may have been meant as a command.
        ErrorKind::NotFound if !text.contains(['.', '/']) => failure.with_help(format!(
            "a first word is a file of SQL or one of the commands {}; SQL itself stands behind -c",
            subcommand::names().join(", ")
        )),
        ErrorKind::IsADirectory => failure.with_help("name the files of SQL in it"),
        _ => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_utf8_without_a_mark() {
        assert_eq!(text("f", b"\xef\xbb\xbfSELECT 1".to_vec()).unwrap(), "SELECT 1");
        let error = text("f.sql", b"SELECT\n'\xff'".to_vec()).unwrap_err();
        assert!(error.message().contains("f.sql is not UTF-8: line 2"), "{error}");
    }

    #[test]
    fn sql_in_place_of_a_file_gets_a_hint() {
        let error = read(&[Input::File("SELECT 1 FROM nowhere".into())]).unwrap_err();
        assert!(error.to_string().contains("-c"), "{error}");
    }

    #[test]
    fn commands_have_no_path_and_so_no_name() {
        let scripts = read(&[Input::Command("SELECT 1".to_owned())]).unwrap().unwrap();
        assert_eq!((scripts[0].path.as_ref(), scripts[0].text.as_str()), (None, "SELECT 1"));
    }
}
