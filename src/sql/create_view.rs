//! `CREATE VIEW`: a name for a query.

use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

use crate::error::{Error, Result};

use super::cursor::Cursor;
use super::query;
use super::statement::CreateView;

/// Reads what stands behind `CREATE … VIEW`. `text` is the statement's, which begins at `offset`.
pub(super) fn create_view(
    parser: &mut Parser,
    or_replace: bool,
    temporary: bool,
    text: &str,
    offset: usize,
) -> Result<CreateView> {
    let if_not_exists = parser.takes(&["IF", "NOT", "EXISTS"]);
    let name = parser.object_name("the name of the view")?;
    let mut columns: Vec<String> = Vec::new();
    if parser.peek_token_ref().token == Token::LParen {
        for (column, span) in parser.names("the name of a column")? {
            if columns.contains(&column) {
                return Err(Error::query(format!("the view has two columns `{column}`")).with_span(span));
            }
            columns.push(column);
        }
    }
    let comment = if parser.takes(&["COMMENT"]) { Some(parser.text("the comment in quotes")?) } else { None };
    parser.expects(&["AS"])?;
    let start = parser.here().start;
    let query = query::query(parser)?;
    let end = parser.behind().end;
    let query_text = text.get(start - offset..end - offset).unwrap_or_default().to_owned();
    Ok(CreateView { name, temporary, if_not_exists, or_replace, columns, comment, query, query_text })
}
