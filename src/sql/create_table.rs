//! `CREATE TABLE`: columns of every kind, watermark, key, partitions, options.

use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

use crate::error::{Error, Result, Span};

use super::cursor::Cursor;
use super::data_type::data_type;
use super::query;
use super::statement::{ColumnDefinition, ColumnKind, CreateTable, WatermarkDefinition};

/// The most columns of a table.
const COLUMNS: usize = 2000;

/// Reads what stands behind `CREATE … TABLE`.
pub(super) fn create_table(parser: &mut Parser, or_replace: bool, temporary: bool) -> Result<CreateTable> {
    let if_not_exists = parser.takes(&["IF", "NOT", "EXISTS"]);
    let name = parser.object_name("the name of the table")?;
    let mut body = Body::default();
    let mut table = CreateTable {
        options_span: name.span,
        name,
        temporary,
        if_not_exists,
        or_replace,
        columns: Vec::new(),
        watermark: None,
        primary_key: Vec::new(),
        partitioned_by: Vec::new(),
        comment: None,
        options: Vec::new(),
    };
    if parser.takes_sign(&Token::LParen) {
        loop {
            body.element(parser)?;
            if parser.takes_sign(&Token::RParen) {
                break;
            }
            if !parser.takes_sign(&Token::Comma) {
                return Err(parser.unexpected("`,` or `)`"));
            }
        }
    } else if !parser.sees(&["AS"]) && !parser.sees(&["LIKE"]) {
        return Err(parser.unexpected("`(` and the columns"));
    }
    let mut partitions = Vec::new();
    while !matches!(parser.peek_token_ref().token, Token::EOF) {
        clause(parser, &mut table, &mut partitions)?;
    }
    body.check(&partitions)?;
    table.partitioned_by = partitions.into_iter().map(|(name, _)| name).collect();
    table.columns = body.columns;
    table.watermark = body.watermark;
    table.primary_key = body.primary_key.into_iter().flatten().map(|(name, _)| name).collect();
    Ok(table)
}

/// A clause behind the columns.
fn clause(parser: &mut Parser, table: &mut CreateTable, partitions: &mut Vec<(String, Span)>) -> Result<()> {
    let start = parser.here().start;
    if parser.takes(&["COMMENT"]) {
        table.comment = Some(parser.text("the comment in quotes")?);
    } else if parser.takes(&["PARTITIONED", "BY"]) {
        partitions.extend(parser.names("the name of a column")?);
    } else if parser.sees(&["WITH"]) {
        parser.expects(&["WITH"])?;
        options(parser, &mut table.options)?;
        table.options_span = Span { start, end: parser.behind().end };
    } else {
        for (words, help) in [
            (&["AS"][..], "create the table with its columns, then fill it with INSERT INTO … SELECT"),
            (&["LIKE"], "write the columns and options out"),
            (&["DISTRIBUTED"], "leave it out: rows are distributed by their keys"),
        ] {
            if parser.sees(words) {
                let word = words[0];
                return Err(Error::query(format!("CREATE TABLE … {word} is not built yet"))
                    .with_span(parser.here())
                    .with_help(help));
            }
        }
        return Err(parser.unexpected("WITH, PARTITIONED BY, COMMENT or the end of the statement"));
    }
    Ok(())
}

/// `('key' = 'value', …)`
fn options(parser: &mut Parser, options: &mut Vec<(String, String)>) -> Result<()> {
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
struct Body {
    columns: Vec<ColumnDefinition>,
    watermark: Option<WatermarkDefinition>,
    rowtime: Option<Span>,
    primary_key: Option<Vec<(String, Span)>>,
}

impl Body {
    fn element(&mut self, parser: &mut Parser) -> Result<()> {
        let start = parser.here().start;
        if parser.sees(&["WATERMARK", "FOR"]) {
            return self.watermark(parser);
        }
        if parser.takes(&["CONSTRAINT"]) {
            parser.name("the name of the constraint")?;
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
                    parser.name("the name of the constraint")?;
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
            return Err(Error::query("the watermark is not built yet for a field inside a ROW")
                .with_span(named)
                .with_help("make it a column: ts AS `row`.`field`, then WATERMARK FOR ts"));
        }
        parser.expects(&["AS"])?;
        let expression = Box::new(query::expression(parser)?);
        let span = Span { start, end: parser.behind().end };
        if self.watermark.is_some() {
            return Err(Error::query("a table has one WATERMARK at most").with_span(span));
        }
        self.watermark = Some(WatermarkDefinition { rowtime, expression, span });
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

    /// Whether the names that are used are columns; columns of the key are not null.
    fn check(&mut self, partitions: &[(String, Span)]) -> Result<()> {
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
