//! The one catalog and the one database: what USE, CREATE and DROP of them say.

use super::DEFAULT_PATH;
use crate::error::{Error, Result, Span};
use crate::sql::{NamespaceAction, NamespaceKind, NamespaceStatement, ObjectName};

/// The name of the catalog.
pub const CATALOG: &str = DEFAULT_PATH[0];
/// The name of the database.
pub const DATABASE: &str = DEFAULT_PATH[1];

const ONE_CATALOG: &str = "all tables are in `default_catalog`.`default_database`: leave the statement out, and the catalog's name in front of names of tables";
const ONE_DATABASE: &str = "all tables are in `default_catalog`.`default_database`: leave the statement out; to keep tables of several databases apart, put the database into their names, as `ods_orders`";

/// Does what there is to do: nothing for the catalog and the database that there are, an error for others.
pub fn namespace(statement: &NamespaceStatement) -> Result<()> {
    let NamespaceStatement { action, kind, name } = statement;
    let shown = name.parts.join(".");
    let refuse = |message: String, help: &str| Err(Error::query(message).with_span(name.span).with_help(help));
    let (is_there, word, help) = match kind {
        NamespaceKind::Catalog => (name.parts == [CATALOG], "catalog", ONE_CATALOG),
        NamespaceKind::Database => (is_database(name), "database", ONE_DATABASE),
    };
    match (action, is_there) {
        (NamespaceAction::Use, true)
        | (NamespaceAction::Create { if_not_exists: true }, true)
        | (NamespaceAction::Drop { if_exists: true }, false) => Ok(()),
        (NamespaceAction::Use, false) if *kind == NamespaceKind::Catalog => {
            refuse(format!("A catalog with name [{shown}] does not exist."), help)
        }
        (NamespaceAction::Use, false) => {
            refuse(format!("A database with name [{shown}] does not exist in the catalog: [{CATALOG}]."), help)
        }
        (NamespaceAction::Create { if_not_exists: false }, true) => {
            let again = format!("write CREATE {} IF NOT EXISTS {shown}, or leave it out", word.to_uppercase());
            refuse(format!("the {word} `{shown}` exists already"), &again)
        }
        (NamespaceAction::Create { .. }, false) => refuse(format!("a second {word} is not built yet"), help),
        (NamespaceAction::Drop { .. }, true) => refuse(
            format!("Cannot drop a {word} which is currently in use."),
            "drop its tables one by one: DROP TABLE t",
        ),
        (NamespaceAction::Drop { if_exists: false }, false) => {
            let calm = format!("write DROP {} IF EXISTS to go on without it", word.to_uppercase());
            refuse(format!("there is no {word} `{shown}`"), &calm)
        }
    }
}

/// Refuses another database than the one there is.
pub fn check_database(name: &ObjectName) -> Result<()> {
    if is_database(name) { Ok(()) } else { Err(no_database(&name.parts.join("."), name.span)) }
}

fn is_database(name: &ObjectName) -> bool {
    name.parts == [DATABASE] || name.parts == DEFAULT_PATH
}

pub(super) fn no_database(path: &str, span: Span) -> Error {
    Error::query(format!("there is no database `{path}`"))
        .with_span(span)
        .with_help("all tables are in `default_catalog`.`default_database`; leave the path out")
}
