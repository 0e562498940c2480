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
use std::fmt;
use std::path::{Path, PathBuf};

use clap::CommandFactory;
use clap::parser::ValueSource;
use etcetera::BaseStrategy;

use super::arguments::Arguments;
use crate::error::{Error, Result};
use crate::options::nearest;
use crate::session::vocabulary::is_secret;

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
    Default,
    CommandLine,
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
    /// All flags that may be configured, wherever their values come from.
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
        // The value, and whether it was given and is no default.
        let on_command_line = |key: &str| -> (String, bool) {
            let id = key.replace('-', "_");
            let Some(given) = &given else { return (String::new(), false) };
            let values = given.get_raw(&id).and_then(|mut values| values.next_back());
            let value = values.map_or_else(String::new, |value| value.to_string_lossy().into_owned());
            (value, given.value_source(&id) == Some(ValueSource::CommandLine))
        };
        let (file, path) = match file(folders, variable)? {
            Some((table, path)) => (table, Some(path)),
            None => (toml::Table::new(), None),
        };
        let mut flags = Vec::new();
        for (key, _) in FLAGS {
            let name = format!("BEADLINE_{}", key.replace('-', "_").to_uppercase());
            let (value, origin) = match (on_command_line(key), variable(&name), file.get(*key)) {
                ((value, true), ..) => (value, Origin::CommandLine),
                (_, Some(value), _) => (value, Origin::Environment(name)),
                (_, None, Some(value)) => (plain(value), Origin::File(path.clone().unwrap_or_default())),
                ((value, false), None, None) => (value, Origin::Default),
            };
            flags.push(Configured { key, value, origin });
        }
        let settings = settings(&file, path.as_deref())?;
        Ok(Self { flags, settings, file: path })
    }

    /// All of it as a file would say it, with the settings in force: the file's first, then those of the command line,
    /// of which the last one of a key holds.
    pub fn shown(&self, settings: &[(String, String)], with_origins: bool) -> String {
        let mut lines = Vec::new();
        for Configured { key, value, origin } in &self.flags {
            let is_bare = value.parse::<u64>().is_ok() || matches!(value.as_str(), "true" | "false");
            let value = if is_bare { value.clone() } else { quoted(value) };
            // What holds anyway need not stand in a file.
            let mark = if *origin == Origin::Default { "# " } else { "" };
            lines.push((format!("{mark}{key} = {value}"), origin.clone()));
        }
        let flags = lines.len();
        for (index, (key, value)) in settings.iter().enumerate() {
            if settings[index + 1..].iter().any(|(later, _)| later == key) {
                continue;
            }
            let from_file = self.settings.iter().any(|(of_file, at)| of_file == key && at == value);
            let origin = match (&self.file, from_file) {
                (Some(path), true) => Origin::File(path.clone()),
                _ => Origin::CommandLine,
            };
            let value = if is_secret(key) { "******".to_owned() } else { value.clone() };
            let [key, value] = [key.clone(), value].map(|text| quoted(&text));
            lines.push((format!("{key} = {value}"), origin));
        }
        let width = lines.iter().map(|(line, _)| line.chars().count()).max().unwrap_or(0);
        let mut text = String::new();
        for (index, (line, origin)) in lines.iter().enumerate() {
            if index == flags {
                text.push_str("\n[set]\n");
            }
            match with_origins {
                true => text.push_str(&format!("{line:width$}  # {origin}\n")),
                false => text.push_str(&format!("{line}\n")),
            }
        }
        text
    }

    /// The arguments with what was configured before them, so that they win.
    pub fn before(&self, arguments: Vec<OsString>) -> Result<Vec<OsString>> {
        let mut arguments = arguments.into_iter();
        let mut all: Vec<OsString> = arguments.next().into_iter().collect();
        for Configured { key, value, origin } in &self.flags {
            if matches!(origin, Origin::Default | Origin::CommandLine) {
                continue;
            }
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

/// As TOML writes a text; JSON's escapes are among those that it knows.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

impl fmt::Display for Origin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => out.write_str("default"),
            Self::CommandLine => out.write_str("command line"),
            Self::Environment(name) => out.write_str(name),
            Self::File(path) => write!(out, "{}", path.display()),
        }
    }
}

fn misfit(key: &str, value: &str, origin: &Origin, expected: &str) -> Error {
    let place = match origin {
        Origin::File(path) => format!("{}, `{key}`", path.display()),
        other => other.to_string(),
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

    #[test]
    fn what_is_in_force_is_shown_with_its_origin() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.toml");
        std::fs::write(&path, "format = 'csv'\nquiet = true\n[set]\na = 1\nb = 2\nmy.password = 'x'\n").unwrap();
        let folders = Folders { configuration: Some(directory.path().to_owned()), state: None };
        let variable = |name: &str| (name == "BEADLINE_COLOR").then(|| "never".to_owned());
        let given = words("beadline --format tsv -D b=3 config --show-origin");
        let configuration = Configuration::read(&given, &folders, &variable).unwrap();
        let arguments = Arguments::read(configuration.before(given).unwrap()).unwrap();
        let shown = configuration.shown(&arguments.all_settings(), true).replace(&*path.to_string_lossy(), "FILE");
        expect_test::expect![[r#"
            format = "tsv"            # command line
            color = "never"           # BEADLINE_COLOR
            # max-rows = 1000         # default
            # progress = "auto"       # default
            # log-format = "text"     # default
            quiet = true              # FILE

            [set]
            "a" = "1"                 # FILE
            "my.password" = "******"  # FILE
            "b" = "3"                 # command line
        "#]]
        .assert_eq(&shown);
        let quiet = Configuration::read(&words("beadline -q"), &folders, &variable).unwrap().shown(&[], true);
        assert!(quiet.contains("\nquiet = true ") && quiet.ends_with("# command line\n"), "{quiet}");
        let plain = configuration.shown(&arguments.all_settings(), false);
        let read: toml::Table = plain.parse().unwrap();
        assert_eq!(read["format"].as_str(), Some("tsv"), "it is a file of configuration itself");
    }
}
