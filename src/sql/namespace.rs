//! Catalogs and databases, of which there is one each: `USE`, `CREATE` and `DROP`; and `DROP` of everything else.

use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

use crate::error::Result;

use super::cursor::Cursor;
use super::statement::{ObjectName, Statement};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DropKind {
    Table,
    View,
    Function,
    Model,
    MaterializedTable,
}

/// `USE`, `CREATE` or `DROP` of a catalog or a database.
#[derive(Debug, Clone)]
pub struct NamespaceStatement {
    pub action: NamespaceAction,
    pub kind: NamespaceKind,
    pub name: ObjectName,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamespaceAction {
    Use,
    Create { if_not_exists: bool },
    Drop { if_exists: bool },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamespaceKind {
    Catalog,
    Database,
}

/// Reads what stands behind `USE`.
pub(super) fn use_namespace(parser: &mut Parser) -> Result<NamespaceStatement> {
    let kind = if parser.takes(&["CATALOG"]) { NamespaceKind::Catalog } else { NamespaceKind::Database };
    let name = parser.object_name("the name of a catalog or a database")?;
    Ok(NamespaceStatement { action: NamespaceAction::Use, kind, name })
}

/// Reads what stands behind `CREATE CATALOG` or `CREATE DATABASE`. What belongs to the new one is skipped: only the one
/// that exists can be named.
pub(super) fn create_namespace(parser: &mut Parser, kind: NamespaceKind) -> Result<NamespaceStatement> {
    let if_not_exists = parser.takes(&["IF", "NOT", "EXISTS"]);
    let name = parser.object_name("the name of a catalog or a database")?;
    while parser.peek_token_ref().token != Token::EOF {
        parser.advance_token();
    }
    Ok(NamespaceStatement { action: NamespaceAction::Create { if_not_exists }, kind, name })
}

/// Reads what stands behind `DROP`.
pub(super) fn drop_object(parser: &mut Parser) -> Result<Statement> {
    let temporary = parser.takes(&["TEMPORARY"]);
    for (word, kind) in [("CATALOG", NamespaceKind::Catalog), ("DATABASE", NamespaceKind::Database)] {
        if !temporary && parser.takes(&[word]) {
            let if_exists = parser.takes(&["IF", "EXISTS"]);
            let name = parser.object_name("the name to drop")?;
            if kind == NamespaceKind::Database && !parser.takes(&["CASCADE"]) {
                parser.takes(&["RESTRICT"]);
            }
            return Ok(Statement::Namespace(NamespaceStatement {
                action: NamespaceAction::Drop { if_exists },
                kind,
                name,
            }));
        }
    }
    let kind = if parser.takes(&["TABLE"]) {
        DropKind::Table
    } else if parser.takes(&["VIEW"]) {
        DropKind::View
    } else if parser.takes(&["FUNCTION"]) || temporary && parser.takes(&["SYSTEM", "FUNCTION"]) {
        DropKind::Function
    } else if parser.takes(&["MODEL"]) {
        DropKind::Model
    } else if !temporary && parser.takes(&["MATERIALIZED", "TABLE"]) {
        DropKind::MaterializedTable
    } else {
        return Err(parser.unexpected("TABLE or VIEW"));
    };
    let if_exists = parser.takes(&["IF", "EXISTS"]);
    let name = parser.object_name("the name to drop")?;
    Ok(Statement::Drop { kind, name, temporary, if_exists })
}
