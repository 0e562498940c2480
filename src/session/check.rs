//! Checking a script: every statement is read and planned, what declares takes effect for those behind it, and nothing
//! runs. No file is made and stdin is not read.

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use super::session::reserved_name;
use super::{Notice, Session};
use crate::catalog::{Handle, UNCHECKED, UNDECLARED_STDIN, leave_out, replace_metadata, with_clause_errors};
use crate::connectors::SinkMode;
use crate::connectors::memory::{ChannelSink, MemorySource};
use crate::error::{Blame, Error, Result, Span};
use crate::plan::type_of;
use crate::sql::{CreateTable, Statement, StatementAt, created_name, on_large_stack, parse_statement, split_script};

/// What a check has to say of a script.
#[derive(Debug, Clone)]
pub enum Finding {
    /// It would not run.
    Refusal(Error),
    /// It would, and whoever runs it should know.
    Warning { text: String, place: Span },
    /// What was not checked.
    Note { text: String, place: Span },
}

/// The findings in a script, in order.
#[derive(Debug, Clone, Default)]
pub struct Checked {
    pub statements: usize,
    pub findings: Vec<Finding>,
}

impl Session {
    /// Checks a script. A statement with a mistake costs no other its check: what it would have declared counts as far as
    /// it is known.
    pub fn check(&mut self, script: &str) -> Checked {
        let pieces = match split_script(script) {
            Ok(pieces) => pieces,
            Err(error) => return Checked { statements: 0, findings: vec![Finding::Refusal(error)] },
        };
        let heard: Arc<Mutex<Vec<Notice>>> = Arc::default();
        let listener = Arc::clone(&heard);
        let notices = mem::replace(
            &mut self.notices,
            Arc::new(move |notice| listener.lock().unwrap_or_else(PoisonError::into_inner).push(notice)),
        );
        let mut checked = Checked { statements: pieces.len(), findings: Vec::new() };
        for (span, text) in pieces {
            let refused = match on_large_stack(|| parse_statement(text, span.start)) {
                Ok(statement) => {
                    let names = statement.reserved_names.iter();
                    let warning =
                        |(name, place): &(String, Span)| Finding::Warning { text: reserved_name(name), place: *place };
                    checked.findings.extend(names.map(warning));
                    self.refusals(&statement)
                }
                Err(error) => vec![error],
            };
            if !refused.is_empty()
                && let Some(name) = created_name(text)
            {
                self.catalog.leave_unchecked(&name);
            }
            for error in refused {
                match error.id() {
                    Some(UNCHECKED) => {}
                    Some(UNDECLARED_STDIN) => checked.findings.push(Finding::Note {
                        text: "stdin is not read now, so this is not checked: CREATE TABLE stdin (…) tells its columns"
                            .to_owned(),
                        place: error.span().unwrap_or(span),
                    }),
                    _ => checked.findings.push(Finding::Refusal(error)),
                }
            }
            for notice in mem::take(&mut *heard.lock().unwrap_or_else(PoisonError::into_inner)) {
                if let Notice::Warning(text) = notice {
                    checked.findings.push(Finding::Warning { text, place: span });
                }
            }
        }
        self.notices = notices;
        checked
    }

    /// The plan of a statement that would start a job or give rows; of another one the effect on the session.
    pub fn plan(&mut self, statement: &StatementAt) -> Result<Option<String>> {
        self.planned(&statement.statement).map_err(|error| match error.blame() {
            Blame::Query => error.with_span(statement.span),
            _ => error,
        })
    }

    fn planned(&mut self, statement: &Statement) -> Result<Option<String>> {
        let text = |outcome| match outcome {
            super::Outcome::Text(text) => Some(text),
            _ => None,
        };
        match statement {
            Statement::Insert(_) | Statement::StatementSet(_) | Statement::Query { .. } => {
                self.explain(statement).map(text)
            }
            Statement::Explain(inner) => self.explain(inner).map(text),
            Statement::CreateTableAs(create) => {
                let insert = self.declare_table_as(create)?;
                self.explain(&Statement::Insert(Box::new(insert))).map(text)
            }
            // Which jobs there will be is not known before they run.
            Statement::DescribeJob(_)
            | Statement::ExplainWatermark(_)
            | Statement::ExplainState(_)
            | Statement::TakeCheckpoint { .. }
            | Statement::StopJob { .. } => Ok(None),
            other => self.execute_at_once(other).map(|_| None),
        }
    }

    /// Everything that is wrong with a statement, as far as it can be told apart.
    fn refusals(&mut self, at: &StatementAt) -> Vec<Error> {
        let mut errors = match &at.statement {
            Statement::CreateTable(create) => self.refusals_of_table(create),
            Statement::StatementSet(inserts) => {
                let each = inserts.iter().map(|insert| self.planned(&Statement::Insert(Box::new(insert.clone()))));
                each.filter_map(Result::err).collect()
            }
            _ => Vec::new(),
        };
        if errors.is_empty() {
            errors.extend(self.planned(&at.statement).err());
        }
        let placed = |error: Error| match error.blame() {
            Blame::Query => error.with_span(at.span),
            _ => error,
        };
        errors.into_iter().map(placed).collect()
    }

    /// All that is wrong with a CREATE TABLE. If its columns are known all the same, a table of them is put in its place,
    /// so that the statements behind it can be checked.
    fn refusals_of_table(&mut self, create: &CreateTable) -> Vec<Error> {
        let mut known = match self.catalog.whole(create) {
            Ok(Some(whole)) => whole,
            Ok(None) => return Vec::new(),
            Err(error) => return vec![error],
        };
        let mut errors = with_clause_errors(&known);
        errors.extend(replace_metadata(&mut known));
        let mut is_complete = true;
        let nothing = Handle::Given { source: None, sink: None };
        let table = loop {
            let settings = self.settings.for_table(create.name.table());
            let options = crate::options::Options::default();
            match on_large_stack(|| self.catalog.declare(&known, options, settings, nothing.clone(), &type_of)) {
                Ok(table) => break Some(table),
                Err(error) => {
                    is_complete = false;
                    let place = error.span();
                    errors.push(error);
                    if !leave_out(&mut known, place) {
                        break None;
                    }
                }
            }
        };
        if errors.is_empty() {
            return errors;
        }
        if let (Some(mut table), true) = (table, is_complete) {
            let schema = table.physical_schema();
            let (source, _) = MemorySource::pushed(schema, 1);
            let (sink, _) = ChannelSink::new(SinkMode::Retract, 1);
            table.handle = Handle::Given { source: Some(Arc::new(source)), sink: Some(Arc::new(sink)) };
            self.catalog.add_table(table);
        }
        errors
    }
}
