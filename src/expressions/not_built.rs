//! Flink's functions that are not here yet. They are those of Flink 2.3 that a query can call by name, each with what
//! does in its place, so that none is taken for a mistake in spelling.

/// What a query can call in Flink and not here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotBuilt {
    /// A value of a row, or of an OVER.
    Scalar,
    /// A value of a group.
    Aggregate,
    /// Rows, in a FROM.
    Table,
    /// A word of a pattern in MATCH_RECOGNIZE.
    Pattern,
}

/// A name in capitals, what it is, and what does in its place: empty where nothing does.
type Entry = (&'static str, NotBuilt, &'static str);

use NotBuilt::{Aggregate, Pattern, Scalar, Table};

/// What does in the place of the first rows of an order in a query that goes on.
pub const FIRST_ROWS: &str = "over input that ends the first rows are SELECT … ORDER BY … LIMIT 10";

const NOT_BUILT: &[Entry] = &[
    ("CLASSIFIER", Pattern, ""),
    ("CUME_DIST", Scalar, ""),
    ("DENSE_RANK", Scalar, FIRST_ROWS),
    ("FIRST", Pattern, ""),
    ("FROM_CHANGELOG", Table, ""),
    ("IS_JSON", Scalar, "as a condition: x IS JSON"),
    ("JSON", Scalar, ""),
    ("LAG", Scalar, ""),
    ("LAST", Pattern, ""),
    ("LEAD", Scalar, ""),
    ("MATCH_PROCTIME", Pattern, ""),
    ("MATCH_ROWTIME", Pattern, ""),
    ("NEXT", Pattern, ""),
    ("NTILE", Scalar, ""),
    ("OBJECT_OF", Scalar, ""),
    ("OBJECT_UPDATE", Scalar, ""),
    ("PARSE_JSON", Scalar, ""),
    ("PERCENT_RANK", Scalar, ""),
    ("PREV", Pattern, ""),
    ("RANK", Scalar, FIRST_ROWS),
    ("ROW_NUMBER", Scalar, FIRST_ROWS),
    ("SINGLE_VALUE", Aggregate, "of a group with one row: MAX(value)"),
    ("SOURCE_WATERMARK", Scalar, "by the time of the rows: WATERMARK FOR ts AS ts - INTERVAL '5' SECOND"),
    ("STREAMRECORD_TIMESTAMP", Scalar, ""),
    ("TO_CHANGELOG", Table, ""),
    ("TRY_PARSE_JSON", Scalar, ""),
];

/// Whole families, each of one kind.
const FAMILIES: &[(&[&str], NotBuilt, &str)] = &[
    (
        &[
            "BITMAP_AND",
            "BITMAP_ANDNOT",
            "BITMAP_BUILD",
            "BITMAP_CARDINALITY",
            "BITMAP_FROM_BYTES",
            "BITMAP_OR",
            "BITMAP_TO_ARRAY",
            "BITMAP_TO_BYTES",
            "BITMAP_TO_STRING",
            "BITMAP_XOR",
        ],
        Scalar,
        "",
    ),
    (
        &[
            "BITMAP_AND_AGG",
            "BITMAP_AND_CARDINALITY_AGG",
            "BITMAP_BUILD_AGG",
            "BITMAP_BUILD_CARDINALITY_AGG",
            "BITMAP_OR_AGG",
            "BITMAP_OR_CARDINALITY_AGG",
            "BITMAP_XOR_AGG",
            "BITMAP_XOR_CARDINALITY_AGG",
        ],
        Aggregate,
        "",
    ),
];

/// What the function of that (upper-case) name is in Flink, and what does in its place, if it is not here yet.
pub fn not_built(name: &str) -> Option<(NotBuilt, Option<&'static str>)> {
    let listed = NOT_BUILT.iter().find(|(known, ..)| *known == name).map(|(_, kind, instead)| (*kind, *instead));
    let family =
        || FAMILIES.iter().find(|(names, ..)| names.contains(&name)).map(|(_, kind, instead)| (*kind, *instead));
    let (kind, instead) = listed.or_else(family)?;
    Some((kind, (!instead.is_empty()).then_some(instead)))
}

/// All of their names, by the alphabet.
pub fn functions_not_built() -> Vec<&'static str> {
    let alone = NOT_BUILT.iter().map(|(name, ..)| *name);
    let mut names: Vec<_> = alone.chain(FAMILIES.iter().flat_map(|(names, ..)| names.iter().copied())).collect();
    names.sort_unstable();
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expressions::function_list;

    #[test]
    fn each_name_is_listed_once_and_none_is_built() {
        let mut all: Vec<&str> =
            functions_not_built().into_iter().chain(function_list().into_iter().map(|form| form.name)).collect();
        all.sort_unstable();
        assert_eq!(all.windows(2).find(|pair| pair[0] == pair[1]), None);
        assert_eq!(not_built("RANK"), Some((Scalar, Some(FIRST_ROWS))));
        assert_eq!(not_built("BITMAP_OR_AGG"), Some((Aggregate, None)));
        assert_eq!((not_built("CONUT"), not_built("MAP_NOTHING")), (None, None));
    }
}
