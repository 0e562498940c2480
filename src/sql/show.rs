//! `SHOW`: what is listed, and the pattern that chooses names.

use sqlparser::parser::Parser;

use crate::error::{Error, Result};

use super::cursor::Cursor;
use super::statement::ObjectName;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShowKind {
    /// Names, perhaps of a database, of which a pattern may choose some.
    List {
        kind: ListKind,
        database: Option<ObjectName>,
        chosen: Option<NamePattern>,
    },
    /// `SHOW COLUMNS FROM t`
    Columns(ObjectName, Option<NamePattern>),
    CurrentCatalog,
    CurrentDatabase,
    CreateTable(ObjectName),
    CreateView(ObjectName),
}

/// What SHOW lists by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListKind {
    Catalogs,
    Databases,
    Tables,
    Views,
    Functions,
    Connectors,
    Formats,
    Jobs,
    /// The last checkpoints of each job.
    Checkpoints,
    Modules,
    /// As `Modules`, with whether each is in use.
    FullModules,
    /// Kinds of which there are none here: user functions, procedures, models, materialized tables, jars. Holds the
    /// name of the column.
    Nothing(&'static str),
}

/// `[NOT] LIKE 'pattern'` behind a SHOW.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamePattern {
    /// `%` is any text, `_` any character, a backslash makes the next character itself.
    pub pattern: String,
    pub is_negated: bool,
    /// `ILIKE`: in any case.
    pub is_caseless: bool,
}

/// What lists names: its words, its kind, whether `FROM database` may follow, and whether Flink knows ILIKE there.
const LISTS: &[(&[&str], ListKind, bool, bool)] = &[
    (&["CATALOGS"], ListKind::Catalogs, false, true),
    (&["DATABASES"], ListKind::Databases, true, true),
    (&["TABLES"], ListKind::Tables, true, false),
    (&["VIEWS"], ListKind::Views, true, false),
    (&["FUNCTIONS"], ListKind::Functions, true, true),
    (&["USER", "FUNCTIONS"], ListKind::Nothing("function name"), true, true),
    (&["PROCEDURES"], ListKind::Nothing("procedure name"), true, true),
    (&["MODELS"], ListKind::Nothing("model name"), true, true),
    (&["MATERIALIZED", "TABLES"], ListKind::Nothing("materialized table name"), true, false),
    (&["JARS"], ListKind::Nothing("jars"), false, false),
    (&["MODULES"], ListKind::Modules, false, false),
    (&["FULL", "MODULES"], ListKind::FullModules, false, false),
    (&["CONNECTORS"], ListKind::Connectors, false, true),
    (&["FORMATS"], ListKind::Formats, false, true),
    (&["JOBS"], ListKind::Jobs, false, true),
    (&["CHECKPOINTS"], ListKind::Checkpoints, false, true),
];

impl NamePattern {
    /// Whether a name is among those that are asked for.
    pub fn takes(&self, name: &str) -> bool {
        let fold = |text: &str| if self.is_caseless { text.to_lowercase() } else { text.to_owned() };
        let (pattern, name) = (fold(&self.pattern), fold(name));
        let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
        is_like(&pattern, &name) != self.is_negated
    }
}

/// Whether the name fits the pattern. Goes back to the last `%` only: what an earlier one took need not change.
fn is_like(pattern: &[char], name: &[char]) -> bool {
    let (mut at, mut index) = (0, 0);
    let mut resume: Option<(usize, usize)> = None;
    loop {
        let step = match pattern.get(at) {
            Some('%') => {
                resume = Some((at + 1, index));
                at += 1;
                continue;
            }
            Some('_') if index < name.len() => 1,
            Some('\\') if pattern.get(at + 1).is_some_and(|next| name.get(index) == Some(next)) => 2,
            Some(other) if *other != '\\' && name.get(index) == Some(other) => 1,
            None if index == name.len() => return true,
            _ => 0,
        };
        if step > 0 {
            (at, index) = (at + step, index + 1);
        } else {
            let Some((behind, from)) = resume.filter(|(_, from)| *from < name.len()) else { return false };
            (at, index) = (behind, from + 1);
            resume = Some((behind, from + 1));
        }
    }
}

/// Reads what stands behind `SHOW`.
pub(super) fn show(parser: &mut Parser) -> Result<ShowKind> {
    if parser.takes(&["CREATE", "TABLE"]) {
        return Ok(ShowKind::CreateTable(parser.object_name("the name of a table")?));
    }
    if parser.takes(&["CREATE", "VIEW"]) {
        return Ok(ShowKind::CreateView(parser.object_name("the name of a view")?));
    }
    if parser.takes(&["CURRENT", "CATALOG"]) {
        return Ok(ShowKind::CurrentCatalog);
    }
    if parser.takes(&["CURRENT", "DATABASE"]) {
        return Ok(ShowKind::CurrentDatabase);
    }
    if parser.takes(&["COLUMNS"]) {
        if !parser.takes(&["FROM"]) && !parser.takes(&["IN"]) {
            return Err(parser.unexpected("FROM and the name of a table"));
        }
        let table = parser.object_name("the name of a table")?;
        return Ok(ShowKind::Columns(table, pattern(parser, "SHOW COLUMNS FROM t", false)?));
    }
    for (words, kind, has_database, knows_ilike) in LISTS {
        if !parser.takes(words) {
            continue;
        }
        let of = (parser.sees(&["FROM"]) || parser.sees(&["IN"])).then(|| parser.here());
        let database = match of {
            Some(place) if !has_database => {
                return Err(Error::query(format!("SHOW {} takes no database", words.join(" ")))
                    .with_span(place)
                    .with_help(format!("write SHOW {}", words.join(" "))));
            }
            Some(_) => {
                parser.advance_token();
                Some(parser.object_name("the name of a database")?)
            }
            None => None,
        };
        let chosen = pattern(parser, &format!("SHOW {}", words.join(" ")), *knows_ilike)?;
        return Ok(ShowKind::List { kind: *kind, database, chosen });
    }
    Err(parser.unexpected(
        "TABLES, VIEWS, COLUMNS, FUNCTIONS, CONNECTORS, FORMATS, CATALOGS, DATABASES, MODULES, CURRENT CATALOG, CURRENT DATABASE, CREATE TABLE or CREATE VIEW",
    ))
}

/// `[NOT] LIKE 'pattern'` or ILIKE, if it comes next.
fn pattern(parser: &mut Parser, statement: &str, knows_ilike: bool) -> Result<Option<NamePattern>> {
    let is_negated = parser.takes(&["NOT"]);
    let is_caseless = parser.sees(&["ILIKE"]);
    if is_caseless && !knows_ilike {
        return Err(Error::query(format!("{statement} takes LIKE, not ILIKE"))
            .with_span(parser.here())
            .with_help(format!("write {statement} LIKE 'a%'")));
    }
    if !is_caseless && !parser.sees(&["LIKE"]) {
        return if is_negated { Err(parser.unexpected("LIKE and a pattern in quotes")) } else { Ok(None) };
    }
    parser.advance_token();
    Ok(Some(NamePattern { pattern: parser.text("a pattern in quotes, as 'a%'")?, is_negated, is_caseless }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_choose_names() {
        let takes = |pattern: &str, name: &str| {
            NamePattern { pattern: pattern.to_owned(), is_negated: false, is_caseless: false }.takes(name)
        };
        for (pattern, name, expected) in [
            ("t%", "table", true),
            ("t%", "Table", false),
            ("%a%a%", "banana", true),
            ("%a%a%b", "banana", false),
            ("_b", "ab", true),
            ("_b", "b", false),
            ("a\\_b", "a_b", true),
            ("a\\_b", "axb", false),
            ("", "", true),
            ("", "a", false),
            ("%", "", true),
            ("größ_", "größe", true),
        ] {
            assert_eq!(takes(pattern, name), expected, "{name} LIKE {pattern}");
        }
        let not_ilike = NamePattern { pattern: "T%".to_owned(), is_negated: true, is_caseless: true };
        assert!(!not_ilike.takes("table") && not_ilike.takes("view"));
    }
}
