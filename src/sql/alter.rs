//! `ALTER TABLE` and `ALTER VIEW`: one change of what was declared.

use sqlparser::ast;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

use crate::error::{Error, Result, Span};

use super::create_table::{self, Body};
use super::cursor::Cursor;
use super::query;
use super::statement::{ColumnDefinition, Distribution, ObjectName, Statement, WatermarkDefinition};

/// `ALTER TABLE [IF EXISTS] t change`
#[derive(Debug, Clone)]
pub struct AlterTable {
    pub name: ObjectName,
    pub if_exists: bool,
    pub change: TableChange,
}

#[derive(Debug, Clone)]
pub enum TableChange {
    Rename(ObjectName),
    RenameColumn {
        from: (String, Span),
        to: (String, Span),
    },
    Set {
        options: Vec<(String, String)>,
        span: Span,
    },
    Reset {
        keys: Vec<(String, Span)>,
        span: Span,
    },
    Add(TableElements),
    Modify(TableElements),
    DropColumns(Vec<(String, Span)>),
    /// With a name of `DROP CONSTRAINT`, without one of `DROP PRIMARY KEY`.
    DropPrimaryKey {
        constraint: Option<String>,
        span: Span,
    },
    DropWatermark(Span),
    /// `ADD` or `MODIFY DISTRIBUTION …`; none: `DROP DISTRIBUTION`.
    Distribution(Option<Distribution>),
}

/// What ADD and MODIFY list.
#[derive(Debug, Clone)]
pub struct TableElements {
    pub columns: Vec<(ColumnDefinition, ColumnPlace)>,
    pub watermark: Option<WatermarkDefinition>,
    pub primary_key: Option<Vec<(String, Span)>>,
    pub key_name: Option<String>,
    pub span: Span,
}

/// Where a new or changed column goes.
#[derive(Debug, Clone)]
pub enum ColumnPlace {
    /// To the end, or where it is.
    Unsaid,
    First,
    After(String, Span),
}

/// `ALTER VIEW v change`
#[derive(Debug, Clone)]
pub struct AlterView {
    pub name: ObjectName,
    pub change: ViewChange,
}

#[derive(Debug, Clone)]
pub enum ViewChange {
    Rename(ObjectName),
    Query { query: Box<ast::Query>, query_text: String },
}

/// Reads what stands behind `ALTER`. `text` is the statement's, which begins at `offset`.
pub(super) fn alter(parser: &mut Parser, text: &str, offset: usize) -> Result<Statement> {
    if parser.takes(&["TABLE"]) {
        let if_exists = parser.takes(&["IF", "EXISTS"]);
        let name = parser.object_name("the name of a table")?;
        let change = table_change(parser)?;
        Ok(Statement::AlterTable(AlterTable { name, if_exists, change }))
    } else if parser.takes(&["VIEW"]) {
        let name = parser.object_name("the name of a view")?;
        let change = if parser.takes(&["RENAME", "TO"]) {
            ViewChange::Rename(parser.object_name("the new name")?)
        } else if parser.takes(&["AS"]) {
            let start = parser.here().start;
            let query = query::query(parser)?;
            let end = parser.behind().end;
            let query_text = text.get(start - offset..end - offset).unwrap_or_default().to_owned();
            ViewChange::Query { query, query_text }
        } else {
            return Err(parser.unexpected("RENAME TO or AS"));
        };
        Ok(Statement::AlterView(AlterView { name, change }))
    } else {
        Err(parser.unexpected("TABLE or VIEW"))
    }
}

fn table_change(parser: &mut Parser) -> Result<TableChange> {
    let start = parser.here().start;
    if parser.takes(&["RENAME", "TO"]) {
        return Ok(TableChange::Rename(parser.object_name("the new name")?));
    }
    if parser.takes(&["RENAME"]) {
        let from = named(parser, "the name of a column, or TO and a name for the table")?;
        parser.expects(&["TO"])?;
        return Ok(TableChange::RenameColumn { from, to: named(parser, "the new name")? });
    }
    if parser.takes(&["SET"]) {
        let mut options = Vec::new();
        create_table::options(parser, &mut options)?;
        return Ok(TableChange::Set { options, span: Span { start, end: parser.behind().end } });
    }
    if parser.takes(&["RESET"]) {
        let keys = keys(parser)?;
        return Ok(TableChange::Reset { keys, span: Span { start, end: parser.behind().end } });
    }
    let is_add = parser.takes(&["ADD"]);
    if is_add || parser.takes(&["MODIFY"]) {
        if parser.takes(&["DISTRIBUTION"]) {
            return Ok(TableChange::Distribution(Some(create_table::distribution(parser, start)?)));
        }
        refuse_partition(parser)?;
        let elements = elements(parser, start)?;
        return Ok(if is_add { TableChange::Add(elements) } else { TableChange::Modify(elements) });
    }
    if !parser.takes(&["DROP"]) {
        return Err(parser.unexpected("RENAME, SET, RESET, ADD, MODIFY or DROP"));
    }
    refuse_partition(parser)?;
    let span = |parser: &Parser| Span { start, end: parser.behind().end };
    if parser.takes(&["PRIMARY", "KEY"]) {
        return Ok(TableChange::DropPrimaryKey { constraint: None, span: span(parser) });
    }
    if parser.takes(&["CONSTRAINT"]) {
        let constraint = Some(parser.name("the name of the constraint")?);
        return Ok(TableChange::DropPrimaryKey { constraint, span: span(parser) });
    }
    if parser.takes(&["WATERMARK"]) {
        return Ok(TableChange::DropWatermark(span(parser)));
    }
    if parser.takes(&["DISTRIBUTION"]) {
        return Ok(TableChange::Distribution(None));
    }
    refuse_word_column(parser, "DROP")?;
    if parser.peek_token_ref().token == Token::LParen {
        return Ok(TableChange::DropColumns(parser.names("the name of a column")?));
    }
    Ok(TableChange::DropColumns(vec![named(parser, "the name of a column")?]))
}

fn named(parser: &mut Parser, what: &str) -> Result<(String, Span)> {
    let name = parser.name(what)?;
    Ok((name, parser.behind()))
}

/// `('key', …)`, perhaps none.
fn keys(parser: &mut Parser) -> Result<Vec<(String, Span)>> {
    parser.expects_sign(&Token::LParen)?;
    let mut keys = Vec::new();
    if parser.takes_sign(&Token::RParen) {
        return Ok(keys);
    }
    loop {
        let key = parser.text("the name of an option in quotes, as 'path'")?;
        keys.push((key, parser.behind()));
        if parser.takes_sign(&Token::RParen) {
            return Ok(keys);
        }
        if !parser.takes_sign(&Token::Comma) {
            return Err(parser.unexpected("`,` or `)`"));
        }
    }
}

/// A column, a watermark or a key; or several in parentheses.
fn elements(parser: &mut Parser, start: usize) -> Result<TableElements> {
    refuse_word_column(parser, "ADD")?;
    let mut body = Body::default();
    let mut places = Vec::new();
    let mut element = |parser: &mut Parser| -> Result<()> {
        let before = body.columns.len();
        body.element(parser)?;
        if body.columns.len() > before {
            places.push(place(parser)?);
        }
        Ok(())
    };
    if parser.takes_sign(&Token::LParen) {
        loop {
            element(parser)?;
            if parser.takes_sign(&Token::RParen) {
                break;
            }
            if !parser.takes_sign(&Token::Comma) {
                return Err(parser.unexpected("`,` or `)`"));
            }
        }
    } else {
        element(parser)?;
    }
    Ok(TableElements {
        columns: body.columns.into_iter().zip(places).collect(),
        watermark: body.watermark,
        primary_key: body.primary_key,
        key_name: body.key_name,
        span: Span { start, end: parser.behind().end },
    })
}

fn place(parser: &mut Parser) -> Result<ColumnPlace> {
    if parser.takes(&["FIRST"]) {
        return Ok(ColumnPlace::First);
    }
    if parser.takes(&["AFTER"]) {
        let (name, span) = named(parser, "the name of a column")?;
        return Ok(ColumnPlace::After(name, span));
    }
    Ok(ColumnPlace::Unsaid)
}

/// `ADD COLUMN` is other SQL's: here COLUMN would be a name.
fn refuse_word_column(parser: &Parser, what: &str) -> Result<()> {
    if parser.sees(&["COLUMN"]) || parser.sees(&["COLUMNS"]) {
        return Err(Error::query(format!("{what} COLUMN is not Flink's SQL"))
            .with_span(parser.here())
            .with_help(format!("leave the word out: ALTER TABLE t {what} …")));
    }
    Ok(())
}

fn refuse_partition(parser: &Parser) -> Result<()> {
    if parser.sees(&["PARTITION"])
        || parser.sees(&["IF", "NOT", "EXISTS", "PARTITION"])
        || parser.sees(&["IF", "EXISTS"])
    {
        return Err(Error::query("partitions are not built yet")
            .with_span(parser.here())
            .with_help("a folder of files is one table; leave the statement out"));
    }
    Ok(())
}
