//! `CREATE TABLE`: columns of every kind, watermark, key, partitions, options; from another table, from a query.

use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

use crate::error::{Error, Result, Span};

use super::cursor::Cursor;
use super::data_type::data_type;
use super::like;
use super::query;
use super::statement::{
    ColumnDefinition, ColumnKind, CreateTable, CreateTableAs, Distribution, Statement, WatermarkDefinition,
};

/// The most columns of a table.
const COLUMNS: usize = 2000;

/// How a CREATE TABLE begins.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Beginning {
    pub or_replace: bool,
    /// `REPLACE TABLE`.
    pub is_replace: bool,
    pub temporary: bool,
    /// Where the statement begins.
    pub start: usize,
}

/// Reads what stands behind `CREATE … TABLE`.
pub(super) fn create_table(parser: &mut Parser, beginning: Beginning) -> Result<Statement> {
    let Beginning { or_replace, is_replace, temporary, start } = beginning;
    let if_not_exists = parser.takes(&["IF", "NOT", "EXISTS"]);
    let name = parser.object_name("the name of the table")?;
    let mut body = Body::default();
    let mut order = Vec::new();
    let mut table = CreateTable {
        options_span: name.span,
        name,
        temporary,
        if_not_exists,
        or_replace,
        columns: Vec::new(),
        watermark: None,
        primary_key: Vec::new(),
        key_name: None,
        distribution: None,
        partitioned_by: Vec::new(),
        comment: None,
        options: Vec::new(),
        like: None,
    };
    let has_body = parser.peek_token_ref().token == Token::LParen;
    let sign_at = |index: usize, sign: &Token| parser.peek_nth_token_ref(index).token == *sign;
    if has_body && (sign_at(2, &Token::Comma) || sign_at(2, &Token::RParen)) && !sign_at(1, &Token::RParen) {
        order = parser.names("the name of a column")?;
    } else if parser.takes_sign(&Token::LParen) {
        body.elements(parser)?;
    } else if parser.peek_token_ref().token == Token::EOF {
        return Err(parser.unexpected("`(` and the columns"));
    }
    let mut partitions = Vec::new();
    let mut query = None;
    while !matches!(parser.peek_token_ref().token, Token::EOF) {
        if parser.takes(&["AS"]) {
            query = Some(query::query(parser)?);
            break;
        }
        if parser.takes(&["LIKE"]) {
            table.like = Some(like::like(parser)?);
            break;
        }
        clause(parser, &mut table, &mut partitions)?;
    }
    let is_whole = query.is_none() && table.like.is_none();
    if is_whole && (!has_body || !order.is_empty()) {
        let help = "or write the columns with their types in parentheses behind the name";
        return Err(parser.unexpected("LIKE or AS").with_help(help));
    }
    body.check(&partitions, table.distribution.as_ref(), is_whole)?;
    table.partitioned_by = partitions.into_iter().map(|(name, _)| name).collect();
    table.columns = body.columns;
    table.watermark = body.watermark;
    table.primary_key = body.primary_key.into_iter().flatten().map(|(name, _)| name).collect();
    table.key_name = body.key_name;
    let span = Span { start, end: parser.behind().end };
    let Some(query) = query else {
        if is_replace {
            return Err(Error::query("REPLACE TABLE is for tables that are made by a query")
                .with_span(table.name.span)
                .with_help("write REPLACE TABLE t WITH (…) AS SELECT …, or DROP TABLE t and CREATE TABLE t"));
        }
        return Ok(Statement::CreateTable(table));
    };
    if temporary {
        return Err(Error::query("CREATE TABLE AS SELECT syntax does not support to create temporary table yet.")
            .with_span(table.name.span)
            .with_help("leave TEMPORARY out: no table outlives its session here"));
    }
    Ok(Statement::CreateTableAs(Box::new(CreateTableAs { create: table, order, is_replace, query, span })))
}

/// A clause behind the columns.
fn clause(parser: &mut Parser, table: &mut CreateTable, partitions: &mut Vec<(String, Span)>) -> Result<()> {
    let start = parser.here().start;
    if parser.takes(&["COMMENT"]) {
        table.comment = Some(parser.text("the comment in quotes")?);
    } else if parser.takes(&["PARTITIONED", "BY"]) {
        partitions.extend(parser.names("the name of a column")?);
    } else if parser.takes(&["DISTRIBUTED"]) {
        table.distribution = Some(distribution(parser, start)?);
    } else if parser.sees(&["WITH"]) {
        parser.expects(&["WITH"])?;
        options(parser, &mut table.options)?;
        table.options_span = Span { start, end: parser.behind().end };
    } else {
        return Err(parser.unexpected("WITH, PARTITIONED BY, COMMENT, LIKE, AS or the end of the statement"));
    }
    Ok(())
}

/// What stands behind `DISTRIBUTED` or `DISTRIBUTION`; the clause begins at `start`.
pub(super) fn distribution(parser: &mut Parser, start: usize) -> Result<Distribution> {
    let (mut kind, mut columns, mut buckets) = (None, Vec::new(), None);
    let has_columns = parser.takes(&["BY"]);
    if has_columns {
        kind = ["HASH", "RANGE"].into_iter().find(|kind| parser.takes(&[kind]));
        columns = parser.names("the name of a column")?;
    }
    if parser.takes(&["INTO"]) {
        let count = parser.number("how many buckets")?;
        parser.expects(&["BUCKETS"])?;
        if count == 0 {
            return Err(Error::query(
                "Invalid bucket count '0'. The number of buckets for a distributed table must be at least 1.",
            )
            .with_span(Span { start, end: parser.behind().end }));
        }
        buckets = Some(count);
    } else if !has_columns {
        return Err(parser.unexpected("BY or INTO"));
    }
    Ok(Distribution { kind, columns, buckets, span: Span { start, end: parser.behind().end } })
}

/// `('key' = 'value', …)`
pub(super) fn options(parser: &mut Parser, options: &mut Vec<(String, String)>) -> Result<()> {
    parser.expects_sign(&Token::LParen)?;
    if parser.takes_sign(&Token::RParen) {
        return Ok(());
    }
    loop {
        let key = parser.text("the name of an option in quotes, as 'connector'")?;
        parser.expects_sign(&Token::Eq)?;
        let value = parser.text("the value of the option in quotes")?;
        options.push((key, value));
        if parser.takes_sign(&Token::RParen) {
            return Ok(());
        }
        if !parser.takes_sign(&Token::Comma) {
            return Err(parser.unexpected("`,` or `)`"));
        }
    }
}

/// What stands in the parentheses.
#[derive(Default)]
pub(super) struct Body {
    pub columns: Vec<ColumnDefinition>,
    pub watermark: Option<WatermarkDefinition>,
    rowtime: Option<Span>,
    pub primary_key: Option<Vec<(String, Span)>>,
    pub key_name: Option<String>,
}

impl Body {
    /// Reads all of it, up to the closing parenthesis.
    pub fn elements(&mut self, parser: &mut Parser) -> Result<()> {
        loop {
            self.element(parser)?;
            if parser.takes_sign(&Token::RParen) {
                return Ok(());
            }
            if !parser.takes_sign(&Token::Comma) {
                return Err(parser.unexpected("`,` or `)`"));
            }
        }
    }

    pub fn element(&mut self, parser: &mut Parser) -> Result<()> {
        let start = parser.here().start;
        if parser.sees(&["WATERMARK", "FOR"]) {
            return self.watermark(parser);
        }
        if parser.takes(&["CONSTRAINT"]) {
            self.key_name = Some(parser.name("the name of the constraint")?);
            if !parser.sees(&["PRIMARY", "KEY"]) && !parser.sees(&["UNIQUE"]) {
                return Err(parser.unexpected("PRIMARY KEY"));
            }
        }
        if parser.sees(&["UNIQUE"]) && matches!(parser.peek_nth_token_ref(1).token, Token::LParen) {
            return Err(refuse_unique(parser.here()));
        }
        if parser.takes(&["PRIMARY", "KEY"]) {
            let key = parser.names("the name of a column")?;
            return self.primary_key(parser, key, start);
        }
        self.column(parser)
    }

    fn column(&mut self, parser: &mut Parser) -> Result<()> {
        let start = parser.here().start;
        let name = parser.name("the name of a column")?;
        let named = parser.behind();
        if self.columns.iter().any(|other| other.name == name) {
            return Err(Error::query(format!("the table has two columns `{name}`")).with_span(named));
        }
        if self.columns.len() >= COLUMNS {
            return Err(Error::query(format!("the table has more than {COLUMNS} columns; that is the limit"))
                .with_id("BL-LIM-COLUMNS")
                .with_span(named));
        }
        let kind = if parser.takes(&["AS"]) {
            ColumnKind::Computed(Box::new(query::expression(parser)?))
        } else {
            self.typed(parser, &name, named, start)?
        };
        let comment = if parser.takes(&["COMMENT"]) { Some(parser.text("the comment in quotes")?) } else { None };
        self.columns.push(ColumnDefinition { name, kind, comment, span: Span { start, end: parser.behind().end } });
        Ok(())
    }

    /// A type and what follows it, but for the comment.
    fn typed(&mut self, parser: &mut Parser, name: &str, named: Span, start: usize) -> Result<ColumnKind> {
        let data_type = data_type(parser)?;
        let mut not_null = false;
        loop {
            if parser.takes(&["NOT", "NULL"]) {
                not_null = true;
            } else if parser.takes(&["NULL"]) {
                not_null = false;
            } else if parser.sees(&["PRIMARY", "KEY"]) || parser.sees(&["CONSTRAINT"]) {
                if parser.takes(&["CONSTRAINT"]) {
                    self.key_name = Some(parser.name("the name of the constraint")?);
                }
                parser.expects(&["PRIMARY", "KEY"])?;
                self.primary_key(parser, vec![(name.to_owned(), named)], start)?;
            } else if parser.sees(&["UNIQUE"]) {
                return Err(refuse_unique(parser.here()));
            } else {
                break;
            }
        }
        if !parser.takes(&["METADATA"]) {
            return Ok(ColumnKind::Physical { data_type, not_null });
        }
        let key = if parser.takes(&["FROM"]) { Some(parser.text("the metadata key in quotes")?) } else { None };
        let is_virtual = parser.takes(&["VIRTUAL"]);
        Ok(ColumnKind::Metadata { data_type, key, is_virtual })
    }

    fn watermark(&mut self, parser: &mut Parser) -> Result<()> {
        let start = parser.here().start;
        parser.expects(&["WATERMARK", "FOR"])?;
        let rowtime = parser.name("the name of the time column")?;
        let named = parser.behind();
        if parser.peek_token_ref().token == Token::Period {
            return Err(Error::query(
                "a watermark is that of a column, here as in Flink, and not of a field inside a ROW",
            )
            .with_span(named)
            .with_help("make the field a column: ts AS r.ts, WATERMARK FOR ts AS ts"));
        }
        parser.expects(&["AS"])?;
        let expression = Box::new(query::expression(parser)?);
        let span = Span { start, end: parser.behind().end };
        if self.watermark.is_some() {
            return Err(Error::query("a table has one WATERMARK at most").with_span(span));
        }
        self.watermark = Some(WatermarkDefinition { rowtime, expression, span, is_inherited: false });
        self.rowtime = Some(named);
        Ok(())
    }

    fn primary_key(&mut self, parser: &mut Parser, key: Vec<(String, Span)>, start: usize) -> Result<()> {
        let enforced = parser.takes(&["ENFORCED"]);
        if enforced || !parser.takes(&["NOT", "ENFORCED"]) {
            return Err(Error::query(
                "a PRIMARY KEY cannot be enforced: the table does not own its data and cannot check it",
            )
            .with_span(Span { start, end: parser.behind().end })
            .with_help("write PRIMARY KEY … NOT ENFORCED, and see to it that the data keeps to the key"));
        }
        let span = Span { start, end: parser.behind().end };
        if self.primary_key.is_some() {
            return Err(Error::query("a table has one PRIMARY KEY at most").with_span(span));
        }
        for (index, (name, place)) in key.iter().enumerate() {
            if key[..index].iter().any(|(other, _)| other == name) {
                return Err(Error::query(format!("the PRIMARY KEY names `{name}` twice")).with_span(*place));
            }
        }
        self.primary_key = Some(key);
        Ok(())
    }

    /// Whether the names that are used are columns; columns of the key are not null. If the body is not the whole table,
    /// names that are no columns here may be some of the rest.
    fn check(
        &mut self,
        partitions: &[(String, Span)],
        distribution: Option<&Distribution>,
        is_whole: bool,
    ) -> Result<()> {
        if !is_whole {
            for (name, _) in self.primary_key.iter().flatten() {
                let column = self.columns.iter_mut().find(|column| column.name == *name);
                if let Some(ColumnKind::Physical { not_null, .. }) = column.map(|column| &mut column.kind) {
                    *not_null = true;
                }
            }
            return Ok(());
        }
        for (name, place) in distribution.iter().flat_map(|distribution| &distribution.columns) {
            self.find(name, *place, "DISTRIBUTED BY")?;
        }
        if let Some((watermark, place)) = self.watermark.as_ref().zip(self.rowtime) {
            self.find(&watermark.rowtime, place, "the WATERMARK")?;
        }
        for (name, place) in partitions {
            self.find(name, *place, "PARTITIONED BY")?;
        }
        for (name, place) in self.primary_key.iter().flatten() {
            let index = self.find(name, *place, "the PRIMARY KEY")?;
            let ColumnKind::Physical { not_null, .. } = &mut self.columns[index].kind else {
                return Err(Error::query(format!("the PRIMARY KEY names `{name}`, which is not stored"))
                    .with_span(*place)
                    .with_help("a key is made of columns with a type, neither computed nor metadata"));
            };
            *not_null = true;
        }
        if self.columns.is_empty() && self.watermark.is_some() {
            return Err(Error::query("the table has no columns"));
        }
        Ok(())
    }

    fn find(&self, name: &str, place: Span, by: &str) -> Result<usize> {
        self.columns.iter().position(|column| column.name == name).ok_or_else(|| {
            let names: Vec<&str> = self.columns.iter().map(|column| column.name.as_str()).take(20).collect();
            let alike = names.iter().find(|other| other.eq_ignore_ascii_case(name));
            let hint =
                alike.map(|other| format!("; names keep their case: did you mean `{other}`?")).unwrap_or_default();
            Error::query(format!("{by} names `{name}`, which is not a column of the table"))
                .with_span(place)
                .with_help(format!("the columns are {}{hint}", names.join(", ")))
        })
    }
}

fn refuse_unique(span: Span) -> Error {
    Error::query("UNIQUE constraint is not supported yet").with_span(span).with_help("write PRIMARY KEY … NOT ENFORCED")
}
