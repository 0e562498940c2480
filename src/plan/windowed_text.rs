//! The text of a query with a window in it, as a help: what somebody may write whose groups never end.

use sqlparser::ast;

use super::job::plan_inserts;
use super::lower::PlanSettings;
use crate::catalog::Catalog;
use crate::sql::{Insert, Statement, TableArgument, parse_statement, table_name, window_call};

/// An INSERT that reads the same table, and whose results are written once, with words that lead to it: groups, or different
/// rows, of an hour; of a window function, groups by both of its bounds. None where that would be refused as well.
pub fn windowed_help(insert: &Insert, catalog: &Catalog, settings: &PlanSettings) -> Option<String> {
    let (words, text) = windowed_text(insert, catalog)?;
    let statement = parse_statement(&text, 0).ok()?.statement;
    let Statement::Insert(windowed) = statement else { return None };
    plan_inserts(std::slice::from_ref(&*windowed), catalog, settings).ok()?;
    Some(format!("{words}: {text}"))
}

fn windowed_text(insert: &Insert, catalog: &Catalog) -> Option<(&'static str, String)> {
    let ast::SetExpr::Select(select) = insert.query.body.as_ref() else { return None };
    let [from] = select.from.as_slice() else { return None };
    if !from.joins.is_empty() || insert.query.with.is_some() {
        return None;
    }
    let ast::GroupByExpr::Expressions(keys, _) = &select.group_by else { return None };
    let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
    let columns: Vec<String> = select.projection.iter().map(ToString::to_string).collect();
    let (words, rows) = match &from.relation {
        ast::TableFactor::Table { name, alias, args: None, .. } => {
            let table = catalog.table(&table_name(name)?).ok()?;
            let rowtime = &table.watermark.as_ref()?.rowtime;
            let alias = alias.as_ref().map_or_else(String::new, |alias| format!(" AS {}", alias.name));
            let rows = format!("TUMBLE(TABLE {name}, DESCRIPTOR({rowtime}), INTERVAL '1' HOUR){alias}");
            ("each hour by itself, for example", rows)
        }
        relation => {
            let call = window_call(relation)?.ok()?;
            if !call.partition_by.is_empty() {
                return None;
            }
            let text = relation.to_string();
            let rows = match &call.input {
                TableArgument::Query(_) => text,
                // `TABLE t` is a call to the parser, and to whoever prints what it has parsed.
                TableArgument::Table(_) => {
                    let (before, rest) = text.rsplit_once("TABLE(")?;
                    let (table, behind) = rest.split_once(')')?;
                    format!("{before}TABLE {table}{behind}")
                }
            };
            ("by both bounds of the window, which then closes", rows)
        }
    };
    let is_missing = |bound: &&str| !keys.iter().any(|key| key.rsplit('.').next() == Some(bound));
    let mut groups: Vec<String> = ["window_start", "window_end"]
        .iter()
        .filter(|bound| is_missing(bound))
        .map(|bound| (*bound).to_owned())
        .collect();
    if groups.is_empty() {
        return None;
    }
    groups.extend(keys.iter().cloned());
    for item in select.projection.iter().filter(|_| select.distinct.is_some()) {
        let (ast::SelectItem::UnnamedExpr(value) | ast::SelectItem::ExprWithAlias { expr: value, .. }) = item else {
            return None;
        };
        let text = value.to_string();
        // A constant parts nothing.
        if !matches!(value, ast::Expr::Value(_)) && !groups.contains(&text) {
            groups.push(text);
        }
    }
    let condition = select.selection.as_ref().map_or_else(String::new, |condition| format!(" WHERE {condition}"));
    let having = select.having.as_ref().map_or_else(String::new, |having| format!(" HAVING {having}"));
    let (target, columns, groups) = (insert.target.table(), columns.join(", "), groups.join(", "));
    Some((words, format!("INSERT INTO {target} SELECT {columns} FROM {rows}{condition} GROUP BY {groups}{having}")))
}
