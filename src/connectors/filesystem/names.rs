//! What the names of a sink's files say. All stand in the directory of the table:
//!
//! ```text
//!   part-<lineage>-<sink>-<task>-<epoch>[-<n>]           public rows
//!   .pending-<lineage>-<sink>-<generation>-<task>-<n>    durable rows that wait for their checkpoint
//!   .committed-<lineage>-<sink>-<epoch>                  the marker: all rows up to this epoch have been public
//! ```
//!
//! `<lineage>` is 32 hexadecimal digits, `<sink>` 8: several sinks of a job may share a directory.

use xxhash_rust::xxh3::xxh3_64;

use crate::stream::{Epoch, Generation};

/// A file of some sink of some lineage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Name<'a> {
    pub lineage: &'a str,
    pub sink: &'a str,
    pub kind: Kind,
}

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Part { epoch: Epoch },
    Pending { generation: Generation },
    Marker { epoch: Epoch },
}

/// The digits by which names know a sink.
pub(super) fn digits_of(sink: &str) -> String {
    format!("{:08x}", xxh3_64(sink.as_bytes()) >> 32)
}

/// A part file, the `number`th of its task and epoch.
pub(super) fn part(lineage: &str, sink: &str, task: usize, epoch: Epoch, number: usize) -> String {
    let first = format!("part-{lineage}-{sink}-{task}-{epoch}");
    if number == 0 { first } else { format!("{first}-{number}") }
}

/// A pending file, the `number`th of its task in this start.
pub(super) fn pending(lineage: &str, sink: &str, generation: Generation, task: usize, number: u64) -> String {
    format!(".pending-{lineage}-{sink}-{generation}-{task}-{number}")
}

/// The marker of an epoch.
pub(super) fn marker(lineage: &str, sink: &str, epoch: Epoch) -> String {
    format!(".committed-{lineage}-{sink}-{epoch}")
}

/// Reads a name; `None` for files that no sink has made.
pub(super) fn parse(name: &str) -> Option<Name<'_>> {
    let is_hex = |text: &str, digits| text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let (kind, rest) = ["part-", ".pending-", ".committed-"]
        .into_iter()
        .find_map(|kind| name.strip_prefix(kind).map(|rest| (kind, rest)))?;
    let (lineage, rest) = rest.split_once('-')?;
    let (sink, rest) = rest.split_once('-')?;
    if !is_hex(lineage, 32) || !is_hex(sink, 8) {
        return None;
    }
    let numbers: Vec<u64> = rest.split('-').map(|number| number.parse().ok()).collect::<Option<_>>()?;
    let kind = match (kind, &numbers[..]) {
        ("part-", [_, epoch] | [_, epoch, _]) => Kind::Part { epoch: Epoch(*epoch) },
        (".pending-", [generation, _, _]) => Kind::Pending { generation: Generation(*generation) },
        (".committed-", [epoch]) => Kind::Marker { epoch: Epoch(*epoch) },
        _ => return None,
    };
    Some(Name { lineage, sink, kind })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let (lineage, sink) = ("0123456789abcdef0123456789abcdef", digits_of("Sink-hours"));
        let read = |name: &str| {
            let name = parse(name)?;
            assert_eq!((name.lineage, name.sink), (lineage, sink.as_str()));
            Some(name.kind)
        };
        for number in [0, 3] {
            let name = part(lineage, &sink, 1, Epoch(7), number);
            assert_eq!(read(&name), Some(Kind::Part { epoch: Epoch(7) }));
        }
        let name = pending(lineage, &sink, Generation(4), 1, 9);
        assert_eq!(read(&name), Some(Kind::Pending { generation: Generation(4) }));
        assert_eq!(read(&marker(lineage, &sink, Epoch(7))), Some(Kind::Marker { epoch: Epoch(7) }));
        for other in ["notes.txt", "part-0", &format!("part-{lineage}"), &format!("part-{lineage}-zzzzzzzz-0-1")] {
            assert_eq!(parse(other), None, "{other}");
        }
        assert_eq!(parse(&format!("{name}.tmp")), None);
        assert_eq!(parse(&format!("part-{lineage}-{sink}-1-2-3-4")), None);
    }
}
