//! Configuration: what holds where no flag says otherwise. A flag wins over the environment, that over the file, the file
//! over the default; a SET in a script applies from there on.
//!
//! ```toml
//! format = "table"
//! max-rows = 200
//!
//! [set]
//! "parallelism.default" = 4
//! ```

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::CommandFactory;
use clap::parser::ValueSource;
use etcetera::BaseStrategy;

use super::arguments::Arguments;
use crate::error::{Error, Result};
use crate::options::nearest;

/// The variable that names the file; empty for none.
const FILE_VARIABLE: &str = "BEADLINE_CONFIG";
/// The table of the file that holds settings.
const SETTINGS: &str = "set";

/// Flags that may come from the environment or the file: the flag, and whether it takes a value.
const FLAGS: &[(&str, bool)] = &[
    ("format", true),
    ("color", true),
    ("max-rows", true),
    ("progress", true),
    ("log-format", true),
    ("quiet", false),
];

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The name of the variable.
    Environment(String),
    File(PathBuf),
}

/// A flag's value as it is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configured {
    pub key: &'static str,
    pub value: String,
    pub origin: Origin,
}

/// All of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Configuration {
    /// Flags that are set anywhere.
    pub flags: Vec<Configured>,
    /// Settings of the file, in its order.
    pub settings: Vec<(String, String)>,
    /// The file they are from.
    pub file: Option<PathBuf>,
}

/// The user's folders.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Folders {
    /// Of `config.toml` and `init.sql`.
    pub configuration: Option<PathBuf>,
    /// Of the history.
    pub state: Option<PathBuf>,
}

impl Folders {
    /// Those of the process's user, by the XDG rules on every system.
    pub fn of_user() -> Self {
        let Ok(strategy) = etcetera::base_strategy::Xdg::new() else { return Self::default() };
        Self {
            configuration: Some(strategy.config_dir().join("beadline")),
            state: strategy.state_dir().map(|state| state.join("beadline")),
        }
    }
}

impl Configuration {
    /// Reads the environment and the file.
    pub fn read(arguments: &[OsString], folders: &Folders, variable: &dyn Fn(&str) -> Option<String>) -> Result<Self> {
        let given = Arguments::command().try_get_matches_from(arguments).ok();
        let on_command_line = |key: &str| {
            let id = key.replace('-', "_");
            given.as_ref().is_some_and(|matches| matches.value_source(&id) == Some(ValueSource::CommandLine))
        };
        let (file, path) = match file(folders, variable)? {
            Some((table, path)) => (table, Some(path)),
            None => (toml::Table::new(), None),
        };
        let mut flags = Vec::new();
        for (key, _) in FLAGS {
            let name = format!("BEADLINE_{}", key.replace('-', "_").to_uppercase());
            let (value, origin) = match (on_command_line(key), variable(&name), file.get(*key)) {
                (true, ..) => continue,
                (false, Some(value), _) => (value, Origin::Environment(name)),
                (false, None, Some(value)) => (plain(value), Origin::File(path.clone().unwrap_or_default())),
                (false, None, None) => continue,
            };
            flags.push(Configured { key, value, origin });
        }
        let settings = settings(&file, path.as_deref())?;
        Ok(Self { flags, settings, file: path })
    }

    /// The arguments with what was configured before them, so that they win.
    pub fn before(&self, arguments: Vec<OsString>) -> Result<Vec<OsString>> {
        let mut arguments = arguments.into_iter();
        let mut all: Vec<OsString> = arguments.next().into_iter().collect();
        for Configured { key, value, origin } in &self.flags {
            let takes_value = FLAGS.iter().any(|(flag, takes_value)| flag == key && *takes_value);
            let flag = match (takes_value, value.as_str()) {
                (true, value) => format!("--{key}={value}"),
                (false, "true" | "1") => format!("--{key}"),
                (false, "false" | "0" | "") => continue,
                (false, other) => return Err(misfit(key, other, origin, "true or false")),
            };
            if let Err(error) = Arguments::command().try_get_matches_from(["beadline", &flag]) {
                let expected = error.to_string();
                let expected = expected.lines().find(|line| line.contains("possible values")).map(str::trim);
                return Err(misfit(key, value, origin, expected.unwrap_or("another value")));
            }
            all.push(flag.into());
        }
        for (key, value) in &self.settings {
            all.push(format!("--set={key}={value}").into());
        }
        all.extend(arguments);
        Ok(all)
    }
}

fn misfit(key: &str, value: &str, origin: &Origin, expected: &str) -> Error {
    let place = match origin {
        Origin::Environment(name) => name.clone(),
        Origin::File(path) => format!("{}, `{key}`", path.display()),
    };
    Error::query(format!("{place}: '{value}' is no value of --{key}")).with_help(format!("expected {expected}"))
}

/// The table of the file, and its path; none if nobody named one and none is at the usual place.
fn file(folders: &Folders, variable: &dyn Fn(&str) -> Option<String>) -> Result<Option<(toml::Table, PathBuf)>> {
    let named = variable(FILE_VARIABLE);
    let path = match &named {
        Some(name) if name.is_empty() => return Ok(None),
        Some(name) => PathBuf::from(name),
        None => match &folders.configuration {
            Some(folder) => folder.join("config.toml"),
            None => return Ok(None),
        },
    };
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && named.is_none() => return Ok(None),
        Err(error) => return Err(Error::io(format_args!("read {}", path.display()), &error)),
    };
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
        Error::query(format!("{}, line {line}: {}", path.display(), error.message()))
    })?;
    let known = || FLAGS.iter().map(|(key, _)| *key).chain([SETTINGS]);
    if let Some(unknown) = table.keys().find(|key| !known().any(|known| known == key.as_str())) {
        let error = Error::query(format!("{}: there is no `{unknown}`", path.display()));
        return Err(match nearest(unknown, known()) {
            Some(meant) => error.with_help(format!("did you mean `{meant}`?")),
            None => error.with_help(format!("there are {}", known().collect::<Vec<_>>().join(", "))),
        });
    }
    Ok(Some((table, path)))
}

/// The settings: each a text, a number, or true and false; in tables within tables keys are joined by dots.
fn settings(file: &toml::Table, path: Option<&Path>) -> Result<Vec<(String, String)>> {
    let mut settings = Vec::new();
    match file.get(SETTINGS) {
        None => {}
        Some(toml::Value::Table(table)) => flatten("", table, &mut settings),
        Some(_) => {
            let path = path.unwrap_or(Path::new("")).display();
            return Err(Error::query(format!("{path}: `{SETTINGS}` is no table"))
                .with_help("write [set] on a line of its own, and the settings below it"));
        }
    }
    Ok(settings)
}

fn flatten(prefix: &str, table: &toml::Table, settings: &mut Vec<(String, String)>) {
    for (key, value) in table {
        let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            toml::Value::Table(inner) => flatten(&key, inner, settings),
            value => settings.push((key, plain(value))),
        }
    }
}

/// The value as a SET would have it.
fn plain(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Integer(number) => number.to_string(),
        toml::Value::Float(number) => number.to_string(),
        toml::Value::Boolean(flag) => flag.to_string(),
        toml::Value::Datetime(time) => time.to_string(),
        // As Flink writes a list.
        toml::Value::Array(values) => values.iter().map(plain).collect::<Vec<_>>().join(";"),
        toml::Value::Table(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split_whitespace().map(OsString::from).collect()
    }

    fn read(file: &str, variables: &[(&str, &str)], arguments: &str) -> Result<Vec<String>> {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("config.toml"), file).unwrap();
        let folders = Folders { configuration: Some(directory.path().to_owned()), state: None };
        let variable =
            |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        let arguments = words(arguments);
        let all = Configuration::read(&arguments, &folders, &variable)?.before(arguments)?;
        Ok(all.into_iter().map(|argument| argument.into_string().unwrap()).collect())
    }

    #[test]
    fn a_flag_wins_over_the_environment_and_that_over_the_file() {
        let file = "format = 'csv'\nquiet = true\nmax-rows = 5\n[set]\n\"a.b\" = 4\nc.d = 'x'\n";
        let all = read(file, &[("BEADLINE_FORMAT", "tsv")], "beadline --max-rows 7 f.sql").unwrap();
        let expected = "beadline --format=tsv --quiet --set=a.b=4 --set=c.d=x --max-rows 7 f.sql";
        assert_eq!(all.join(" "), expected);
        assert_eq!(read(file, &[("BEADLINE_CONFIG", "")], "beadline").unwrap(), ["beadline"]);
    }

    #[test]
    fn mistakes_name_their_place() {
        let error = |file, variables| read(file, variables, "beadline").unwrap_err().to_string();
        assert!(error("", &[("BEADLINE_COLOR", "red")]).contains("BEADLINE_COLOR: 'red' is no value of --color"));
        assert!(error("fromat = 'csv'", &[]).contains("did you mean `format`?"));
        assert!(error("\nformat = ", &[]).contains("line 2"));
        assert!(error("set = 3", &[]).contains("is no table"));
        assert!(error("", &[("BEADLINE_CONFIG", "/no/such/file")]).contains("/no/such/file"));
        assert!(error("quiet = 'yes'", &[]).contains("true or false"));
    }
}
