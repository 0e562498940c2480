//! DESCRIBE, SHOW COLUMNS and SHOW CREATE: a table in words that can be run again, secrets masked.

use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, StringArray};
use arrow::record_batch::RecordBatch;

use super::table::{Column, ColumnSource, Table, View};
use crate::error::Result;

/// Flink's columns of DESCRIBE: name, type, null, key, extras, watermark, and comment where there is any. One row for each
/// column whose name is wanted.
pub fn describe(table: &Table, wanted: &dyn Fn(&str) -> bool) -> Result<RecordBatch> {
    let columns: Vec<&Column> = table.columns.iter().filter(|column| wanted(&column.name)).collect();
    let names: StringArray = columns.iter().map(|column| Some(column.name.as_str())).collect();
    let rowtime = |name: &str| table.watermark.as_ref().is_some_and(|watermark| watermark.rowtime == name);
    let types: StringArray = columns
        .iter()
        .map(|column| {
            let attribute = match (rowtime(&column.name), column.is_proctime()) {
                (true, _) => " *ROWTIME*",
                (_, true) => " *PROCTIME*",
                _ => "",
            };
            Some(format!("{}{attribute}", column.data_type))
        })
        .collect();
    let nulls: BooleanArray = columns.iter().map(|column| Some(column.nullable)).collect();
    let keys: StringArray = columns
        .iter()
        .map(|column| {
            table.primary_key.contains(&column.name).then(|| format!("PRI({})", table.primary_key.join(", ")))
        })
        .collect();
    let extras: StringArray = columns
        .iter()
        .map(|column| match &column.source {
            ColumnSource::Physical => None,
            ColumnSource::Computed { text, .. } => Some(format!("AS {text}")),
        })
        .collect();
    let watermarks: StringArray = columns
        .iter()
        .map(|column| {
            table.watermark.as_ref().filter(|_| rowtime(&column.name)).map(|watermark| watermark.text.clone())
        })
        .collect();
    let mut all: Vec<(&str, ArrayRef)> = vec![
        ("name", Arc::new(names)),
        ("type", Arc::new(types)),
        ("null", Arc::new(nulls)),
        ("key", Arc::new(keys)),
        ("extras", Arc::new(extras)),
        ("watermark", Arc::new(watermarks)),
    ];
    if table.columns.iter().any(|column| column.comment.is_some()) {
        let comments: StringArray = columns.iter().map(|column| column.comment.as_deref()).collect();
        all.push(("comment", Arc::new(comments)));
    }
    Ok(RecordBatch::try_from_iter_with_nullable(all.into_iter().map(|(name, array)| (name, array, true)))?)
}

/// The same of a view: name, type, whether it can be NULL.
pub fn describe_view(columns: &[(String, String, bool)], wanted: &dyn Fn(&str) -> bool) -> Result<RecordBatch> {
    let columns: Vec<&(String, String, bool)> = columns.iter().filter(|(name, ..)| wanted(name)).collect();
    let names: StringArray = columns.iter().map(|(name, ..)| Some(name.as_str())).collect();
    let types: StringArray = columns.iter().map(|(_, data_type, _)| Some(data_type.as_str())).collect();
    let nulls: BooleanArray = columns.iter().map(|(.., nullable)| Some(*nullable)).collect();
    let nothing: ArrayRef = Arc::new(StringArray::new_null(columns.len()));
    let all: [(&str, ArrayRef); 6] = [
        ("name", Arc::new(names)),
        ("type", Arc::new(types)),
        ("null", Arc::new(nulls)),
        ("key", Arc::clone(&nothing)),
        ("extras", Arc::clone(&nothing)),
        ("watermark", nothing),
    ];
    Ok(RecordBatch::try_from_iter_with_nullable(all.into_iter().map(|(name, array)| (name, array, true)))?)
}

/// A CREATE TABLE that makes the same table, with the settings that belong to it in front.
pub fn show_create_table(table: &Table) -> String {
    let mut text = String::new();
    for (key, value) in table.settings.iter() {
        let _ = writeln!(text, "SET '{key}' = '{}';", quoted(value));
    }
    let mut parts: Vec<String> = table
        .columns
        .iter()
        .map(|column| {
            let mut part = match &column.source {
                ColumnSource::Physical => {
                    format!(
                        "  `{}` {}{}",
                        column.name,
                        column.data_type,
                        if column.nullable { "" } else { " NOT NULL" }
                    )
                }
                ColumnSource::Computed { text, .. } => format!("  `{}` AS {text}", column.name),
            };
            if let Some(comment) = &column.comment {
                let _ = write!(part, " COMMENT '{}'", quoted(comment));
            }
            part
        })
        .collect();
    if let Some(watermark) = &table.watermark {
        parts.push(format!("  WATERMARK FOR `{}` AS {}", watermark.rowtime, watermark.text));
    }
    if !table.primary_key.is_empty() {
        let names: Vec<String> = table.primary_key.iter().map(|name| format!("`{name}`")).collect();
        let constraint = table.key_name.as_ref().map(|name| format!("CONSTRAINT `{name}` ")).unwrap_or_default();
        parts.push(format!("  {constraint}PRIMARY KEY ({}) NOT ENFORCED", names.join(", ")));
    }
    let _ = write!(text, "CREATE {}TABLE `{}` (\n{}\n)", temporary(table.is_temporary), table.name, parts.join(",\n"));
    if let Some(comment) = &table.comment {
        let _ = write!(text, " COMMENT '{}'", quoted(comment));
    }
    if let Some(distribution) = &table.distribution {
        let _ = write!(text, " {distribution}");
    }
    let options: Vec<String> = table
        .options
        .iter()
        .map(|(key, value)| {
            format!("  '{key}' = '{}'", if is_secret(key) { "******".to_owned() } else { quoted(value) })
        })
        .collect();
    if !options.is_empty() {
        let _ = write!(text, " WITH (\n{}\n)", options.join(",\n"));
    }
    text
}

/// The CREATE VIEW of a view.
pub fn show_create_view(view: &View) -> String {
    let columns = if view.columns.is_empty() {
        String::new()
    } else {
        format!(" ({})", view.columns.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "))
    };
    let comment = view.comment.as_ref().map(|comment| format!(" COMMENT '{}'", quoted(comment))).unwrap_or_default();
    format!("CREATE {}VIEW `{}`{columns}{comment} AS\n{}", temporary(view.is_temporary), view.name, view.text)
}

fn temporary(is_temporary: bool) -> &'static str {
    if is_temporary { "TEMPORARY " } else { "" }
}

fn quoted(text: &str) -> String {
    text.replace('\'', "''")
}

/// Keys whose values are never shown, known or not.
fn is_secret(key: &str) -> bool {
    let key = key.to_lowercase();
    ["password", "secret", "token", "api-key", "apikey", "jaas.config", "account.key", "credential"]
        .iter()
        .any(|word| key.contains(word))
}
