//! SHOW and DESCRIBE: what there is, as small tables of texts.

use super::tables::text_table;
use super::{Listed, Outcome, Session};
use crate::catalog::{
    CATALOG, DATABASE, Entry, check_database, describe, describe_view, show_create_table, show_create_view,
};
use crate::error::{Error, Result};
use crate::expressions::function_list;
use crate::plan::view_columns;
use crate::sql::{ListKind, NamePattern, ObjectName, ShowKind, on_large_stack};
use crate::{connectors, formats};

impl Session {
    pub(super) fn show(&self, kind: &ShowKind) -> Result<Outcome> {
        match kind {
            ShowKind::List { kind, database, chosen } => {
                // The databases are those of a catalog, all else is in a database.
                match database {
                    Some(name) if *kind == ListKind::Databases && name.parts == [CATALOG] => {}
                    Some(name) => check_database(name)?,
                    None => {}
                }
                self.list(*kind, chosen.as_ref())
            }
            ShowKind::Columns(name, chosen) => self.describe(name, chosen.as_ref()),
            ShowKind::CurrentCatalog => text_table(&[("current catalog name", vec![CATALOG.to_owned()])]),
            ShowKind::CurrentDatabase => text_table(&[("current database name", vec![DATABASE.to_owned()])]),
            ShowKind::CreateTable(name) => match self.catalog.entry(name)? {
                Entry::Table(table) => Ok(Outcome::Text(show_create_table(table))),
                Entry::View(_) => Err(Error::query(format!("`{}` is a view", name.table()))
                    .with_span(name.span)
                    .with_help(format!("write SHOW CREATE VIEW {}", name.table()))),
            },
            ShowKind::CreateView(name) => match self.catalog.entry(name)? {
                Entry::View(view) => Ok(Outcome::Text(show_create_view(view))),
                Entry::Table(_) => Err(Error::query(format!("`{}` is a table", name.table()))
                    .with_span(name.span)
                    .with_help(format!("write SHOW CREATE TABLE {}", name.table()))),
            },
        }
    }

    /// Columns of a table or view, those whose names are chosen.
    pub(super) fn describe(&self, name: &ObjectName, chosen: Option<&NamePattern>) -> Result<Outcome> {
        let wanted = |name: &str| chosen.is_none_or(|chosen| chosen.takes(name));
        let described = match self.catalog.entry(name)? {
            Entry::Table(table) => describe(table, &wanted)?,
            Entry::View(view) => describe_view(&on_large_stack(|| view_columns(view, &self.catalog))?, &wanted)?,
        };
        Ok(Outcome::Table(described.schema(), vec![described]))
    }

    pub(super) fn show_settings(&self) -> Result<Outcome> {
        let listed = self.settings.list();
        let column = |text: &dyn Fn(&Listed) -> String| listed.iter().map(text).collect::<Vec<_>>();
        text_table(&[
            ("key", column(&|listed| listed.key.to_string())),
            ("value", column(&|listed| listed.value.clone().unwrap_or_default().to_string())),
            ("from", column(&|listed| listed.origin.name().to_owned())),
        ])
    }

    fn list(&self, kind: ListKind, chosen: Option<&NamePattern>) -> Result<Outcome> {
        let plain = |column: &str, names: Vec<&str>| {
            let names = names.into_iter().filter(|name| chosen.is_none_or(|chosen| chosen.takes(name)));
            text_table(&[(column, names.map(str::to_owned).collect())])
        };
        // With what each means. These names have no case in a query, so they have none here.
        let explained = |column: &str, list: Vec<(&str, &str)>| {
            let caseless = chosen.map(|chosen| NamePattern { is_caseless: true, ..chosen.clone() });
            let list = list.into_iter().filter(|(name, _)| caseless.as_ref().is_none_or(|chosen| chosen.takes(name)));
            let (names, meanings) = list.map(|(name, doc)| (name.to_owned(), doc.to_owned())).unzip();
            text_table(&[(column, names), ("meaning", meanings)])
        };
        let entries = |only_views: bool| {
            let entries = self.catalog.names().filter(|(_, entry)| !only_views || matches!(entry, Entry::View(_)));
            entries.map(|(name, _)| name).collect()
        };
        match kind {
            ListKind::Catalogs => plain("catalog name", vec![CATALOG]),
            ListKind::Databases => plain("database name", vec![DATABASE]),
            ListKind::Tables => plain("table name", entries(false)),
            ListKind::Views => plain("view name", entries(true)),
            ListKind::Jobs => self.jobs.list(chosen),
            ListKind::Checkpoints => self.jobs.checkpoints(chosen),
            ListKind::Modules => plain("module name", vec!["core"]),
            ListKind::FullModules => {
                text_table(&[("module name", vec!["core".to_owned()]), ("used", vec!["true".to_owned()])])
            }
            ListKind::Nothing(column) => plain(column, Vec::new()),
            ListKind::Functions => {
                explained("function name", function_list().into_iter().map(|form| (form.name, form.doc)).collect())
            }
            ListKind::Connectors => {
                explained("connector name", connectors::all().iter().map(|one| (one.name(), one.doc())).collect())
            }
            ListKind::Formats => {
                explained("format name", formats::all().iter().map(|one| (one.name(), one.doc())).collect())
            }
        }
    }
}
