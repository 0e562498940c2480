//! How two signatures of an operator differ, for people: which part of the query it is, and the clause that is another.

use std::fmt;

use crate::state::OperatorId;

/// Longer texts are cut to what differs.
const WHOLE: usize = 100;
/// How much of what is the same is shown on either side of it, in bytes.
const AROUND: usize = 48;
/// Where a clause of a signature begins.
const CLAUSES: [&str; 6] = ["SELECT ", "FROM ", "WHERE ", "GROUP BY ", "WITH (", "WATERMARK FOR "];

/// What an operator is in its script.
pub fn describe(id: &OperatorId, name: &str, reaches: &[String]) -> String {
    let tables = reaches.join(", ");
    match name {
        "Source" => format!("the table {}, which is read by the query into {tables},", id.table()),
        "Sink" => format!("the table {} that the query writes", id.table()),
        "GlobalWindowAggregate" => format!("the window aggregate of the query into {tables}"),
        "GroupAggregate" => format!("the aggregate of the query into {tables}"),
        _ => format!("operator '{name}' of the query into {tables}"),
    }
}

/// Two texts of which the beginning and the end that they share are cut, as far as they are long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    was: String,
    is: String,
}

impl Difference {
    /// Of two signatures, or of two texts of a query.
    pub fn of(was: &str, is: &str) -> Self {
        let (was, is) = match (query_of(was), query_of(is)) {
            (Some(one), Some(other)) if one != other => (one, other),
            _ => (was, is),
        };
        let start = beginning(was, is);
        let end = ending(&was[start..], &is[start..]);
        Self { was: cut(was, start, was.len() - end), is: cut(is, start, is.len() - end) }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "\n  it was: {}\n  it is:  {}", self.was, self.is)
    }
}

/// What an aggregation computes, without the form in which its state is kept.
fn query_of(signature: &str) -> Option<&str> {
    let (_, query) = signature.split_once("]: ")?;
    query.strip_suffix(')')
}

/// How many bytes both begin with, up to the beginning of a word.
fn beginning(one: &str, other: &str) -> usize {
    let pairs = one.char_indices().zip(other.chars());
    let same = pairs.take_while(|((_, one), other)| one == other).last();
    let same = same.map_or(0, |((index, last), _)| index + last.len_utf8());
    one[..same].rfind(' ').map_or(0, |space| space + 1)
}

/// How many bytes both end with, from the end of a word on.
fn ending(one: &str, other: &str) -> usize {
    let pairs = one.chars().rev().zip(other.chars().rev());
    let same: usize = pairs.take_while(|(one, other)| one == other).map(|(one, _)| one.len_utf8()).sum();
    let tail = &one[one.len() - same..];
    tail.find(' ').map_or(0, |space| tail.len() - space)
}

/// The text from the clause in which `start` lies, or shortly before it, to shortly behind `end`.
fn cut(text: &str, start: usize, end: usize) -> String {
    if text.len() <= WHOLE {
        return text.to_owned();
    }
    let clause = CLAUSES.iter().filter_map(|clause| text[..start].rfind(clause)).max();
    let near = clause.filter(|clause| start - clause <= AROUND);
    let from = near.unwrap_or_else(|| {
        let around = text.floor_char_boundary(start.saturating_sub(AROUND));
        text[around..start].find(' ').map_or(around, |space| around + space + 1)
    });
    let to = match text.floor_char_boundary(end + AROUND) {
        around if around >= text.len() => text.len(),
        around => text[end..around].rfind(' ').map_or(end, |space| end + space),
    };
    let before = if from > 0 { "… " } else { "" };
    let behind = if to < text.len() { " …" } else { "" };
    format!("{before}{}{behind}", &text[from..to])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(was: &str, is: &str, expected: &str) {
        assert_eq!(Difference::of(was, is).to_string(), expected);
    }

    #[test]
    fn short_texts_are_whole_and_an_aggregation_is_its_query() {
        check("a b", "a c", "\n  it was: a b\n  it is:  a c");
        let aggregation = |query: &str| format!("WindowAggregate(TUMBLE, keys and results of types [Utf8]: {query})");
        check(
            &aggregation("SELECT k, COUNT(*) FROM t"),
            &aggregation("SELECT k, SUM(n) FROM t"),
            "\n  it was: SELECT k, COUNT(*) FROM t\n  it is:  SELECT k, SUM(n) FROM t",
        );
        check(
            "A(of types [Utf8]: x)",
            "A(of types [Int32]: x)",
            "\n  it was: A(of types [Utf8]: x)\n  it is:  A(of types [Int32]: x)",
        );
    }

    #[test]
    fn of_long_texts_the_clause_is_shown() {
        let query = |window: &str, limit: i32| {
            format!(
                "SELECT größe, COUNT(*) FROM TUMBLE(size=[{window}]) ON ts OF orders WHERE (price > {limit}) AND \
                 (note LIKE '%something that is long enough%') AND (note LIKE '%more of it, and more, and more%')"
            )
        };
        check(
            &query("1 min", 5),
            &query("2 min", 5),
            "\n  it was: … FROM TUMBLE(size=[1 min]) ON ts OF orders WHERE (price > 5) AND …\
             \n  it is:  … FROM TUMBLE(size=[2 min]) ON ts OF orders WHERE (price > 5) AND …",
        );
        check(
            &query("1 min", 5),
            &query("1 min", 6),
            "\n  it was: … WHERE (price > 5) AND (note LIKE '%something that is long …\
             \n  it is:  … WHERE (price > 6) AND (note LIKE '%something that is long …",
        );
        // A list that grows at its end, and no blank anywhere.
        for (was, is) in [("ä".repeat(80), "ä".repeat(90)), ("x ".repeat(60), "x ".repeat(70))] {
            assert!(Difference::of(&was, &is).to_string().contains("it is:"), "{was}");
        }
    }

    #[test]
    fn an_operator_is_called_by_its_part_of_the_query() {
        let into = ["o".to_owned()];
        let called = |kind: &str| describe(&OperatorId::of_table(kind, "t"), kind, &into);
        assert_eq!(called("Source"), "the table t, which is read by the query into o,");
        assert_eq!(called("Sink"), "the table t that the query writes");
        assert_eq!(called("GlobalWindowAggregate"), "the window aggregate of the query into o");
    }
}
