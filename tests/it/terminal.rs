//! A program on a terminal of its own: keys go in, and what a person would see comes out, as the text of the screen.

use std::collections::{BTreeSet, VecDeque};
use std::fs::File;
use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::process::Command;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use beadline::stream::{Clock, SystemClock};
use rexpect::process::{PtyProcess, Signal, WaitStatus};
use rustix::termios::{Winsize, tcsetwinsize};

/// For how long a test waits for something to appear; it never does where nothing is broken.
const PATIENCE: Duration = Duration::from_secs(60);
/// What stands before what is typed.
const PROMPT: &str = "beadline>";
/// With this a program asks where the cursor stands.
const WHERE_IS_THE_CURSOR: &[u8] = b"\x1b[6n";

/// A terminal with a program in it.
pub struct Terminal {
    process: PtyProcess,
    keyboard: File,
    output: Receiver<Vec<u8>>,
    /// What has come and is not on the screen yet.
    pending: VecDeque<u8>,
    screen: vt100::Parser,
    /// Everything that was written.
    written: Vec<u8>,
}

impl Terminal {
    /// Runs `command` on a terminal of this size.
    pub fn run(command: &Command, rows: u16, columns: u16) -> Self {
        // The size has to be there before the program looks at it.
        let mut sized = Command::new("sh");
        sized.arg("-c").arg(format!("stty rows {rows} cols {columns}; exec \"$@\"")).arg("sh");
        sized.arg(command.get_program()).args(command.get_args());
        sized.env("TERM", "xterm-256color").env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE");
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => sized.env(name, value),
                None => sized.env_remove(name),
            };
        }
        if let Some(directory) = command.get_current_dir() {
            sized.current_dir(directory);
        }
        let process = PtyProcess::new(sized).expect("a terminal");
        let keyboard = process.get_file_handle().expect("its keyboard");
        let mut output = process.get_file_handle().expect("its output");
        let (send, receive) = sync_channel(64);
        std::thread::Builder::new()
            .spawn(move || {
                let mut block = vec![0; 1 << 16];
                // A terminal that nobody holds any more is an error to read.
                while let Ok(length @ 1..) = output.read(&mut block) {
                    if send.send(block[..length].to_vec()).is_err() {
                        return;
                    }
                }
            })
            .expect("a thread");
        let size = |number| NonZeroU16::new(number).expect("a terminal has rows and columns");
        Self {
            process,
            keyboard,
            output: receive,
            pending: VecDeque::new(),
            screen: vt100::Parser::new(size(rows), size(columns), 1_000),
            written: Vec::new(),
        }
    }

    /// Types.
    pub fn keys(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).expect("keys arrive");
    }

    /// Waits until the screen fits, and returns its text. Each line is looked at, however fast others push it away.
    pub fn wait_until(&mut self, what: &str, fits: impl Fn(&str) -> bool) -> String {
        let clock = SystemClock::default();
        loop {
            let text = self.text();
            if fits(&text) {
                return text;
            }
            let left = PATIENCE.checked_sub(clock.elapsed());
            let shown = left.ok_or(RecvTimeoutError::Timeout).and_then(|left| self.show_line(left));
            shown.unwrap_or_else(|error| panic!("{what}: {error}; the screen:\n{text}"));
        }
    }

    /// Waits until this stands on the screen.
    pub fn wait_for(&mut self, text: &str) -> String {
        self.wait_until(text, |screen| screen.contains(text))
    }

    /// Waits until the last line is a prompt and nothing else: the program waits for keys.
    pub fn wait_for_prompt(&mut self) -> String {
        self.wait_until("a prompt", |screen| screen.lines().last() == Some(PROMPT))
    }

    /// Types a line at the prompt, and waits until `answer` stands below it and a prompt below that.
    pub fn line(&mut self, line: &str, answer: &str) -> String {
        self.keys(line);
        self.keys("\r");
        let typed = format!("{PROMPT} {}", line.trim_end());
        self.wait_until(&format!("{answer} below {line}"), |screen| {
            let Some(below) = below(screen, &typed) else { return false };
            below.contains(answer) && below.lines().last() == Some(PROMPT)
        })
    }

    /// What stands on the screen, without empty lines at its end.
    pub fn text(&self) -> String {
        let contents = self.screen.screen().contents();
        contents.lines().map(str::trim_end).collect::<Vec<_>>().join("\n").trim_end().to_owned()
    }

    /// The same, broken where the terminal breaks lines.
    pub fn broken_text(&self) -> String {
        let screen = self.screen.screen();
        let rows = screen.rows(0, screen.size().1.get()).map(|row| row.trim_end().to_owned()).collect::<Vec<_>>();
        rows.join("\n").trim_end().to_owned()
    }

    /// Makes the terminal another size; the program is told.
    pub fn resize(&mut self, rows: u16, columns: u16) {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.keyboard, size).expect("a terminal has a size");
        let size = |number| NonZeroU16::new(number).expect("a terminal has rows and columns");
        self.screen.screen_mut().set_size(size(rows), size(columns));
    }

    /// The parameters of all colours and attributes that were written, each once.
    pub fn attributes(&self) -> BTreeSet<String> {
        let text = String::from_utf8_lossy(&self.written);
        let sequences = text.split("\x1b[").skip(1).filter_map(|rest| {
            let end = rest.find(|c: char| !c.is_ascii_digit() && c != ';')?;
            rest[end..].starts_with('m').then(|| rest[..end].to_owned())
        });
        sequences.flat_map(|all| all.split(';').map(str::to_owned).collect::<Vec<_>>()).collect()
    }

    /// Sends a signal to the program.
    pub fn signal(&mut self, signal: Signal) {
        self.process.signal(signal).expect("the program is there");
    }

    /// Waits for the program's end; its exit code, and the screen as it stays.
    pub fn end(mut self) -> (i32, String) {
        loop {
            match self.show_line(PATIENCE) {
                Ok(()) => {}
                Err(RecvTimeoutError::Disconnected) => break,
                Err(error) => panic!("the end: {error}; the screen:\n{}", self.text()),
            }
        }
        match self.process.wait().expect("its status") {
            WaitStatus::Exited(_, code) => (code, self.text()),
            other => panic!("{other:?}; the screen:\n{}", self.text()),
        }
    }

    /// Shows what has come, to the end of a line at most; waits if nothing has.
    fn show_line(&mut self, patience: Duration) -> Result<(), RecvTimeoutError> {
        if self.pending.is_empty() {
            self.pending.extend(self.output.recv_timeout(patience)?);
        }
        let end = self.pending.iter().position(|byte| *byte == b'\n').map_or(self.pending.len(), |at| at + 1);
        let line: Vec<u8> = self.pending.drain(..end).collect();
        self.show(&line);
        Ok(())
    }

    fn show(&mut self, bytes: &[u8]) {
        self.screen.process(bytes);
        self.written.extend_from_slice(bytes);
        let asked = bytes.windows(WHERE_IS_THE_CURSOR.len()).filter(|four| *four == WHERE_IS_THE_CURSOR).count();
        for _ in 0..asked {
            let (row, column) = self.screen.screen().cursor_position();
            self.keys(&format!("\x1b[{};{}R", row + 1, column + 1));
        }
    }
}

/// What stands on the screen below the last place of this line, wherever the terminal has broken it.
fn below<'a>(screen: &'a str, line: &str) -> Option<&'a str> {
    screen.rmatch_indices(PROMPT).find_map(|(at, _)| {
        let mut rest = screen[at..].char_indices().filter(|(_, character)| !character.is_whitespace());
        let mut end = at;
        for expected in line.chars().filter(|character| !character.is_whitespace()) {
            let (index, found) = rest.next()?;
            if found != expected {
                return None;
            }
            end = at + index + found.len_utf8();
        }
        Some(&screen[end..])
    })
}
