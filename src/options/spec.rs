//! The registry entry of an option, and a checked set of values.

use std::collections::BTreeMap;
use std::time::Duration;

use super::parse::{parse_boolean, parse_character, parse_duration, parse_size};
use crate::error::{Error, Result};

/// How the text of an option is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OptionKind {
    Boolean,
    Integer,
    Double,
    Duration,
    Size,
    Text,
    /// A single character, or a Java escape such as `\t`.
    Character,
    Path,
    /// One of these words, in any case.
    Enum(&'static [&'static str]),
}

/// What setting an option does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It does what its doc says.
    Honoured,
    /// It is read and checked, cannot change a result here, and a warning says so.
    Accepted,
    /// It would change a result and is not built: an error says so. Holds the values that are fine all the same
    /// (the default, usually).
    RefusedUnless(&'static [&'static str]),
}

/// One option. A key may hold `#` for a column name (`fields.#.kind`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OptionSpec {
    pub key: &'static str,
    pub aliases: &'static [&'static str],
    pub kind: OptionKind,
    /// The default as text; `None` for "not set".
    pub default: Option<&'static str>,
    pub required: bool,
    pub effect: Effect,
    /// Whether the value must never be shown.
    pub secret: bool,
    pub doc: &'static str,
    /// What does in the place of a value that is refused.
    pub instead: Option<&'static str>,
}

impl OptionSpec {
    /// An honoured option with a default (or none).
    pub const fn honoured(
        key: &'static str,
        kind: OptionKind,
        default: Option<&'static str>,
        doc: &'static str,
    ) -> Self {
        Self {
            key,
            aliases: &[],
            kind,
            default,
            required: false,
            effect: Effect::Honoured,
            secret: false,
            doc,
            instead: None,
        }
    }

    /// The same, under older names too.
    pub const fn aliases(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    /// The same, with another effect.
    pub const fn effect(mut self, effect: Effect) -> Self {
        self.effect = effect;
        self
    }

    /// The same, with what does in the place of a value that is refused.
    pub const fn instead(mut self, instead: &'static str) -> Self {
        self.instead = Some(instead);
        self
    }

    /// The same, but it has to be there.
    pub const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// Whether `key` is this option's, under any of its names; `#` stands for one or more characters.
    pub fn matches(&self, key: &str) -> bool {
        std::iter::once(&self.key).chain(self.aliases).any(|name| match name.split_once('#') {
            None => *name == key,
            Some((head, tail)) => key.len() > head.len() + tail.len() && key.starts_with(head) && key.ends_with(tail),
        })
    }

    /// Checks a value: its type, and whether it is refused. An error names the key under which it was given, such as
    /// `fields.n.kind` or `csv.quote-character`.
    pub fn check(&self, key: &str, value: &str) -> Result<()> {
        let expected = match self.kind {
            OptionKind::Boolean if parse_boolean(value).is_none() => "true or false",
            OptionKind::Integer if value.trim().parse::<i64>().is_err() => "a whole number",
            OptionKind::Double if value.trim().parse::<f64>().is_err() => "a number",
            OptionKind::Duration if parse_duration(value).is_none() => "a duration such as '5 s', '500 ms' or '1 h'",
            OptionKind::Size if parse_size(value).is_none() => "a size such as '128 mb'",
            OptionKind::Character if parse_character(value).is_none() => "a single character",
            OptionKind::Enum(values) if !values.iter().any(|known| known.eq_ignore_ascii_case(value.trim())) => {
                return Err(unreadable_as(key, value).with_help(format!("expected one of {}", values.join(", "))));
            }
            _ => "",
        };
        if !expected.is_empty() {
            return Err(unreadable_as(key, value).with_help(format!("expected {expected}")));
        }
        if let Effect::RefusedUnless(fine) = self.effect
            && !fine.iter().any(|known| known.eq_ignore_ascii_case(value.trim()))
        {
            let error = Error::query(format!(
                "'{key}' = '{value}' is not built yet, and ignoring it would change what the job does."
            ));
            let error = match (fine, self.instead) {
                ([], Some(_)) => error,
                ([], None) => error.with_help("leave the option out"),
                (fine, _) => error.with_help(format!("possible now: {}", fine.join(", "))),
            };
            return Err(self.instead.into_iter().fold(error, Error::with_help));
        }
        Ok(())
    }
}

/// Values by key, with the list that they were checked against for defaults and aliases.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    values: BTreeMap<String, String>,
}

impl Options {
    /// Unchecked values; see [`OptionSpec::check`].
    pub fn new(values: impl IntoIterator<Item = (String, String)>) -> Self {
        Self { values: values.into_iter().collect() }
    }

    /// Sets a value.
    pub fn set(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.values.insert(key.into(), value.into());
    }

    /// Removes a value.
    pub fn remove(&mut self, key: &str) -> Option<String> {
        self.values.remove(key)
    }

    /// The text under exactly this key.
    pub fn raw(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str)
    }

    /// All keys and values in the order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// The values whose keys begin with `prefix`, the prefix removed.
    pub fn with_prefix(&self, prefix: &str) -> Self {
        Self::new(self.iter().filter_map(|(key, value)| Some((key.strip_prefix(prefix)?.to_owned(), value.to_owned()))))
    }

    /// The text of an option: under its key, else under an alias, else its default.
    pub fn text<'a>(&'a self, spec: &'a OptionSpec) -> Option<&'a str> {
        std::iter::once(&spec.key).chain(spec.aliases).find_map(|name| self.raw(name)).or(spec.default)
    }

    /// A boolean option; false when neither set nor defaulted.
    pub fn boolean(&self, spec: &OptionSpec) -> Result<bool> {
        self.text(spec).map_or(Ok(false), |text| parse_boolean(text).ok_or_else(|| unreadable(spec, text)))
    }

    /// A whole number.
    pub fn integer(&self, spec: &OptionSpec) -> Result<Option<i64>> {
        self.text(spec).map(|text| text.trim().parse().map_err(|_| unreadable(spec, text))).transpose()
    }

    /// A number.
    pub fn double(&self, spec: &OptionSpec) -> Result<Option<f64>> {
        self.text(spec).map(|text| text.trim().parse().map_err(|_| unreadable(spec, text))).transpose()
    }

    /// A duration.
    pub fn duration(&self, spec: &OptionSpec) -> Result<Option<Duration>> {
        self.text(spec).map(|text| parse_duration(text).ok_or_else(|| unreadable(spec, text))).transpose()
    }

    /// A size in bytes.
    pub fn size(&self, spec: &OptionSpec) -> Result<Option<u64>> {
        self.text(spec).map(|text| parse_size(text).ok_or_else(|| unreadable(spec, text))).transpose()
    }

    /// A single character.
    pub fn character(&self, spec: &OptionSpec) -> Result<Option<char>> {
        self.text(spec).map(|text| parse_character(text).ok_or_else(|| unreadable(spec, text))).transpose()
    }

    /// An enum's value in the spelling of its list.
    pub fn choice(&self, spec: &OptionSpec) -> Result<Option<&'static str>> {
        let OptionKind::Enum(values) = spec.kind else {
            return Err(Error::bug(format!("{} is no enum", spec.key)));
        };
        self.text(spec)
            .map(|text| {
                let found = values.iter().find(|known| known.eq_ignore_ascii_case(text.trim()));
                found.copied().ok_or_else(|| unreadable(spec, text))
            })
            .transpose()
    }
}

/// Whether the value of a key that no list here knows had better not be shown: those of connectors that only Flink has.
pub fn looks_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    [
        "password",
        "passphrase",
        "secret",
        "token",
        "credential",
        "api-key",
        "apikey",
        "access-key",
        "access.key",
        "private-key",
        "private.key",
        "account.key",
        "jaas.config",
    ]
    .iter()
    .any(|part| key.contains(part))
}

fn unreadable(spec: &OptionSpec, text: &str) -> Error {
    unreadable_as(spec.key, text)
}

fn unreadable_as(key: &str, text: &str) -> Error {
    Error::query(format!("Could not parse value '{text}' for key '{key}'."))
}

/// The candidate that is spelled most like `word`, if any is close enough to be meant.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len().min(word.len()) / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}
