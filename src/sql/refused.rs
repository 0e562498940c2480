//! What Flink has and Beadline does not have yet, so that each is refused by its name and with a next step.

use sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::error::{Error, Result};

use super::tokens::{cover, words};

const FILE: &str = "keep the statement for Flink, and run this script without it";
const TABLE: &str = "create the table with its columns, then fill it with INSERT INTO";
const NAMES: &str = "there is one catalog with one database; leave the prefix of names out";

/// The first words of a statement, and what to do instead.
const STATEMENTS: &[(&[&str], &str)] = &[
    (&["CREATE", "FUNCTION"], "use the functions that SHOW FUNCTIONS lists"),
    (&["CREATE", "TEMPORARY", "FUNCTION"], "use the functions that SHOW FUNCTIONS lists"),
    (&["CREATE", "TEMPORARY", "SYSTEM", "FUNCTION"], "use the functions that SHOW FUNCTIONS lists"),
    (&["CREATE", "MATERIALIZED", "TABLE"], TABLE),
    (&["CREATE", "OR", "ALTER", "MATERIALIZED", "TABLE"], TABLE),
    (&["CREATE", "MODEL"], FILE),
    (&["CREATE", "TEMPORARY", "MODEL"], FILE),
    (&["CREATE", "CONNECTION"], FILE),
    (&["ALTER", "MATERIALIZED", "TABLE"], FILE),
    (&["ALTER", "CATALOG"], NAMES),
    (&["ALTER", "DATABASE"], NAMES),
    (&["ALTER", "FUNCTION"], "use the functions that SHOW FUNCTIONS lists"),
    (&["ALTER", "TEMPORARY"], "use the functions that SHOW FUNCTIONS lists"),
    (&["ALTER", "MODEL"], FILE),
    (&["ALTER", "CONNECTION"], FILE),
    (&["ANALYZE"], "leave it out: no statistics are needed"),
    (&["USE", "MODULES"], "there are no modules; leave it out"),
    (&["LOAD"], "there are no modules; leave it out"),
    (&["UNLOAD"], "there are no modules; leave it out"),
    (&["ADD"], "connectors and formats are built in; leave it out"),
    (&["REMOVE"], "connectors and formats are built in; leave it out"),
    (&["COMPILE"], "run the INSERT itself: its checkpoint holds what a restart needs"),
    (&["EXECUTE", "PLAN"], "run the INSERT itself: its checkpoint holds what a restart needs"),
    (&["DESCRIBE", "CATALOG"], NAMES),
    (&["DESCRIBE", "DATABASE"], NAMES),
    (&["DESCRIBE", "FUNCTION"], "SHOW FUNCTIONS lists the functions"),
    (&["UPDATE"], "write the new rows with INSERT INTO"),
    (&["DELETE"], "write the rows to keep into another table with INSERT INTO"),
    (&["TRUNCATE"], "remove the files of the table"),
    (&["MERGE"], "write the rows with INSERT INTO"),
    (&["CALL"], FILE),
    (&["REFRESH"], FILE),
    (&["UPSERT"], "write INSERT INTO: the connector decides whether rows replace one another"),
    (&["INSERT", "OVERWRITE"], "write INSERT INTO, with --fresh where the files of an earlier run are to go first"),
    (&["SHOW", "PARTITIONS"], "read the columns: SELECT DISTINCT"),
    (&["SHOW", "CREATE", "CATALOG"], NAMES),
    (&["SHOW", "CREATE", "MATERIALIZED"], FILE),
    (&["SHOW", "CREATE", "MODEL"], FILE),
];

/// Refuses the statement if it is one that is not built yet.
pub(super) fn statement(tokens: &[TokenWithSpan]) -> Result<()> {
    match STATEMENTS.iter().find(|(first, _)| words(tokens, first)) {
        Some((first, help)) => Err(not_built(&first.join(" "), &tokens[..first.len()]).with_help(*help)),
        None => Ok(()),
    }
}

/// Refuses clauses of a query that are not built yet and that sqlparser could not read, or would read as names.
pub(super) fn in_query(tokens: &[TokenWithSpan]) -> Result<()> {
    for (index, token) in tokens.iter().enumerate() {
        if !matches!(&token.token, Token::Word(word) if word.quote_style.is_none()) {
            continue;
        }
        let rest = &tokens[index..];
        let opens = |behind: usize| rest.get(behind).is_some_and(|token| token.token == Token::LParen);
        if words(rest, &["ON", "CONFLICT"]) {
            return Err(not_built("ON CONFLICT", &rest[..2])
                .with_help("leave it out: the connector decides whether rows replace one another"));
        }
        for name in ["PIVOT", "UNPIVOT", "TABLESAMPLE"] {
            if words(rest, &[name]) && opens(1) {
                return Err(not_built(name, &rest[..1]).with_help("write it with CASE and GROUP BY, or UNION ALL"));
            }
        }
    }
    Ok(())
}

/// An error that names what is missing.
pub(super) fn not_built(what: &str, tokens: &[TokenWithSpan]) -> Error {
    Error::query(format!("{what} is not built yet")).with_span(cover(tokens))
}
