//! The flight recorder's files: written by a thread of their own, bounded, and rotated.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

use process_hub::record::{Head, Piece, RecordSink, SegmentWriter};
use process_hub_core::id::NodeId;
use process_hub_core::wire::record::Beginning;

/// What may wait to be written, in bytes. Beyond, steps are lost and a gap is written.
const WAITING: usize = 16 << 20;
/// The share of the limit that one file may have: the beginning is kept in half of it, the newest steps in the rest.
const FILES: u64 = 16;
/// The smallest limit, in bytes: files of less than this hold too little.
const LEAST: u64 = 1 << 20;
/// How the files' names end.
const EXTENSION: &str = "phrec";

/// Files in a directory that a node's record goes to: `NAME-BOOT-NUMBER.phrec`.
///
/// They take `limit` bytes in all, and no more than a sixteenth beyond it. Half of that is for the beginning, from which
/// alone a record can be replayed; it is never deleted while the node lives. The other half is for the newest steps: when
/// it is full, its oldest file goes. Files of earlier lives of the node go first.
///
/// Writing happens on a thread of its own, which ends with the node. Nothing is forced onto the disk: a machine that loses
/// power may lose the last seconds, a process that is killed only what waits to be written.
#[derive(Debug)]
pub struct RecordFiles {
    to_writer: Option<Sender<Piece>>,
    waiting: Arc<AtomicUsize>,
    writer: Option<JoinHandle<()>>,
}

impl RecordFiles {
    /// In this directory, which is made if it is not there; `limit` is in bytes, at least a mebibyte.
    ///
    /// # Errors
    /// When the directory cannot be made or written to; no thread is left running.
    pub fn create(dir: impl Into<PathBuf>, limit: u64) -> io::Result<Self> {
        let dir = dir.into();
        fs::create_dir_all(&dir)?;
        // Better now than in the log of a node that runs.
        let probe = dir.join(".probe");
        File::create(&probe)?;
        fs::remove_file(&probe)?;
        let (to_writer, pieces) = channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let limit = limit.max(LEAST);
        let writer = Writer { dir, limit, waiting: waiting.clone(), record: None };
        let writer = thread::Builder::new().name("record".to_owned()).spawn(move || writer.run(&pieces))?;
        Ok(Self { to_writer: Some(to_writer), waiting, writer: Some(writer) })
    }
}

/// The node has ended: what waits is written before its process may end, too.
impl Drop for RecordFiles {
    fn drop(&mut self) {
        self.to_writer = None;
        if let Some(writer) = self.writer.take() {
            // It has told its own trouble, if it had any.
            let _ = writer.join();
        }
    }
}

impl RecordSink for RecordFiles {
    fn put(&self, piece: Piece) -> Result<(), Piece> {
        let size = size(&piece);
        // The driver is the only one that adds.
        if self.waiting.load(Ordering::Acquire) + size > WAITING {
            return Err(piece);
        }
        self.waiting.fetch_add(size, Ordering::AcqRel);
        // The writer has given up if it does not listen.
        match &self.to_writer {
            Some(to_writer) => to_writer.send(piece).map_err(|refused| refused.0),
            None => Err(piece),
        }
    }
}

fn size(piece: &Piece) -> usize {
    if let Piece::Steps { bytes, .. } = piece { bytes.len() } else { 64 }
}

struct Writer {
    dir: PathBuf,
    limit: u64,
    waiting: Arc<AtomicUsize>,
    record: Option<Record>,
}

/// The record of the node, once its beginning is known.
struct Record {
    beginning: Box<Beginning>,
    file: SegmentWriter<File>,
    segment: u32,
    next: u64,
    /// The number and size of each finished file.
    finished: Vec<(u32, u64)>,
    /// The files of earlier lives and their sizes, the newest first.
    former: Vec<(PathBuf, u64)>,
}

impl Writer {
    fn run(mut self, pieces: &Receiver<Piece>) {
        for piece in pieces {
            let size = size(&piece);
            let written = self.write(piece);
            self.waiting.fetch_sub(size, Ordering::AcqRel);
            if let Err(error) = written {
                tracing::error!(dir = %self.dir.display(), %error, "nothing is recorded from here on");
                return;
            }
        }
    }

    fn write(&mut self, piece: Piece) -> io::Result<()> {
        match piece {
            Piece::Beginning(beginning) => {
                let former = self.former(&beginning)?;
                let file = begin(&self.dir, &beginning, 0, 0)?;
                let finished = Vec::new();
                self.record = Some(Record { beginning, file, segment: 0, next: 0, finished, former });
                self.make_room()?;
            }
            Piece::Steps { first, count, bytes } => {
                let Some(record) = &mut self.record else { return Ok(()) };
                record.file.steps(first, count, &bytes)?;
                record.next = first + u64::from(count);
                self.rotate()?;
            }
            Piece::Gap { first, count } => {
                tracing::warn!(first, count, "steps of the node are missing in its record: the disk is too slow");
                let Some(record) = &mut self.record else { return Ok(()) };
                record.file.gap(first, count)?;
                record.next = first + count;
            }
        }
        Ok(())
    }

    /// Begins the next file once this one has its share.
    fn rotate(&mut self) -> io::Result<()> {
        let Some(record) = &mut self.record else { return Ok(()) };
        let share = self.limit / FILES;
        if record.file.written() < share {
            return Ok(());
        }
        record.finished.push((record.segment, record.file.written()));
        record.segment += 1;
        record.file = begin(&self.dir, &record.beginning, record.segment, record.next)?;
        self.make_room()
    }

    /// Deletes files until there is room for one more: first those of earlier lives, then this one's.
    fn make_room(&mut self) -> io::Result<()> {
        let Some(record) = &mut self.record else { return Ok(()) };
        let share = self.limit / FILES;
        // The beginning's half is kept; of the rest, the oldest goes.
        let head = record.finished.iter().scan(0, |sum, (_, size)| {
            *sum += size;
            Some(*sum)
        });
        let head = head.take_while(|sum| *sum <= self.limit / 2).count().max(1);
        let former: u64 = record.former.iter().map(|(_, size)| size).sum();
        let mut sum = former + record.finished.iter().map(|(_, size)| size).sum::<u64>();
        while sum + share > self.limit {
            if let Some((path, size)) = record.former.pop() {
                fs::remove_file(path)?;
                sum -= size;
            } else if record.finished.len() > head {
                let (oldest, size) = record.finished.remove(head);
                fs::remove_file(self.dir.join(name(&record.beginning, oldest)))?;
                sum -= size;
            } else {
                break;
            }
        }
        Ok(())
    }

    /// The files of earlier lives of the node, the newest first.
    fn former(&self, beginning: &Beginning) -> io::Result<Vec<(PathBuf, u64)>> {
        let prefix = format!("{}-", plain(&beginning.config.name));
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with(&prefix) && name.ends_with(EXTENSION) {
                files.push((entry.path(), entry.metadata()?.len()));
            }
        }
        files.sort();
        files.reverse();
        Ok(files)
    }
}

fn begin(dir: &Path, beginning: &Beginning, segment: u32, first: u64) -> io::Result<SegmentWriter<File>> {
    let file = File::create(dir.join(name(beginning, segment)))?;
    let program = format!("process-hub {}", env!("CARGO_PKG_VERSION"));
    SegmentWriter::begin(file, &Head { program, segment, first, beginning: beginning.clone() })
}

/// The name of a file: in the order of names, the files of a node are in the order of time.
fn name(beginning: &Beginning, segment: u32) -> String {
    format!("{}-{:020}-{segment:06}.{EXTENSION}", plain(&beginning.config.name), beginning.boot.0)
}

/// A node's name as a part of a file's.
fn plain(name: &NodeId) -> String {
    name.as_str().chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' || c == '_' { c } else { '_' }).collect()
}
