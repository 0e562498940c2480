//! Table schemas as text: what a manifest says of a table's columns, and what is said when they differ.
//!
//! The text is ours, since the names that libraries print change between their versions.

use arrow::datatypes::{DataType, Field, Schema, TimeUnit};

use crate::error::{Error, Result};
use crate::state::{TableSpec, TableState};

/// `name type` per column, with `not null` where that holds.
pub fn schema_text(schema: &Schema) -> Vec<String> {
    schema.fields().iter().map(|field| field_text(field)).collect()
}

/// Whether a stored table can be read as `spec`; the error names the table, the column and both types. Names may differ:
/// what the columns mean stands in the operator's signature.
pub fn check_schema(stored: &TableState, spec: &TableSpec) -> Result<()> {
    let refuse = |what: String| {
        Error::query(format!("the checkpoint does not fit: table {}: {what}", stored.name))
            .with_help("start over with --fresh, or give the changed query another 'pipeline.name'")
    };
    let expected = schema_text(&spec.schema);
    for (index, (found, (expected, field))) in
        stored.schema.iter().zip(expected.iter().zip(spec.schema.fields())).enumerate()
    {
        let type_of = expected.strip_prefix(field.name().as_str()).unwrap_or(expected);
        if !found.ends_with(type_of) {
            return Err(refuse(format!("column {} was `{found}` and is `{expected}`", index + 1)));
        }
    }
    if let Some(gone) = stored.schema.get(expected.len()) {
        return Err(refuse(format!("column `{gone}` is gone")));
    }
    if let Some(new) = expected.get(stored.schema.len()) {
        return Err(refuse(format!("column `{new}` is new")));
    }
    if stored.kind != spec.kind {
        return Err(refuse(format!("it was {:?} and is {:?}", stored.kind, spec.kind)));
    }
    Ok(())
}

fn field_text(field: &Field) -> String {
    let null = if field.is_nullable() { "" } else { " not null" };
    format!("{} {}{null}", field.name(), type_text(field.data_type()))
}

fn type_text(data_type: &DataType) -> String {
    use DataType as D;
    match data_type {
        D::Timestamp(unit, None) => format!("timestamp({})", unit_text(*unit)),
        D::Timestamp(unit, Some(zone)) => format!("timestamp({}, {zone})", unit_text(*unit)),
        D::Time32(unit) => format!("time32({})", unit_text(*unit)),
        D::Time64(unit) => format!("time64({})", unit_text(*unit)),
        D::Duration(unit) => format!("duration({})", unit_text(*unit)),
        D::FixedSizeBinary(size) => format!("binary({size})"),
        D::Decimal32(precision, scale) => format!("decimal32({precision}, {scale})"),
        D::Decimal64(precision, scale) => format!("decimal64({precision}, {scale})"),
        D::Decimal128(precision, scale) => format!("decimal128({precision}, {scale})"),
        D::Decimal256(precision, scale) => format!("decimal256({precision}, {scale})"),
        D::List(field) => format!("list<{}>", field_text(field)),
        D::LargeList(field) => format!("large list<{}>", field_text(field)),
        D::FixedSizeList(field, size) => format!("list({size})<{}>", field_text(field)),
        D::Map(field, _) => format!("map<{}>", field_text(field)),
        D::Struct(fields) => {
            let fields: Vec<_> = fields.iter().map(|field| field_text(field)).collect();
            format!("struct<{}>", fields.join(", "))
        }
        D::Dictionary(key, value) => format!("dictionary<{}, {}>", type_text(key), type_text(value)),
        // One word each; the few nested types that remain are no types of SQL.
        plain => plain.to_string().to_lowercase(),
    }
}

fn unit_text(unit: TimeUnit) -> &'static str {
    match unit {
        TimeUnit::Second => "s",
        TimeUnit::Millisecond => "ms",
        TimeUnit::Microsecond => "us",
        TimeUnit::Nanosecond => "ns",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::state::TableKind;

    fn spec(fields: Vec<Field>) -> TableSpec {
        TableSpec {
            name: "groups".to_owned(),
            schema: Arc::new(Schema::new(fields)),
            key: vec![0],
            kind: TableKind::Keyed { unique: 1 },
        }
    }

    fn stored(spec: &TableSpec) -> TableState {
        TableState {
            name: spec.name.clone(),
            schema: schema_text(&spec.schema),
            kind: spec.kind,
            key: spec.key.clone(),
            retired: Vec::new(),
            files: Vec::new(),
        }
    }

    #[test]
    fn columns_read_as_text() {
        let item = Arc::new(Field::new("item", DataType::Int64, true));
        let fields = vec![
            Field::new("time", DataType::Timestamp(TimeUnit::Millisecond, None), false),
            Field::new("origin", DataType::Utf8, true),
            Field::new("price", DataType::Decimal128(10, 2), true),
            Field::new("values", DataType::List(item), true),
        ];
        let text = ["time timestamp(ms) not null", "origin utf8", "price decimal128(10, 2)", "values list<item int64>"];
        assert_eq!(schema_text(&Schema::new(fields)), text);
    }

    #[test]
    fn a_difference_names_the_column() {
        let number = Field::new("n", DataType::Int64, false);
        let old = spec(vec![number.clone()]);
        let check = |new: TableSpec, expected: &str| {
            let error = check_schema(&stored(&old), &new).unwrap_err();
            assert!(error.message().contains(expected), "{error}");
        };
        check_schema(&stored(&old), &old).unwrap();
        check(spec(vec![Field::new("n", DataType::Int32, false)]), "column 1 was `n int64 not null` and is `n int32");
        check(spec(vec![number, Field::new("m", DataType::Utf8, true)]), "column `m utf8` is new");
        check(spec(vec![]), "column `n int64 not null` is gone");
        check(TableSpec { kind: TableKind::Append, ..old.clone() }, "it was Keyed { unique: 1 } and is Append");
    }
}
