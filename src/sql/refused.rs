//! What Flink has and Beadline does not have yet, so that each is refused by its name and with a next step.

use sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::error::{Error, Result};

use super::tokens::{FOR_FLINK, cover, words};

const TABLE: &str = "create the table with its columns, then fill it with INSERT INTO";
const NAMES: &str = "there is one catalog with one database; leave the prefix of names out";

/// The first words of a statement, and what to do instead.
const STATEMENTS: &[(&[&str], &str)] = &[
    (&["CREATE", "FUNCTION"], "use the functions that SHOW FUNCTIONS lists"),
    (&["CREATE", "TEMPORARY", "FUNCTION"], "use the functions that SHOW FUNCTIONS lists"),
    (&["CREATE", "TEMPORARY", "SYSTEM", "FUNCTION"], "use the functions that SHOW FUNCTIONS lists"),
    (&["CREATE", "MATERIALIZED", "TABLE"], TABLE),
    (&["CREATE", "OR", "ALTER", "MATERIALIZED", "TABLE"], TABLE),
    (&["CREATE", "MODEL"], FOR_FLINK),
    (&["CREATE", "TEMPORARY", "MODEL"], FOR_FLINK),
    (&["CREATE", "CONNECTION"], FOR_FLINK),
    (&["CREATE", "TEMPORARY", "CONNECTION"], FOR_FLINK),
    (&["CREATE", "TEMPORARY", "SYSTEM", "CONNECTION"], FOR_FLINK),
    (&["DROP", "CONNECTION"], FOR_FLINK),
    (&["DROP", "TEMPORARY", "CONNECTION"], FOR_FLINK),
    (&["DROP", "TEMPORARY", "SYSTEM", "CONNECTION"], FOR_FLINK),
    (&["ALTER", "MATERIALIZED", "TABLE"], FOR_FLINK),
    (&["ALTER", "CATALOG"], NAMES),
    (&["ALTER", "DATABASE"], NAMES),
    (&["ALTER", "FUNCTION"], "use the functions that SHOW FUNCTIONS lists"),
    (&["ALTER", "TEMPORARY"], "use the functions that SHOW FUNCTIONS lists"),
    (&["ALTER", "MODEL"], FOR_FLINK),
    (&["ALTER", "CONNECTION"], FOR_FLINK),
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
    (&["DESCRIBE", "MODEL"], FOR_FLINK),
    (&["DESC", "CATALOG"], NAMES),
    (&["DESC", "DATABASE"], NAMES),
    (&["DESC", "FUNCTION"], "SHOW FUNCTIONS lists the functions"),
    (&["DESC", "MODEL"], FOR_FLINK),
    (&["UPDATE"], "write the new rows with INSERT INTO"),
    (&["DELETE"], "write the rows to keep into another table with INSERT INTO"),
    (&["TRUNCATE"], "remove the files of the table"),
    (&["MERGE"], "write the rows with INSERT INTO"),
    (&["CALL"], FOR_FLINK),
    (&["REFRESH"], FOR_FLINK),
    (&["UPSERT"], "write INSERT INTO: the connector decides whether rows replace one another"),
    (&["INSERT", "OVERWRITE"], "write INSERT INTO, with --fresh where the files of an earlier run are to go first"),
    (&["SHOW", "PARTITIONS"], "read the columns: SELECT DISTINCT"),
    (&["SHOW", "CREATE", "CATALOG"], NAMES),
    (&["SHOW", "CREATE", "MATERIALIZED"], FOR_FLINK),
    (&["SHOW", "CREATE", "MODEL"], FOR_FLINK),
    (&["SHOW", "CREATE", "CONNECTION"], FOR_FLINK),
];

/// Functions of models and vectors, whose arguments begin with a table.
const MODELS: &[&str] = &["ML_EVALUATE", "ML_PREDICT", "VECTOR_SEARCH"];

/// Refuses the statement if it is one that is not built yet.
pub(super) fn statement(tokens: &[TokenWithSpan]) -> Result<()> {
    // Alone the second word of a DESCRIBE is the name of a table.
    let is_name = |first: &[&str]| first[0].starts_with("DESC") && tokens.get(first.len()).is_none_or(is_end);
    match STATEMENTS.iter().find(|(first, _)| words(tokens, first) && !is_name(first)) {
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
        if opens(1)
            && let Some(name) = MODELS.iter().find(|name| words(rest, &[name]) && takes_table(&rest[2..]))
        {
            return Err(not_built(&format!("the table function {name}"), &rest[..1]).with_help(FOR_FLINK));
        }
        if words(rest, &["TABLESAMPLE"]) {
            return Err(not_built("TABLESAMPLE", &rest[..1])
                .with_help("write WHERE MOD(id, 10) = 0, by a column that is spread evenly"));
        }
        for (name, help) in [
            ("PIVOT", "write SELECT k, SUM(CASE WHEN a = 1 THEN n END) AS one FROM t GROUP BY k"),
            ("UNPIVOT", "write SELECT k, a FROM t UNION ALL SELECT k, b FROM t"),
        ] {
            if words(rest, &[name]) && opens(1) {
                let error = Error::query(format!("{name} is not Flink's SQL"));
                return Err(error.with_span(cover(&rest[..1])).with_help(help));
            }
        }
    }
    Ok(())
}

/// Whether the arguments of a function begin with a table.
fn takes_table(arguments: &[TokenWithSpan]) -> bool {
    ["TABLE", "INPUT", "SEARCH_TABLE"].iter().any(|word| words(arguments, &[word]))
}

fn is_end(token: &TokenWithSpan) -> bool {
    token.token == Token::EOF
}

/// An error that names what is missing.
pub(super) fn not_built(what: &str, tokens: &[TokenWithSpan]) -> Error {
    Error::query(format!("{what} is not built yet")).with_span(cover(tokens))
}
