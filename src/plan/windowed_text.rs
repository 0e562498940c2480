//! The text of a query with a window in it, as a help: what somebody may write whose groups never end.

use sqlparser::ast;

use crate::catalog::Catalog;
use crate::sql::{Insert, table_name};

/// An INSERT whose groups, or different rows, are those of an hour; none unless it reads one table with a watermark.
pub fn windowed_text(insert: &Insert, catalog: &Catalog) -> Option<String> {
    let ast::SetExpr::Select(select) = insert.query.body.as_ref() else { return None };
    let [from] = select.from.as_slice() else { return None };
    let ast::TableFactor::Table { name, alias: None, args: None, .. } = &from.relation else { return None };
    if !from.joins.is_empty() || insert.query.with.is_some() {
        return None;
    }
    let table = catalog.table(&table_name(name)?).ok()?;
    let rowtime = &table.watermark.as_ref()?.rowtime;
    let list = |parts: Vec<String>| parts.join(", ");
    let columns: Vec<String> = select.projection.iter().map(ToString::to_string).collect();
    let ast::GroupByExpr::Expressions(keys, _) = &select.group_by else { return None };
    let mut groups = vec!["window_start".to_owned(), "window_end".to_owned()];
    groups.extend(keys.iter().map(ToString::to_string));
    if select.distinct.is_some() {
        groups.extend(columns.iter().cloned());
    }
    let condition = select.selection.as_ref().map_or_else(String::new, |condition| format!(" WHERE {condition}"));
    let having = select.having.as_ref().map_or_else(String::new, |having| format!(" HAVING {having}"));
    let target = insert.target.table();
    Some(format!(
        "INSERT INTO {target} SELECT {} FROM TUMBLE(TABLE {name}, DESCRIPTOR({rowtime}), INTERVAL '1' HOUR){condition} GROUP \
         BY {}{having}",
        list(columns),
        list(groups)
    ))
}
