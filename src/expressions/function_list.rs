//! All functions there are: a family is a file with a list, and the lists stand here.

use super::aggregates::AGGREGATE_FUNCTIONS;
use super::function::{Example, Function};

/// Every function that a query may call by name, by family.
pub fn functions() -> impl Iterator<Item = &'static Function> {
    [
        super::numbers::FUNCTIONS,
        super::trigonometry::FUNCTIONS,
        super::choice::FUNCTIONS,
        super::strings::FUNCTIONS,
        super::editing::FUNCTIONS,
        super::patterns::FUNCTIONS,
        super::matches::FUNCTIONS,
        super::classes::FUNCTIONS,
        super::printf::FUNCTIONS,
        super::codings::FUNCTIONS,
        super::hashes::FUNCTIONS,
        super::urls::FUNCTIONS,
        super::json::FUNCTIONS,
        super::times::FUNCTIONS,
        super::instants::FUNCTIONS,
        super::calendar::FUNCTIONS,
    ]
    .into_iter()
    .chain(super::nested::FUNCTIONS)
    .flatten()
}

/// What a query calls by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    pub name: &'static str,
    /// Arguments and meaning in a line.
    pub doc: &'static str,
    pub example: Example,
    /// Whether it is a function of groups, and its example one over rows.
    pub is_aggregate: bool,
}

const fn form(name: &'static str, doc: &'static str, call: &'static str, result: &'static str) -> Form {
    Form { name, doc, example: Example { call, result }, is_aggregate: false }
}

/// Names that are no plain functions but read like one; the binder knows them.
const SPECIAL_FORMS: &[Form] = &[
    form("ARRAY", "ARRAY[value, …]: an array of these elements", "ARRAY[1, 2, 3]", "[1,2,3]"),
    form(
        "CASE",
        "CASE [value] WHEN … THEN … [ELSE …] END: the first branch whose condition holds",
        "CASE WHEN 1 > 2 THEN 'a' ELSE 'b' END",
        "b",
    ),
    form(
        "CAST",
        "CAST(value AS type): the value in another type; fails where it does not fit",
        "CAST('12.345' AS DECIMAL(5, 2))",
        "12.35",
    ),
    form("COALESCE", "COALESCE(value, …): the first value that is not NULL", "COALESCE(CAST(NULL AS INT), 2, 3)", "2"),
    form(
        "CURRENT_WATERMARK",
        "CURRENT_WATERMARK(rowtime): the watermark that the row met, NULL before the first",
        "SELECT CURRENT_WATERMARK(ts) FROM e WHERE id = 3",
        "2024-01-01T00:00:20",
    ),
    form(
        "CURRENT_DATABASE",
        "CURRENT_DATABASE(): the name of the one database",
        "CURRENT_DATABASE()",
        "default_database",
    ),
    form("CURRENT_DATE", "CURRENT_DATE: the day of CURRENT_TIMESTAMP", "CURRENT_DATE > DATE '2024-01-01'", "true"),
    form(
        "CURRENT_ROW_TIMESTAMP",
        "CURRENT_ROW_TIMESTAMP(): as CURRENT_TIMESTAMP",
        "CURRENT_ROW_TIMESTAMP() IS NOT NULL",
        "true",
    ),
    form(
        "CURRENT_TIME",
        "CURRENT_TIME: the time of CURRENT_TIMESTAMP without its day",
        "CURRENT_TIME IS NULL",
        "false",
    ),
    form(
        "CURRENT_TIMESTAMP",
        "CURRENT_TIMESTAMP: the time of day when the row is worked on, to the millisecond; in batch mode one moment for all",
        "CURRENT_TIMESTAMP IS NULL",
        "false",
    ),
    form(
        "EXTRACT",
        "EXTRACT(unit FROM time): a field of a date or time",
        "EXTRACT(YEAR FROM DATE '2024-02-29')",
        "2024",
    ),
    form(
        "GROUPING",
        "GROUPING(key, …): a bit a key, 1 where the grouping set of the row leaves it out",
        "SELECT x, GROUPING(x), COUNT(*) FROM t GROUP BY ROLLUP (x) HAVING GROUPING(x) = 1",
        "NULL | 1 | 4",
    ),
    form(
        "GROUPING_ID",
        "GROUPING_ID(key, …): the same as GROUPING",
        "SELECT x, s, GROUPING_ID(x, s), COUNT(*) FROM t GROUP BY CUBE (x, s) HAVING GROUPING_ID(x, s) = 3",
        "NULL | NULL | 3 | 4",
    ),
    form(
        "GROUP_ID",
        "GROUP_ID(): 0, as in Flink",
        "SELECT GROUP_ID(), COUNT(*) FROM t WHERE x = 1 GROUP BY x",
        "0 | 1",
    ),
    form(
        "HOP_END",
        "HOP_END(ts, slide, size): the end of the window of GROUP BY HOP(ts, slide, size)",
        "SELECT HOP_END(ts, INTERVAL '1' MINUTE, INTERVAL '1' MINUTE) FROM e WHERE id = 3 GROUP BY HOP(ts, INTERVAL '1' MINUTE, INTERVAL '1' MINUTE)",
        "2024-01-01T00:02",
    ),
    form(
        "HOP_PROCTIME",
        "HOP_PROCTIME(ts, slide, size): the time of day when a window of the clock leaves; NULL of one by event time",
        "SELECT HOP_PROCTIME(ts, INTERVAL '1' MINUTE, INTERVAL '1' MINUTE) FROM e WHERE id = 3 GROUP BY HOP(ts, INTERVAL '1' MINUTE, INTERVAL '1' MINUTE)",
        "NULL",
    ),
    form(
        "HOP_ROWTIME",
        "HOP_ROWTIME(ts, slide, size): the last millisecond of the window of GROUP BY HOP(ts, slide, size), as a time attribute",
        "SELECT HOP_ROWTIME(ts, INTERVAL '1' MINUTE, INTERVAL '1' MINUTE) FROM e WHERE id = 3 GROUP BY HOP(ts, INTERVAL '1' MINUTE, INTERVAL '1' MINUTE)",
        "2024-01-01T00:01:59.999",
    ),
    form(
        "HOP_START",
        "HOP_START(ts, slide, size): the start of the window of GROUP BY HOP(ts, slide, size)",
        "SELECT HOP_START(ts, INTERVAL '1' MINUTE, INTERVAL '1' MINUTE) FROM e WHERE id = 3 GROUP BY HOP(ts, INTERVAL '1' MINUTE, INTERVAL '1' MINUTE)",
        "2024-01-01T00:01",
    ),
    form("IF", "IF(condition, then, else): one of two values", "IF(1 > 2, 'a', 'b')", "b"),
    form("IFNULL", "IFNULL(value, other): the other if the value is NULL", "IFNULL(CAST(NULL AS INT), 0)", "0"),
    form(
        "JSON_ARRAY",
        "JSON_ARRAY(value, … [{NULL | ABSENT} ON NULL]): the values as an array in JSON",
        "JSON_ARRAY(1, 'a', TRUE)",
        r#"[1,"a",true]"#,
    ),
    form(
        "JSON_ARRAYAGG",
        "JSON_ARRAYAGG(value [{NULL | ABSENT} ON NULL]): the values of the rows as an array in JSON",
        "SELECT JSON_ARRAYAGG(x) FROM t",
        "[1,2,2,4]",
    ),
    form(
        "JSON_EXISTS",
        "JSON_EXISTS(text, path [… ON ERROR]): whether the path leads to something in the JSON",
        r#"JSON_EXISTS('{"a": 1}', '$.b')"#,
        "false",
    ),
    form(
        "JSON_OBJECT",
        "JSON_OBJECT(name VALUE value, … [{NULL | ABSENT} ON NULL]): the values as an object in JSON",
        "JSON_OBJECT('a' VALUE 1, 'b' VALUE 'x')",
        r#"{"a":1,"b":"x"}"#,
    ),
    form(
        "JSON_OBJECTAGG",
        "JSON_OBJECTAGG(name VALUE value [{NULL | ABSENT} ON NULL]): names and values of the rows as an object in JSON",
        "SELECT JSON_OBJECTAGG(KEY s VALUE x) FROM t WHERE x <> 2 AND s IS NOT NULL",
        r#"{"a":1}"#,
    ),
    form(
        "JSON_QUERY",
        "JSON_QUERY(text, path [… WRAPPER] [… ON EMPTY] [… ON ERROR]): the array or object that the path leads to, in JSON",
        r#"JSON_QUERY('{"a": [1, 2]}', '$.a')"#,
        "[1,2]",
    ),
    form(
        "JSON_VALUE",
        "JSON_VALUE(text, path [RETURNING type] [… ON EMPTY] [… ON ERROR]): the text, number or truth that the path leads to",
        r#"JSON_VALUE('{"a": {"b": 3}}', '$.a.b')"#,
        "3",
    ),
    form("LOCALTIME", "LOCALTIME: as CURRENT_TIME", "LOCALTIME IS NULL", "false"),
    form(
        "LOCALTIMESTAMP",
        "LOCALTIMESTAMP: CURRENT_TIMESTAMP as a TIMESTAMP(3)",
        "LOCALTIMESTAMP > TIMESTAMP '2024-01-01 00:00:00'",
        "true",
    ),
    form(
        "MAP",
        "MAP[key, value, …]: a map with these entries; of a key that comes twice the last value",
        "MAP['a', 1, 'b', 2]",
        "{a=1, b=2}",
    ),
    form("NOW", "NOW(): as CURRENT_TIMESTAMP", "NOW() IS NULL", "false"),
    form("NULLIF", "NULLIF(value, other): NULL if both are equal", "NULLIF(1, 1)", "NULL"),
    form(
        "PROCTIME",
        "PROCTIME(): when the row was read, as a time attribute: windows may be put on it",
        "PROCTIME() IS NULL",
        "false",
    ),
    form(
        "RAND",
        "RAND([seed]): a DOUBLE from 0 to 1 that is another for each row; with a seed the sequence of Java's Random, from its start in each task and after a restart",
        "RAND(42)",
        "0.7275636800328681",
    ),
    form(
        "RAND_INTEGER",
        "RAND_INTEGER([seed,] bound): a whole number from 0 to below the bound; otherwise as RAND",
        "RAND_INTEGER(42, 1000)",
        "130",
    ),
    form("ROW", "ROW(value, …) or (value, …): a row of these fields", "ROW(1, 'a')", "(1,a)"),
    form(
        "SESSION_END",
        "SESSION_END(ts, gap): the end of the window of GROUP BY SESSION(ts, gap), a gap behind its last row",
        "SELECT SESSION_END(ts, INTERVAL '1' MINUTE) FROM e WHERE id = 3 GROUP BY SESSION(ts, INTERVAL '1' MINUTE)",
        "2024-01-01T00:02:20",
    ),
    form(
        "SESSION_PROCTIME",
        "SESSION_PROCTIME(ts, gap): the time of day when a window of the clock leaves; NULL of one by event time",
        "SELECT SESSION_PROCTIME(ts, INTERVAL '1' MINUTE) FROM e WHERE id = 3 GROUP BY SESSION(ts, INTERVAL '1' MINUTE)",
        "NULL",
    ),
    form(
        "SESSION_ROWTIME",
        "SESSION_ROWTIME(ts, gap): the last millisecond of the window of GROUP BY SESSION(ts, gap), as a time attribute",
        "SELECT SESSION_ROWTIME(ts, INTERVAL '1' MINUTE) FROM e WHERE id = 3 GROUP BY SESSION(ts, INTERVAL '1' MINUTE)",
        "2024-01-01T00:02:19.999",
    ),
    form(
        "SESSION_START",
        "SESSION_START(ts, gap): the start of the window of GROUP BY SESSION(ts, gap), its first row",
        "SELECT SESSION_START(ts, INTERVAL '1' MINUTE) FROM e WHERE id = 3 GROUP BY SESSION(ts, INTERVAL '1' MINUTE)",
        "2024-01-01T00:01:20",
    ),
    form(
        "TIMESTAMPADD",
        "TIMESTAMPADD(unit, amount, time): the time moved by so many units",
        "TIMESTAMPADD(DAY, 1, DATE '2024-02-28')",
        "2024-02-29",
    ),
    form(
        "TIMESTAMPDIFF",
        "TIMESTAMPDIFF(unit, from, to): whole units from one time to another",
        "TIMESTAMPDIFF(HOUR, TIMESTAMP '2024-01-01 00:00:00', TIMESTAMP '2024-01-02 01:30:00')",
        "25",
    ),
    form(
        "TRY_CAST",
        "TRY_CAST(value AS type): as CAST, but NULL where it does not fit",
        "TRY_CAST('one' AS INT)",
        "NULL",
    ),
    form(
        "TUMBLE_END",
        "TUMBLE_END(ts, size): the end of the window of GROUP BY TUMBLE(ts, size)",
        "SELECT TUMBLE_END(ts, INTERVAL '1' MINUTE) FROM e WHERE id = 3 GROUP BY TUMBLE(ts, INTERVAL '1' MINUTE)",
        "2024-01-01T00:02",
    ),
    form(
        "TUMBLE_PROCTIME",
        "TUMBLE_PROCTIME(ts, size): the time of day when a window of the clock leaves; NULL of one by event time",
        "SELECT TUMBLE_PROCTIME(ts, INTERVAL '1' MINUTE) FROM e WHERE id = 3 GROUP BY TUMBLE(ts, INTERVAL '1' MINUTE)",
        "NULL",
    ),
    form(
        "TUMBLE_ROWTIME",
        "TUMBLE_ROWTIME(ts, size): the last millisecond of the window of GROUP BY TUMBLE(ts, size), as a time attribute",
        "SELECT TUMBLE_ROWTIME(ts, INTERVAL '1' MINUTE) FROM e WHERE id = 3 GROUP BY TUMBLE(ts, INTERVAL '1' MINUTE)",
        "2024-01-01T00:01:59.999",
    ),
    form(
        "TUMBLE_START",
        "TUMBLE_START(ts, size): the start of the window of GROUP BY TUMBLE(ts, size)",
        "SELECT TUMBLE_START(ts, INTERVAL '1' MINUTE) FROM e WHERE id = 3 GROUP BY TUMBLE(ts, INTERVAL '1' MINUTE)",
        "2024-01-01T00:01",
    ),
    form(
        "TYPEOF",
        "TYPEOF(value): the name of its type; a text of any length is a STRING, and parts of a value may be NULL",
        "TYPEOF(CAST(1 AS DECIMAL(7, 2)))",
        "DECIMAL(7, 2) NOT NULL",
    ),
    form(
        "UUID",
        "UUID(): a text such as 3f1c9a52-7b0e-4d3a-9c57-02b6c1d5e8f4 that is another for each row; not for secrets",
        "CHAR_LENGTH(UUID())",
        "36",
    ),
];

/// Every function there is, by name: SHOW FUNCTIONS.
pub fn function_list() -> Vec<Form> {
    let plain = functions().map(|function| {
        let Function { name, doc, example, .. } = *function;
        Form { name, doc, example, is_aggregate: false }
    });
    let aggregates = AGGREGATE_FUNCTIONS.iter().map(|(name, _, doc, example)| Form {
        name,
        doc,
        example: *example,
        is_aggregate: true,
    });
    let mut all: Vec<Form> = plain.chain(SPECIAL_FORMS.iter().copied()).chain(aggregates).collect();
    all.sort_unstable_by_key(|form| form.name);
    all
}

/// The form that is no plain function of that name in capitals.
pub fn special_form(name: &str) -> Option<&'static Form> {
    SPECIAL_FORMS.iter().find(|form| form.name == name)
}

/// The function of that name, in any case.
pub fn lookup(name: &str) -> Option<&'static Function> {
    functions().find(|function| function.name.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_is_there_once_and_has_a_doc_and_an_example() {
        let list = function_list();
        assert!(list.windows(2).all(|pair| pair[0].name != pair[1].name), "{list:?}");
        assert!(list.iter().all(|form| form.doc.contains(':') && form.doc.starts_with(form.name)), "{list:?}");
        assert!(list.iter().all(|form| form.example.call.contains(form.name)), "{list:?}");
        assert!(lookup("upper").is_some() && lookup("md5sum").is_none());
    }
}
