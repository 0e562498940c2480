//! The prompt: reads what is typed, runs it, and stays. INSERTs go on in the background, and what they have to say
//! stands above the line that is being typed.

mod command;
mod complete;
mod editor;
mod highlight;
mod history;
mod invariants;
mod keywords;
mod outside;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use command::{Action, Typed};
use editor::{Editor, Read, Setup};
pub use invariants::check_typed;
use outside::TerminalState;

use super::engine::Engine;
use super::interrupt::Signal;
use super::render::Format;
use super::runner::Runner;
use super::script::{self, ScriptText};
use super::{Exit, Failure};
use crate::error::{Error, Result, Span};
use crate::session::Vocabulary;
use crate::sql::is_complete;

const PROMPT: &str = "beadline> ";
/// How messages name what was typed.
const TYPED: &str = "prompt";
/// Answers again, not changes.
const RESET_MODE: &str = "RESET 'sql-client.execution.result-mode';";
/// The pause of `\watch` without a number, as psql's.
const WATCH_PAUSE: Duration = Duration::from_secs(2);

/// Where the prompt remembers, and how it greets.
pub struct Manners {
    /// The file of what was typed; none is kept without it.
    pub history: Option<PathBuf>,
    /// One line before the first prompt.
    pub greeting: String,
    /// A script to run before the first prompt.
    pub init: Option<ScriptText>,
}

/// The prompt over one engine.
pub struct Prompt<E> {
    runner: Runner<E>,
    editor: Editor,
    terminal: TerminalState,
    vocabulary: Arc<Mutex<Vocabulary>>,
    /// The last statement, for `\e` and `\watch`.
    last: String,
    /// What stands on the next line already.
    initial: String,
    /// The format that `\x` has taken the place of.
    upright: Option<Format>,
    /// Whether a format has asked for the changes of queries.
    shows_changes: bool,
}

/// What goes on after a command or a statement.
enum Next {
    Stay,
    Leave(Exit),
}

/// Whether what was typed can be run: a command, or statements that end with their semicolon, `\g` or `\gx`.
fn is_whole(input: &str) -> bool {
    command::is_command(input) || ending(input).is_some() || is_complete(input)
}

/// `SELECT 1 \gx` as a statement, and whether its rows are to lie on their side.
fn ending(input: &str) -> Option<(String, bool)> {
    let text = input.trim_end();
    let (head, is_expanded) = match (text.strip_suffix("\\gx"), text.strip_suffix("\\G"), text.strip_suffix("\\g")) {
        (Some(head), ..) | (None, Some(head), _) => (head, true),
        (None, None, Some(head)) => (head, false),
        (None, None, None) => return None,
    };
    let statement = format!("{};", head.trim_end().trim_end_matches(';'));
    is_complete(&statement).then_some((statement, is_expanded))
}

impl<E: Engine> Prompt<E> {
    /// Runs the prompt until the user leaves.
    pub async fn run(runner: Runner<E>, manners: Manners) -> Result<Exit> {
        let terminal = TerminalState::save();
        let vocabulary = Arc::new(Mutex::new(runner.engine.vocabulary()));
        let setup = Setup {
            history: manners.history,
            vocabulary: Arc::clone(&vocabulary),
            has_colour: runner.screen.errors_in_colour,
            prefers_terminal: !runner.screen.rows_on_terminal,
        };
        let (editor, above) = Editor::start(setup)?;
        runner.screen.note(&manners.greeting);
        runner.screen.print_above(above);
        let mut prompt = Self {
            runner,
            editor,
            terminal,
            vocabulary,
            last: String::new(),
            initial: String::new(),
            upright: None,
            shows_changes: false,
        };
        let exit = match manners.init {
            Some(init) => prompt.script(&init).await,
            None => Next::Stay,
        };
        let exit = match exit {
            Next::Leave(exit) => exit,
            Next::Stay => prompt.serve().await,
        };
        prompt.runner.screen.print_above(None);
        prompt.editor.close();
        Ok(exit)
    }

    async fn serve(&mut self) -> Exit {
        loop {
            let initial = std::mem::take(&mut self.initial);
            let next = match self.read(None, &initial).await {
                Some(Read::Line(line)) => self.typed(&line).await,
                Some(Read::Interrupted | Read::History(_)) => Next::Stay,
                Some(Read::End) => self.leave().await,
                Some(Read::Failed(why)) => {
                    self.tell(&format!("note: the prompt ends: {why}"));
                    return self.runner.stop_all().await;
                }
                None => return self.runner.stop_all().await,
            };
            if let Next::Leave(exit) = next {
                return exit;
            }
        }
    }

    /// Reads a statement, or the answer to a question; `None` if the end of the process is asked for.
    async fn read(&mut self, question: Option<&str>, initial: &str) -> Option<Read> {
        self.runner.screen.typing(true);
        let read = async {
            match question {
                Some(question) => self.editor.answer(question).await,
                None => self.editor.statement(PROMPT, initial).await,
            }
        };
        let read = tokio::select! {
            read = read => Some(read),
            () = self.runner.interrupts.terminated() => None,
        };
        self.runner.screen.typing(false);
        if read.is_none() {
            // The editor waits for a key still, with the terminal in its hands.
            self.terminal.restore();
            self.runner.screen.leave_line();
        }
        read
    }

    /// Runs what was typed, and shows errors under it.
    async fn typed(&mut self, line: &str) -> Next {
        match command::read(line) {
            Some(Ok(typed)) => match self.command(&typed).await {
                Ok(next) => next,
                Err(error) => {
                    let error = error.with_span(Span { start: 0, end: line.trim_end().len() });
                    self.runner.complain(&error, &typed_text(line));
                    Next::Stay
                }
            },
            Some(Err(error)) => {
                self.runner.complain(&error, &typed_text(line));
                Next::Stay
            }
            None => self.sql(line).await,
        }
    }

    async fn sql(&mut self, line: &str) -> Next {
        let (text, is_expanded) = ending(line).unwrap_or_else(|| (line.to_owned(), false));
        if is_complete(&text) && crate::sql::split_script(&text).is_ok_and(|statements| statements.is_empty()) {
            return Next::Stay;
        }
        self.last.clone_from(&text);
        let format = self.runner.manner.look.format;
        if is_expanded {
            self.runner.manner.look.format = Format::Vertical;
        }
        let next = self.script(&typed_text(&text)).await;
        self.runner.manner.look.format = format;
        next
    }

    /// Runs a script; the first error ends it.
    async fn script(&mut self, script: &ScriptText) -> Next {
        let ran = self.runner.typed(script).await;
        let next = match ran {
            Ok(Some(Signal::Terminate | Signal::HangUp)) => Next::Leave(self.runner.stop_all().await),
            Ok(_) | Err(Failure::Aborted) => Next::Stay,
            Err(Failure::Closed) => Next::Leave(self.runner.stop_all().await),
            Err(Failure::Error(error)) => {
                self.runner.complain(&error, script);
                Next::Stay
            }
        };
        *self.vocabulary.lock().unwrap_or_else(PoisonError::into_inner) = self.runner.engine.vocabulary();
        next
    }

    async fn command(&mut self, typed: &Typed) -> Result<Next> {
        let argument = typed.argument.as_str();
        match typed.action {
            Action::Sql(sql) => return Ok(self.sql(&format!("{sql};")).await),
            Action::Describe if argument.is_empty() => return Ok(self.sql("SHOW TABLES;").await),
            Action::Describe => return Ok(self.sql(&format!("DESCRIBE {argument};")).await),
            Action::Schema => return self.schema(argument).await,
            Action::Leave => return Ok(self.leave().await),
            Action::Help => self.show(&command::help())?,
            Action::ClearScreen => self.show("\u{1b}[2J\u{1b}[H")?,
            Action::Format => return self.format(argument).await,
            Action::Expanded => {
                let is_on = switched(argument, self.upright.is_some())?;
                let look = &mut self.runner.manner.look;
                match (is_on, self.upright.take()) {
                    (true, None) => self.upright = Some(std::mem::replace(&mut look.format, Format::Vertical)),
                    (true, kept) => self.upright = kept,
                    (false, Some(format)) => look.format = format,
                    (false, None) => {}
                }
                self.tell(if is_on { "a line per column" } else { "a line per row" });
            }
            Action::Timing => {
                let is_on = switched(argument, self.runner.manner.has_footer)?;
                self.runner.manner.has_footer = is_on;
                self.tell(if is_on { "footer on" } else { "footer off" });
            }
            Action::Run => {
                let script = script::read_file(&PathBuf::from(argument))?;
                return Ok(self.script(&script).await);
            }
            Action::Output => self.output(argument)?,
            Action::Watch => return self.watch(argument).await,
            Action::Edit => self.initial = outside::edit(argument, &self.last).await?,
            Action::History => {
                let lines = self.editor.history().await;
                self.show(&(lines.join("\n") + "\n"))?;
            }
        }
        Ok(Next::Stay)
    }

    /// `SHOW CREATE` of one table or view, or of all.
    async fn schema(&mut self, name: &str) -> Result<Next> {
        let known = self.runner.engine.vocabulary();
        let quoted = |name: &str| format!("`{}`", name.replace('`', "``"));
        let names: Vec<String> = match name {
            "" => known.tables.iter().map(|(name, _)| quoted(name)).collect(),
            name => vec![name.to_owned()],
        };
        for name in names {
            let is_view = known.views.iter().any(|view| *view == name.trim_matches('`'));
            let what = if is_view { "VIEW" } else { "TABLE" };
            if let leave @ Next::Leave(_) = self.script(&typed_text(&format!("SHOW CREATE {what} {name};"))).await {
                return Ok(leave);
            }
        }
        Ok(Next::Stay)
    }

    /// Says or sets how rows are written. The changes of a query are a setting, which goes with this format.
    async fn format(&mut self, name: &str) -> Result<Next> {
        let named = match name {
            "" => None,
            name => Some(Format::named(name)?),
        };
        let mut next = Next::Stay;
        if let Some(format) = named {
            self.runner.manner.look.format = format;
            self.upright = None;
            let wants_changes = format == Format::Changelog;
            if std::mem::replace(&mut self.shows_changes, wants_changes) != wants_changes {
                let set =
                    if wants_changes { "SET 'sql-client.execution.result-mode' = 'changelog';" } else { RESET_MODE };
                next = self.script(&typed_text(set)).await;
            }
        }
        self.tell(&format!("format {}", self.runner.manner.look.format.name()));
        Ok(next)
    }

    fn output(&mut self, path: &str) -> Result<()> {
        let screen = &self.runner.screen;
        let look = &mut self.runner.manner.look;
        if path.is_empty() {
            screen.send_rows_to(None);
            (look.is_terminal, look.has_colour) = (screen.rows_on_terminal, screen.rows_in_colour);
            self.tell("rows go to the terminal");
            return Ok(());
        }
        let file = outside::create(path)?;
        screen.send_rows_to(Some(Box::new(file)));
        (look.is_terminal, look.has_colour) = (false, false);
        self.tell(&format!("rows go to {path}; \\o brings them back"));
        Ok(())
    }

    /// Runs the last statement again and again until a signal.
    async fn watch(&mut self, seconds: &str) -> Result<Next> {
        let pause = match seconds {
            "" => WATCH_PAUSE,
            text => match text.parse::<f64>() {
                Ok(number) if number > 0.0 && number <= 86_400.0 => Duration::from_secs_f64(number),
                _ => return Err(Error::query(format!("\\watch takes a number of seconds, not {text}"))),
            },
        };
        if self.last.is_empty() {
            return Err(Error::query("\\watch runs the last statement again, and there is none yet"));
        }
        loop {
            let script = typed_text(&self.last);
            match self.runner.typed(&script).await {
                Ok(None) => {}
                Ok(Some(Signal::Terminate | Signal::HangUp)) => return Ok(Next::Leave(self.runner.stop_all().await)),
                Ok(Some(Signal::Interrupt)) | Err(Failure::Aborted) => return Ok(Next::Stay),
                Err(Failure::Closed) => return Ok(Next::Leave(self.runner.stop_all().await)),
                Err(Failure::Error(error)) => {
                    self.runner.complain(&error, &script);
                    return Ok(Next::Stay);
                }
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                signal = self.runner.interrupts.next() => match signal {
                    Signal::Interrupt => return Ok(Next::Stay),
                    Signal::Terminate | Signal::HangUp => return Ok(Next::Leave(self.runner.stop_all().await)),
                },
            }
        }
    }

    /// Leaves; asks what becomes of jobs that run.
    async fn leave(&mut self) -> Next {
        let jobs = self.runner.engine.running_jobs().len();
        if jobs == 0 {
            return Next::Leave(Exit::Success);
        }
        let what = if jobs == 1 { "1 job is running".to_owned() } else { format!("{jobs} jobs are running") };
        let question = format!("{what}: [w]ait, [s]top with a checkpoint, [a]bort, [c]ancel? ");
        loop {
            let answer = match self.read(Some(&question), "").await {
                Some(Read::Line(line)) => line.trim().to_lowercase(),
                Some(Read::Interrupted | Read::History(_)) => return Next::Stay,
                Some(Read::End | Read::Failed(_)) | None => return Next::Leave(self.runner.stop_all().await),
            };
            return match answer.as_str() {
                "w" | "wait" => Next::Leave(self.runner.wait_for_all().await),
                "s" | "stop" => Next::Leave(self.runner.stop_all().await),
                "a" | "abort" => Next::Leave(Exit::Interrupted),
                "c" | "cancel" => Next::Stay,
                _ => continue,
            };
        }
    }

    /// Shows a text where rows go.
    fn show(&self, text: &str) -> Result<()> {
        match self.runner.screen.rows(text.as_bytes()) {
            Err(Failure::Error(error)) => Err(*error),
            _ => Ok(()),
        }
    }

    fn tell(&self, text: &str) {
        self.runner.screen.note(text);
    }
}

fn typed_text(text: &str) -> ScriptText {
    ScriptText { name: TYPED.to_owned(), path: None, text: text.to_owned() }
}

/// `on`, `off`, or the other of both.
fn switched(argument: &str, is_on: bool) -> Result<bool> {
    match argument.to_ascii_lowercase().as_str() {
        "" => Ok(!is_on),
        "on" | "true" | "1" => Ok(true),
        "off" | "false" | "0" => Ok(false),
        other => Err(Error::query(format!("expected on or off, not {other}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_the_typing() {
        for whole in ["SELECT 1;", "SELECT 1 \\g", "SELECT 1\\gx", "SELECT 1; \\G", "\\d", "exit", "", "-- nothing"] {
            assert!(is_whole(whole), "{whole}");
        }
        for open in ["SELECT 1", "SELECT '\\g", "BEGIN STATEMENT SET; INSERT INTO a SELECT 1;", "SELECT \\d"] {
            assert!(!is_whole(open), "{open}");
        }
        assert_eq!(ending("SELECT 1 \\gx\n"), Some(("SELECT 1;".to_owned(), true)));
        assert_eq!(ending("SELECT 1; \\g"), Some(("SELECT 1;".to_owned(), false)));
        assert_eq!(ending("SELECT 1;"), None);
    }

    #[test]
    fn switches() {
        assert!(switched("", false).unwrap() && !switched("", true).unwrap());
        assert!(switched("ON", true).unwrap() && !switched("off", true).unwrap());
        assert!(switched("maybe", true).is_err());
    }
}
