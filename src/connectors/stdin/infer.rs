//! What the first line says about the columns of an undeclared `stdin`.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::TABLE;
use crate::stream::WATERMARK_COLUMN;

/// A declaration that fits the first line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inferred {
    /// The CREATE TABLE statement.
    pub declaration: String,
    /// Keys that cannot be columns.
    pub left_out: Vec<String>,
}

/// A line that is a JSON object has a column for each key, typed by its value; any other line is one column of text.
pub fn infer(first_line: &[u8]) -> Inferred {
    let first_line = first_line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(first_line);
    let object = first_line.trim_ascii_start().starts_with(b"{");
    let entries = object.then(|| serde_json::from_slice::<Entries>(first_line).ok()).flatten();
    let (mut columns, mut left_out, mut seen) = (Vec::new(), Vec::new(), BTreeSet::new());
    for (key, value) in entries.map(|entries| entries.0).unwrap_or_default() {
        if key.is_empty() || key == WATERMARK_COLUMN || key.chars().any(char::is_control) {
            left_out.push(key);
        } else if seen.insert(key.clone()) {
            columns.push(format!("`{}` {}", key.replace('`', "``"), data_type(&value)));
        }
    }
    let format = if columns.is_empty() { "raw" } else { "json" };
    if columns.is_empty() {
        columns.push("`line` STRING".to_owned());
        left_out.clear();
    }
    let declaration =
        format!("CREATE TABLE {TABLE} ({}) WITH ('connector' = 'stdin', 'format' = '{format}')", columns.join(", "));
    Inferred { declaration, left_out }
}

/// The type of a column whose first value this is. Objects and arrays are read as their JSON text.
fn data_type(value: &Value) -> &'static str {
    match value {
        Value::Bool(_) => "BOOLEAN",
        Value::Number(number) if number.is_i64() => "BIGINT",
        // More than a BIGINT holds: as text no digit is lost.
        Value::Number(number) if number.is_u64() => "STRING",
        Value::Number(_) => "DOUBLE",
        Value::String(_) | Value::Null | Value::Array(_) | Value::Object(_) => "STRING",
    }
}

/// An object's entries in their order.
struct Entries(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Entries;

            fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
                to.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        from.deserialize_map(InOrder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_has_a_column_for_each_key_in_order() {
        let line = br#"{"b":1,"a":-2.5,"t":true,"s":"x","n":null,"o":{"x":1},"l":[1],"big":18446744073709551615,"b":2,"a`b":0}"#;
        let inferred = infer(line);
        assert_eq!(
            inferred.declaration,
            "CREATE TABLE stdin (`b` BIGINT, `a` DOUBLE, `t` BOOLEAN, `s` STRING, `n` STRING, `o` STRING, `l` STRING, \
             `big` STRING, `a``b` BIGINT) WITH ('connector' = 'stdin', 'format' = 'json')"
        );
        assert_eq!(inferred.left_out, Vec::<String>::new());
        assert_eq!(infer(b"\xEF\xBB\xBF {\"a\":1}\r").declaration, infer(br#"{"a":2}"#).declaration);
        assert_eq!(infer(br#"{"":1,"$watermark":2,"a":3}"#).left_out, ["", "$watermark"]);
    }

    #[test]
    fn anything_else_is_a_line() {
        let lines: &[&[u8]] = &[
            b"",
            b"{}",
            b"{\"\":1}",
            b"[1]",
            b"12",
            b"a,b",
            b"{\"a\":1",
            b"{\"a\":1} x",
            b"\xff{",
            b"{\"a\":\"\xff\"}",
        ];
        for line in lines {
            let inferred = infer(line);
            let expected = "CREATE TABLE stdin (`line` STRING) WITH ('connector' = 'stdin', 'format' = 'raw')";
            assert_eq!((inferred.declaration.as_str(), inferred.left_out.len()), (expected, 0), "{line:?}");
        }
    }
}
