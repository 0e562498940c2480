//! All functions there are: a family is a file with a list, and the lists stand here.

use super::aggregates::AGGREGATE_FUNCTIONS;
use super::function::Function;

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

/// Names that are no plain functions but read like one; the binder knows them.
pub const SPECIAL_FORMS: &[(&str, &str)] = &[
    ("ARRAY", "ARRAY[value, …]: an array of these elements"),
    ("CASE", "CASE [value] WHEN … THEN … [ELSE …] END: the first branch whose condition holds"),
    ("CAST", "CAST(value AS type): the value in another type; fails where it does not fit"),
    ("COALESCE", "COALESCE(value, …): the first value that is not NULL"),
    ("CURRENT_WATERMARK", "CURRENT_WATERMARK(rowtime): the watermark that the row met, NULL before the first"),
    ("CURRENT_DATABASE", "CURRENT_DATABASE(): the name of the one database"),
    ("CURRENT_DATE", "CURRENT_DATE: the day of CURRENT_TIMESTAMP"),
    ("CURRENT_ROW_TIMESTAMP", "CURRENT_ROW_TIMESTAMP(): as CURRENT_TIMESTAMP"),
    ("CURRENT_TIME", "CURRENT_TIME: the time of CURRENT_TIMESTAMP without its day"),
    (
        "CURRENT_TIMESTAMP",
        "CURRENT_TIMESTAMP: the time of day when the row is worked on, to the millisecond; in batch mode one moment for all",
    ),
    ("EXTRACT", "EXTRACT(unit FROM time): a field of a date or time"),
    ("GROUPING", "GROUPING(key, …): a bit a key, 1 where the grouping set of the row leaves it out"),
    ("GROUPING_ID", "GROUPING_ID(key, …): the same as GROUPING"),
    ("GROUP_ID", "GROUP_ID(): 0, as in Flink"),
    ("HOP_END", "HOP_END(ts, slide, size): the end of the window of GROUP BY HOP(ts, slide, size)"),
    (
        "HOP_PROCTIME",
        "HOP_PROCTIME(ts, slide, size): the time of day when a window of the clock leaves; NULL of one by event time",
    ),
    (
        "HOP_ROWTIME",
        "HOP_ROWTIME(ts, slide, size): the last millisecond of the window of GROUP BY HOP(ts, slide, size), as a time attribute",
    ),
    ("HOP_START", "HOP_START(ts, slide, size): the start of the window of GROUP BY HOP(ts, slide, size)"),
    ("IF", "IF(condition, then, else): one of two values"),
    ("IFNULL", "IFNULL(value, other): the other if the value is NULL"),
    ("JSON_ARRAY", "JSON_ARRAY(value, … [{NULL | ABSENT} ON NULL]): the values as an array in JSON"),
    ("JSON_ARRAYAGG", "JSON_ARRAYAGG(value [{NULL | ABSENT} ON NULL]): the values of the rows as an array in JSON"),
    ("JSON_EXISTS", "JSON_EXISTS(text, path [… ON ERROR]): whether the path leads to something in the JSON"),
    ("JSON_OBJECT", "JSON_OBJECT(name VALUE value, … [{NULL | ABSENT} ON NULL]): the values as an object in JSON"),
    (
        "JSON_OBJECTAGG",
        "JSON_OBJECTAGG(name VALUE value [{NULL | ABSENT} ON NULL]): names and values of the rows as an object in JSON",
    ),
    (
        "JSON_QUERY",
        "JSON_QUERY(text, path [… WRAPPER] [… ON EMPTY] [… ON ERROR]): the array or object that the path leads to, in JSON",
    ),
    (
        "JSON_VALUE",
        "JSON_VALUE(text, path [RETURNING type] [… ON EMPTY] [… ON ERROR]): the text, number or truth that the path leads to",
    ),
    ("LOCALTIME", "LOCALTIME: as CURRENT_TIME"),
    ("LOCALTIMESTAMP", "LOCALTIMESTAMP: CURRENT_TIMESTAMP as a TIMESTAMP(3)"),
    ("MAP", "MAP[key, value, …]: a map with these entries; of a key that comes twice the last value"),
    ("NOW", "NOW(): as CURRENT_TIMESTAMP"),
    ("NULLIF", "NULLIF(value, other): NULL if both are equal"),
    ("PROCTIME", "PROCTIME(): when the row was read, as a time attribute: windows may be put on it"),
    ("ROW", "ROW(value, …) or (value, …): a row of these fields"),
    (
        "SESSION_END",
        "SESSION_END(ts, gap): the end of the window of GROUP BY SESSION(ts, gap), a gap behind its last row",
    ),
    (
        "SESSION_PROCTIME",
        "SESSION_PROCTIME(ts, gap): the time of day when a window of the clock leaves; NULL of one by event time",
    ),
    (
        "SESSION_ROWTIME",
        "SESSION_ROWTIME(ts, gap): the last millisecond of the window of GROUP BY SESSION(ts, gap), as a time attribute",
    ),
    ("SESSION_START", "SESSION_START(ts, gap): the start of the window of GROUP BY SESSION(ts, gap), its first row"),
    ("TIMESTAMPADD", "TIMESTAMPADD(unit, amount, time): the time moved by so many units"),
    ("TIMESTAMPDIFF", "TIMESTAMPDIFF(unit, from, to): whole units from one time to another"),
    ("TRY_CAST", "TRY_CAST(value AS type): as CAST, but NULL where it does not fit"),
    ("TUMBLE_END", "TUMBLE_END(ts, size): the end of the window of GROUP BY TUMBLE(ts, size)"),
    (
        "TUMBLE_PROCTIME",
        "TUMBLE_PROCTIME(ts, size): the time of day when a window of the clock leaves; NULL of one by event time",
    ),
    (
        "TUMBLE_ROWTIME",
        "TUMBLE_ROWTIME(ts, size): the last millisecond of the window of GROUP BY TUMBLE(ts, size), as a time attribute",
    ),
    ("TUMBLE_START", "TUMBLE_START(ts, size): the start of the window of GROUP BY TUMBLE(ts, size)"),
];

/// Name and doc of every function there is, sorted: SHOW FUNCTIONS.
pub fn function_list() -> Vec<(&'static str, &'static str)> {
    let plain = functions().map(|function| (function.name, function.doc));
    let aggregates = AGGREGATE_FUNCTIONS.iter().map(|(name, _, doc)| (*name, *doc));
    let mut all: Vec<_> = plain.chain(SPECIAL_FORMS.iter().copied()).chain(aggregates).collect();
    all.sort_unstable();
    all
}

/// The function of that name, in any case.
pub fn lookup(name: &str) -> Option<&'static Function> {
    functions().find(|function| function.name.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_is_there_once_and_has_a_doc() {
        let list = function_list();
        assert!(list.windows(2).all(|pair| pair[0].0 != pair[1].0), "{list:?}");
        assert!(list.iter().all(|(name, doc)| doc.contains(':') && doc.starts_with(name)), "{list:?}");
        assert!(lookup("upper").is_some() && lookup("md5sum").is_none());
    }
}
