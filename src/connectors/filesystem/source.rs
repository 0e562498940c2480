//! Reading: which files there are, and blocks of each, cut between rows.
//!
//! A position says what identifies the file and digests what has been read of it, so that a job never resumes in the
//! middle of other bytes than those it has counted.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::super::row_buffer::{Cutting, RowBuffer};
use super::super::{Polled, Position, Source, SourceContext, SourceFactory, Split, SplitId, SplitReader, World};
use super::paths::{find_files, not_regular};
use crate::error::{Error, Result};
use crate::formats::{Decoder, RowReader};
use crate::storage::{FileInfo, FileKind, ReadFile, Store};
use crate::stream::ProcTime;

/// Bytes of one call to the store, and of one link of a position's digest: never change it, positions depend on it.
const BLOCK: u64 = 1 << 20;
/// Bytes at the start of a file that its position identifies it by.
const HEAD: usize = 64 << 10;
/// The id of the error about a file that is not what it was.
const CHANGED: &str = "BL-SOURCE-CHANGED";
/// Endings of files that Flink decompresses.
const COMPRESSED: &[&str] = &["gz", "gzip", "deflate", "bz2", "xz", "zst"];

/// A configured table of files.
#[derive(Debug)]
pub(super) struct FileSourceFactory {
    pub table: String,
    /// What it reads: a file, a directory or a pattern.
    pub location: PathBuf,
    pub rows: Arc<dyn RowReader>,
}

impl SourceFactory for FileSourceFactory {
    fn is_bounded(&self) -> bool {
        true
    }

    fn has_stored_times(&self) -> bool {
        true
    }

    fn check(&self, world: &World) -> Result<()> {
        world.stores.at(&self.location).map(drop)
    }

    fn open(&self, context: &SourceContext) -> Result<Arc<dyn Source>> {
        let (store, path) = context.world.stores.at(&self.location)?;
        // Made here once so that what cannot be decoded is said here.
        self.rows.decoder(&context.projection)?;
        Ok(Arc::new(FileSource {
            table: self.table.clone(),
            store,
            path,
            rows: Arc::clone(&self.rows),
            projection: context.projection.clone(),
            batch_rows: context.batch_rows,
            world: context.world.clone(),
        }))
    }
}

struct FileSource {
    table: String,
    store: Arc<dyn Store>,
    path: PathBuf,
    rows: Arc<dyn RowReader>,
    projection: Vec<usize>,
    batch_rows: usize,
    world: World,
}

#[async_trait]
impl Source for FileSource {
    async fn discover(&self, _known: &BTreeSet<SplitId>) -> Result<Vec<Split>> {
        let (store, path) = (Arc::clone(&self.store), self.path.clone());
        let splits = self.world.blocking.call(move || find_splits(store.as_ref(), &path)).await?;
        splits.map_err(|error| error.context(format!("table `{}`", self.table)))
    }

    async fn changed(&self, now: &Split, position: &Position) -> Result<Option<String>> {
        let was = FilePosition::read(&now.id, position)?;
        let is = FilePosition::read(&now.id, &now.start)?;
        let is_read = was.offset == was.length;
        if is_read && (is.length, is.modified_ns) != (was.length, was.modified_ns) {
            // Nobody opens it once more, and its time alone says nothing.
            let (store, file, was) = (Arc::clone(&self.store), PathBuf::from(&now.id.0), was.clone());
            let resumed = self.world.blocking.call(move || resume(store.as_ref(), &file, &was)).await?;
            match resumed {
                Err(error) if error.id() == Some(CHANGED) => {
                    return Ok(Some("has changed since the job read it".to_owned()));
                }
                other => other.map(|_| ())?,
            }
        }
        let grown = || format!("had {} bytes when the job began and has {}", was.length, is.length);
        Ok((is.length > was.length).then(grown))
    }

    async fn open(&self, split: &SplitId, from: &Position) -> Result<Box<dyn SplitReader>> {
        let place = FilePosition::read(split, from)?;
        let store = Arc::clone(&self.store);
        let (file, wanted) = (PathBuf::from(&split.0), place.clone());
        let (file, digest) = self.world.blocking.call(move || resume(store.as_ref(), &file, &wanted)).await??;
        let origin: Arc<str> = split.0.as_str().into();
        let (rows, begins) = (Arc::clone(&self.rows), place.offset == 0);
        Ok(Box::new(FileReader {
            buffer: RowBuffer::new(Arc::clone(&origin), rows, self.batch_rows, place.line, begins),
            origin,
            read_to: place.offset,
            at: place,
            file: Arc::new(file),
            store: Arc::clone(&self.store),
            is_checked: false,
            digest,
            world: self.world.clone(),
            reading: None,
        }))
    }

    fn decoder(&self) -> Option<Box<dyn Decoder>> {
        self.rows.decoder(&self.projection).ok()
    }
}

// ---------------------------------------------------------------------------------------------- discovery

fn find_splits(store: &dyn Store, path: &Path) -> Result<Vec<Split>> {
    find_files(store, path)?.iter().map(|file| split(store, file)).collect()
}

fn split(store: &dyn Store, file: &FileInfo) -> Result<Split> {
    let name = file.path.to_str().ok_or_else(|| {
        Error::world(format!("the name of the file '{}' is not UTF-8", file.path.display()))
            .with_help("rename the file")
    })?;
    let ending = file.path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    if COMPRESSED.iter().any(|known| known.eq_ignore_ascii_case(ending)) {
        return Err(Error::query(format!("'{name}': compressed files are not built yet"))
            .with_help("decompress the file, or leave it out by a pattern in 'path'")
            .with_help(format!("or through a pipe: zcat {name} | beadline script.sql, with 'connector' = 'stdin'")));
    }
    let open = store.open(&file.path)?;
    // Files of /proc are of no length and hold something all the same.
    if file.length == 0 && !open.read(0, 1)?.is_empty() {
        return Err(not_regular(&file.path));
    }
    let start = FilePosition {
        offset: 0,
        line: 1,
        length: file.length,
        modified_ns: file.modified_ns,
        head: head_digest(open.as_ref(), file.length)?,
        blocks: 0,
        digest: Digest::new(0).value(),
    };
    Ok(Split { id: SplitId(name.to_owned()), start: start.write()?, bytes: Some(file.length) })
}

fn head_digest(file: &dyn ReadFile, length: u64) -> Result<u64> {
    let wanted = usize::try_from(length).unwrap_or(HEAD).min(HEAD);
    Ok(xxh3_64(&file.read(0, wanted)?))
}

// ----------------------------------------------------------------------------------------------- position

/// Where reading resumes, and in which file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct FilePosition {
    /// Bytes before it have been read.
    offset: u64,
    /// The number of the line that begins there, from 1.
    line: u64,
    /// The file's length at discovery, which is where the split ends.
    length: u64,
    modified_ns: i64,
    /// Digest of the first 64 KiB.
    #[serde(with = "hexadecimal")]
    head: u64,
    /// Digest of all whole blocks before `offset`, each one seeded with the digest before it.
    #[serde(with = "hexadecimal")]
    blocks: u64,
    /// Digest of all bytes before `offset`: those behind the whole blocks, seeded with `blocks`.
    #[serde(with = "hexadecimal")]
    digest: u64,
}

impl FilePosition {
    fn write(&self) -> Result<Position> {
        let value =
            serde_json::to_value(self).map_err(|error| Error::bug(format!("a position is no JSON: {error}")))?;
        Ok(Position(value))
    }

    fn read(split: &SplitId, position: &Position) -> Result<Self> {
        serde_json::from_value(position.0.clone())
            .map_err(|error| Error::bug(format!("the position in {} cannot be read: {error}", split.0)))
    }
}

mod hexadecimal {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(value: &u64, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&format!("{value:016x}"))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        u64::from_str_radix(&String::deserialize(from)?, 16).map_err(D::Error::custom)
    }
}

/// The running digest of what has been read. It can be taken up again by reading one block and not the whole file.
#[derive(Clone)]
struct Digest {
    blocks: u64,
    hasher: Box<Xxh3>,
    in_block: u64,
}

impl Digest {
    fn new(blocks: u64) -> Self {
        Self { blocks, hasher: Box::new(Xxh3::with_seed(blocks)), in_block: 0 }
    }

    fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = usize::try_from(BLOCK - self.in_block).unwrap_or(usize::MAX);
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.hasher.update(now);
            self.in_block += now.len() as u64;
            if self.in_block == BLOCK {
                *self = Self::new(self.hasher.digest());
            }
            bytes = later;
        }
    }

    fn value(&self) -> u64 {
        self.hasher.digest()
    }
}

/// Opens the file if it is still the one that the position was taken in, and takes up its digest. It may have grown:
/// what came since is not read.
fn resume(store: &dyn Store, path: &Path, from: &FilePosition) -> Result<(OpenedFile, Digest)> {
    let changed = |what: String| changed(path, &what);
    if store.info(path)?.is_none_or(|info| info.kind != FileKind::File) {
        return Err(changed("it is gone".to_owned()));
    }
    let file = store.open(path)?;
    let opened = file.info()?;
    if opened.length < from.length {
        return Err(changed(format!("it had {} bytes and has {}", from.length, opened.length)));
    }
    if head_digest(file.as_ref(), from.length)? != from.head {
        return Err(changed("its first bytes are others".to_owned()));
    }
    // Only the time is another: what has been read decides. Otherwise the last block tells, which costs nothing.
    let unchanged = opened.modified_ns == from.modified_ns && opened.length == from.length;
    let start = if unchanged { from.offset - from.offset % BLOCK } else { 0 };
    let mut digest = Digest::new(if unchanged { from.blocks } else { 0 });
    digest_of(file.as_ref(), start, from.offset, &mut digest)?;
    if digest.value() != from.digest {
        return Err(changed(format!("among the first {} bytes are others than those that were read", from.offset)));
    }
    Ok((OpenedFile { file, path: path.to_owned(), opened }, digest))
}

/// Adds the bytes from `start` to `end`, or to the end of the file.
fn digest_of(file: &dyn ReadFile, start: u64, end: u64, digest: &mut Digest) -> Result<()> {
    let mut at = start;
    while at < end {
        let bytes = file.read(at, usize::try_from((end - at).min(BLOCK)).unwrap_or(usize::MAX))?;
        if bytes.is_empty() {
            return Ok(());
        }
        digest.update(&bytes);
        at += bytes.len() as u64;
    }
    Ok(())
}

fn changed(path: &Path, what: &str) -> Error {
    Error::world(format!("the file '{}' has changed since the job began to read it: {what}", path.display()))
        .with_id(CHANGED)
        .with_help("put the file back as it was, or start over with --fresh")
}

/// A file from the moment it was opened.
#[derive(Debug)]
struct OpenedFile {
    file: Box<dyn ReadFile>,
    path: PathBuf,
    opened: FileInfo,
}

impl OpenedFile {
    /// Checks, once the last byte of `length` has been read, that all of them were of one file: nobody has put another
    /// in its place, and nobody has written to it but behind them. `digest` says what was read, but for
    /// `rest`.
    fn check_unchanged(&self, store: &dyn Store, length: u64, mut digest: Digest, rest: &[u8]) -> Result<()> {
        let now = store.info(&self.path)?.filter(|now| now.identity == self.opened.identity);
        let Some(now) = now else {
            return Err(changed(&self.path, "another has come in its place, or none, while it was read"));
        };
        if now.length < length {
            return Err(changed(&self.path, "it became shorter while it was read"));
        }
        if (now.length, now.modified_ns) != (self.opened.length, self.opened.modified_ns) {
            // Somebody has written to it, perhaps only behind what is read here. Reading it once more tells.
            let mut again = Digest::new(0);
            digest_of(self.file.as_ref(), 0, length, &mut again)?;
            digest.update(rest);
            if again.value() != digest.value() {
                return Err(changed(&self.path, "it was written to while it was read"));
            }
        }
        if length > 0 && now.length > length {
            let around = self.file.read(length - 1, 2)?;
            if !around.iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
                return Err(changed(&self.path, "its last row was not complete when the job began, and has grown"));
            }
        }
        Ok(())
    }
}

// ------------------------------------------------------------------------------------------------- reader

struct FileReader {
    file: Arc<OpenedFile>,
    store: Arc<dyn Store>,
    origin: Arc<str>,
    world: World,
    /// Behind the last chunk that was handed out; its digests are brought up to date with `digest`.
    at: FilePosition,
    digest: Digest,
    /// What has been read from `at.offset` on.
    buffer: RowBuffer,
    /// Where the next block begins that has not been asked for.
    read_to: u64,
    reading: Option<Reading>,
    /// Whether the file was looked at again after its last block.
    is_checked: bool,
}

/// A block on its way. Its work began when it was made, so that it goes on while earlier rows are decoded.
struct Reading {
    work: BoxFuture<'static, Result<()>>,
    answer: oneshot::Receiver<Result<Bytes>>,
}

#[async_trait]
impl SplitReader for FileReader {
    async fn next(&mut self) -> Result<Polled> {
        loop {
            let at_end = self.at.offset + self.buffer.len() as u64 == self.at.length;
            if at_end && !self.is_checked {
                self.check_unchanged().await?;
                self.is_checked = true;
            }
            if at_end && self.buffer.is_empty() {
                return Ok(Polled::End);
            }
            match self.buffer.cut(at_end)? {
                Cutting::Header(bytes) => self.advance(&bytes),
                Cutting::Rows(mut chunk) => {
                    self.advance(&chunk.bytes);
                    // As it was when the job first saw the file: a copy of it later changes nothing.
                    chunk.stored = Some(ProcTime(self.at.modified_ns.div_euclid(1_000_000)));
                    return Ok(Polled::Chunk(chunk, self.at.write()?));
                }
                Cutting::More => self.read_more().await?,
            }
        }
    }
}

impl FileReader {
    /// Moves the position behind bytes that have left the buffer.
    fn advance(&mut self, bytes: &[u8]) {
        self.digest.update(bytes);
        self.at.offset += bytes.len() as u64;
        self.at.line = self.buffer.line();
        self.at.blocks = self.digest.blocks;
        self.at.digest = self.digest.value();
    }

    /// Waits for the block that is on its way and asks for the one after it. Cancel-safe: until a block has arrived,
    /// nothing changes.
    async fn read_more(&mut self) -> Result<()> {
        if self.reading.is_none() {
            self.read_ahead();
        }
        let Some(reading) = &mut self.reading else {
            return Err(Error::bug(format!("{}: nothing is left to read", self.origin)));
        };
        let answer = match (&mut reading.answer).await {
            Ok(answer) => answer,
            // The work ended without an answer; it knows why.
            Err(_) => {
                let reading = self.reading.take();
                let failed = match reading {
                    Some(reading) => reading.work.await.err(),
                    None => None,
                };
                return Err(failed.unwrap_or_else(|| Error::bug("a read ended without an answer")));
            }
        };
        self.reading = None;
        let block = answer?;
        let wanted = self.next_length();
        if block.len() as u64 != wanted {
            return Err(changed(&self.file.path, "it became shorter while it was read"));
        }
        self.read_to += wanted;
        self.buffer.push(block);
        self.read_ahead();
        Ok(())
    }

    /// Before the last rows go out: all that was read is of one file. Cancel-safe.
    async fn check_unchanged(&mut self) -> Result<()> {
        let (file, store) = (Arc::clone(&self.file), Arc::clone(&self.store));
        let (length, digest, rest) = (self.at.length, self.digest.clone(), self.buffer.bytes().clone());
        let check = move || file.check_unchanged(store.as_ref(), length, digest, &rest);
        self.world.blocking.call(check).await?
    }

    /// Bytes of the block at `read_to`: it ends where a link of the digest does.
    fn next_length(&self) -> u64 {
        (BLOCK - self.read_to % BLOCK).min(self.at.length - self.read_to)
    }

    fn read_ahead(&mut self) {
        let length = self.next_length();
        if length == 0 {
            return;
        }
        let (send, answer) = oneshot::channel();
        let (file, offset) = (Arc::clone(&self.file), self.read_to);
        let work = self.world.blocking.run(Box::new(move || {
            let block = file.file.read(offset, usize::try_from(length).unwrap_or(usize::MAX));
            // Nobody listens any more when the reader is gone, and then nobody needs the block.
            drop(send.send(block));
        }));
        self.reading = Some(Reading { work, answer });
    }
}
