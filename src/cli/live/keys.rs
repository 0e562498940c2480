//! Keys that are pressed while a table is live. The terminal then hands on each key at once and does not show it; Ctrl-C
//! stays a signal. How it was set before is put back when this is dropped, in a panic as well.

use std::fs::File;
use std::io::Read;

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    Quit,
    Pause,
    Next,
    Previous,
}

/// The keyboard, if there is one.
pub struct Keys(Option<Keyboard>);

struct Keyboard {
    terminal: File,
    before: Termios,
}

impl Keys {
    /// The keyboard of the process's terminal, wherever its standard input comes from.
    pub fn of_terminal() -> Self {
        Self(Keyboard::open())
    }

    /// Which keys have been pressed since the last time. Never waits.
    pub fn pressed(&mut self) -> Vec<Key> {
        let Some(keyboard) = &mut self.0 else { return Vec::new() };
        let mut bytes = [0; 64];
        match keyboard.terminal.read(&mut bytes) {
            Ok(length) => keys_of(&bytes[..length]),
            Err(_) => Vec::new(),
        }
    }
}

impl Keyboard {
    fn open() -> Option<Self> {
        let terminal = File::open("/dev/tty").ok()?;
        let before = tcgetattr(&terminal).ok()?;
        let mut set = before.clone();
        set.local_modes &= !(LocalModes::ICANON | LocalModes::ECHO);
        // A read gives what is there, be it nothing.
        set.special_codes[SpecialCodeIndex::VMIN] = 0;
        set.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(&terminal, OptionalActions::Now, &set).ok()?;
        Some(Self { terminal, before })
    }
}

impl Drop for Keyboard {
    fn drop(&mut self) {
        // If the terminal is gone there is nothing to put back.
        let _ = tcsetattr(&self.terminal, OptionalActions::Now, &self.before);
    }
}

/// The keys in what a terminal sent: letters, and the arrows and page keys that send several bytes.
fn keys_of(bytes: &[u8]) -> Vec<Key> {
    let mut keys = Vec::new();
    let mut rest = bytes;
    while let [first, behind @ ..] = rest {
        rest = behind;
        match first {
            b'q' | b'Q' => keys.push(Key::Quit),
            b' ' => keys.push(Key::Pause),
            b'n' | b'N' => keys.push(Key::Next),
            b'p' | b'P' => keys.push(Key::Previous),
            0x1b => {
                let (key, length) = match rest {
                    [b'[', b'B', ..] => (Some(Key::Next), 2),
                    [b'[', b'A', ..] => (Some(Key::Previous), 2),
                    [b'[', b'6', b'~', ..] => (Some(Key::Next), 3),
                    [b'[', b'5', b'~', ..] => (Some(Key::Previous), 3),
                    [b'[', _, ..] => (None, 2),
                    _ => (None, 0),
                };
                keys.extend(key);
                rest = &rest[length..];
            }
            _ => {}
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_and_arrows() {
        use Key::{Next, Pause, Previous, Quit};
        assert_eq!(keys_of(b"n x\x1b[B\x1b[5~\x1b[Cpq"), [Next, Pause, Next, Previous, Previous, Quit]);
        assert_eq!(keys_of(b"\x1b"), []);
    }
}
