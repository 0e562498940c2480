//! The names that can stand in a statement: for the completion of a prompt. Nothing here looks at the outside world.

use super::Session;
use super::setting_list;
use crate::catalog::Entry;
use crate::connectors::{self, Connector};
use crate::expressions::function_list;
use crate::formats::{self, Format};
use crate::options::{OptionSpec, looks_secret};
use crate::plan::view_columns;
use crate::sql::on_large_stack;

/// The names of a session, as they stand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vocabulary {
    /// Tables and views with their columns.
    pub tables: Vec<(String, Vec<String>)>,
    /// Those of them that are views.
    pub views: Vec<String>,
    /// Functions.
    pub functions: Vec<String>,
    /// Jobs that were started.
    pub jobs: Vec<String>,
}

impl Session {
    /// The names that there are now.
    pub fn vocabulary(&self) -> Vocabulary {
        let columns = |entry: &Entry| match entry {
            Entry::Table(table) => table.columns.iter().map(|column| column.name.clone()).collect(),
            // A view whose tables are gone has none.
            Entry::View(view) => on_large_stack(|| view_columns(view, &self.catalog))
                .map(|columns| columns.into_iter().map(|(name, ..)| name).collect())
                .unwrap_or_default(),
        };
        let entries = || self.catalog.names();
        let views = entries().filter(|(_, entry)| matches!(entry, Entry::View(_)));
        Vocabulary {
            views: views.map(|(name, _)| name.to_owned()).collect(),
            tables: entries().map(|(name, entry)| (name.to_owned(), columns(entry))).collect(),
            functions: function_list().into_iter().map(|form| form.name.to_owned()).collect(),
            jobs: self.jobs().names().map(str::to_owned).collect(),
        }
    }
}

/// The values of `'connector'`.
pub fn connector_names() -> impl Iterator<Item = &'static str> {
    connectors::all().iter().map(|connector| connector.name())
}

/// The values of `'format'`.
pub fn format_names() -> impl Iterator<Item = &'static str> {
    formats::all().iter().map(|format| format.name())
}

/// The keys of a WITH clause for this connector and format; empty names stand for all there are.
pub fn option_keys(connector: &str, format: &str) -> Vec<String> {
    let mut keys = vec!["connector".to_owned()];
    for known in connectors::all().iter().filter(|known| connector.is_empty() || known.name() == connector) {
        keys.extend(known.options().iter().map(|spec| spec.key.to_owned()));
        if known.takes_format() {
            keys.push("format".to_owned());
            let formats = formats::all().iter().filter(|known| format.is_empty() || known.name() == format);
            keys.extend(
                formats
                    .flat_map(|format| format.options().iter().map(|spec| format!("{}.{}", format.name(), spec.key))),
            );
        }
    }
    keys
}

/// The option of this key in a WITH clause.
pub fn option(key: &str, connector: &str) -> Option<&'static OptionSpec> {
    let of_connector = connectors::find(connector).into_iter().flat_map(Connector::options);
    of_connector.filter(|spec| spec.matches(key)).chain(format_options(key)).next()
}

/// Whether the value of this key must never be shown or written down: a setting's, an option's, or that of one that
/// looks so.
pub fn is_secret(key: &str) -> bool {
    let listed = |spec: &&OptionSpec| spec.secret && spec.matches(key);
    setting_list::all().any(|spec| listed(&spec))
        || connectors::all().iter().flat_map(|connector| connector.options()).any(|spec| listed(&spec))
        || format_options(key).any(|spec| spec.secret)
        || looks_secret(key)
}

/// The options of formats that go by this key, the format's name before them.
fn format_options(key: &str) -> impl Iterator<Item = &'static OptionSpec> {
    formats::all().iter().flat_map(move |format: &&dyn Format| {
        let inner = key.strip_prefix(format.name()).and_then(|rest| rest.strip_prefix('.'));
        format.options().iter().filter(move |spec| inner.is_some_and(|inner| spec.matches(inner)))
    })
}
