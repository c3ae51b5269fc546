//! What is to be sent, read on a thread of its own: lines, JSON lines or whole files become pieces, each with the place
//! where it stands.
//!
//! Invariant: pieces that wait have `WAITING_BYTES_MAX` at most, unless it is a single one, and are `PIECES_MAX` at most; the
//! channel's end is the end of the input.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use clap::ValueEnum;

use crate::cli::Failure;

/// Pieces that may wait to be sent.
const PIECES_MAX: usize = 4096;
/// Bytes of pieces that may wait to be sent: some batches.
const WAITING_BYTES_MAX: usize = 8 << 20;
/// Longest line or file, in bytes: one without end would fill the memory. No broker takes records of that size.
const PIECE_BYTES_MAX: u64 = 1 << 30;

/// How the input becomes records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Input {
    /// Each line is a record.
    Lines,
    /// Each line is a record in JSON, as `corelog consume -o json` prints it.
    Json,
    /// Each file, or all of standard input, is the value of one record.
    Whole,
}

/// One record as it was read, and where.
#[derive(Debug)]
pub struct Piece {
    pub bytes: Vec<u8>,
    /// Bytes of the input that it took.
    pub taken: u64,
    /// As in `orders.json:3`.
    pub place: Place,
    /// Makes room for others when the piece is dropped.
    _room: Room,
}

/// The bytes that pieces hold in memory.
#[derive(Debug, Default)]
struct Budget {
    held: Mutex<usize>,
    freed: Condvar,
}

impl Budget {
    /// Waits until so many bytes more may be held. One piece that is larger than all may be is held alone.
    fn take(self: &Arc<Budget>, bytes: usize) -> Room {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        while *held > 0 && held.saturating_add(bytes) > WAITING_BYTES_MAX {
            held = self.freed.wait(held).unwrap_or_else(PoisonError::into_inner);
        }
        *held += bytes;
        Room { budget: self.clone(), bytes }
    }
}

/// A part of the budget, given back when it is dropped.
#[derive(Debug)]
struct Room {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Drop for Room {
    fn drop(&mut self) {
        *self.budget.held.lock().unwrap_or_else(PoisonError::into_inner) -= self.bytes;
        self.budget.freed.notify_one();
    }
}

/// Where pieces go.
struct Pieces {
    tx: SyncSender<io::Result<Piece>>,
    budget: Arc<Budget>,
}

impl Pieces {
    /// `None`: nobody takes them any more, as the command has failed.
    fn put(&self, bytes: Vec<u8>, taken: u64, place: Place) -> Option<()> {
        let room = self.budget.take(bytes.len());
        self.tx.send(Ok(Piece { bytes, taken, place, _room: room })).ok()
    }

    /// Nothing comes after it.
    fn fail(&self, place: &Place, error: io::Error) {
        // Whoever would hear of it may have gone.
        let _gone = self.tx.send(Err(io::Error::new(error.kind(), format!("{place}: {error}"))));
    }
}

#[derive(Clone, Debug)]
pub struct Place {
    /// `None`: standard input.
    pub file: Option<PathBuf>,
    pub line: u64,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.file {
            Some(path) => write!(f, "{}:{}", path.display(), self.line),
            None => write!(f, "standard input, line {}", self.line),
        }
    }
}

/// Where the pieces come from.
pub struct Source {
    pub pieces: Receiver<io::Result<Piece>>,
    /// Of all files; `None` for standard input.
    pub bytes: Option<u64>,
}

/// What is read in its turn. A thousand files are not open at once, and a pipe is opened once.
enum Opened {
    Stdin,
    File(PathBuf),
    Pipe(PathBuf, File),
}

/// Looks whether all files can be read, then reads them in their order; standard input if there are none.
pub fn read(files: &[PathBuf], input: Input) -> Result<Source, Failure> {
    let mut all = Vec::new();
    let mut bytes = 0;
    for path in files {
        let wrong = |e: io::Error| Failure::Usage(format!("{}: {e}; check the path given with --file", path.display()));
        let file = File::open(path).map_err(wrong)?;
        let metadata = file.metadata().map_err(wrong)?;
        bytes += metadata.len();
        let path = path.clone();
        all.push(if metadata.is_file() { Opened::File(path) } else { Opened::Pipe(path, file) });
    }
    if all.is_empty() {
        all.push(Opened::Stdin);
    }
    let (tx, pieces) = sync_channel(PIECES_MAX);
    let to = Pieces { tx, budget: Arc::default() };
    std::thread::spawn(move || all.into_iter().try_for_each(|opened| read_one(opened, input, &to)));
    Ok(Source { pieces, bytes: (!files.is_empty()).then_some(bytes) })
}

/// `None`: it could not be read, which was told; or nobody takes pieces any more.
fn read_one(opened: Opened, input: Input, to: &Pieces) -> Option<()> {
    let (file, reader): (_, io::Result<Box<dyn Read>>) = match opened {
        Opened::Stdin => (None, Ok(Box::new(io::stdin()))),
        Opened::Pipe(path, pipe) => (Some(path), Ok(Box::new(pipe))),
        Opened::File(path) => {
            let file = File::open(&path);
            (Some(path), file.map(|file| Box::new(file) as Box<dyn Read>))
        }
    };
    match (reader, input) {
        (Ok(reader), Input::Whole) => whole(file, reader, to),
        (Ok(reader), Input::Lines | Input::Json) => lines(&file, reader, to),
        (Err(e), _) => {
            to.fail(&Place { file, line: 1 }, e);
            None
        }
    }
}

fn lines(file: &Option<PathBuf>, input: impl Read, to: &Pieces) -> Option<()> {
    let mut input = BufReader::with_capacity(256 << 10, input);
    for line in 1.. {
        let place = Place { file: file.clone(), line };
        let mut bytes = Vec::new();
        let taken = match input.by_ref().take(PIECE_BYTES_MAX).read_until(b'\n', &mut bytes).and_then(bounded) {
            Ok(0) => break,
            Ok(taken) => taken,
            Err(e) => {
                to.fail(&place, e);
                return None;
            }
        };
        if bytes.ends_with(b"\n") {
            bytes.pop();
        }
        to.put(bytes, taken, place)?;
    }
    Some(())
}

fn whole(file: Option<PathBuf>, input: impl Read, to: &Pieces) -> Option<()> {
    let place = Place { file, line: 1 };
    let mut bytes = Vec::new();
    match input.take(PIECE_BYTES_MAX).read_to_end(&mut bytes).and_then(bounded) {
        Ok(taken) => to.put(bytes, taken, place),
        Err(e) => {
            to.fail(&place, e);
            None
        }
    }
}

fn bounded(taken: usize) -> io::Result<u64> {
    match taken as u64 {
        PIECE_BYTES_MAX.. => Err(io::Error::other("it is longer than a record may be")),
        taken => Ok(taken),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    const LINE_BYTES: usize = 1 << 20;
    const LINES: usize = 64;

    /// Long lines, and how much of them was read.
    struct Long(Arc<AtomicUsize>);

    impl Read for Long {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let read = self.0.load(Ordering::Relaxed);
            let line = LINE_BYTES - read % LINE_BYTES;
            let bytes = if read == LINES * LINE_BYTES { 0 } else { line.min(into.len()) };
            let (part, _) = into.split_at_mut(bytes);
            part.fill(b'x');
            if let Some(last) = part.last_mut().filter(|_| bytes == line) {
                *last = b'\n';
            }
            self.0.fetch_add(bytes, Ordering::Relaxed);
            Ok(bytes)
        }
    }

    #[test]
    fn what_waits_to_be_sent_is_bounded_in_bytes_however_long_the_lines_are() {
        let read = Arc::new(AtomicUsize::new(0));
        let (tx, pieces) = sync_channel(PIECES_MAX);
        let (to, input) = (Pieces { tx, budget: Arc::default() }, Long(read.clone()));
        let reading = std::thread::spawn(move || lines(&None, input, &to));
        let mut taken = 0;
        for line in 1..=LINES as u64 {
            // Time for a reader without bounds to run ahead.
            std::thread::sleep(Duration::from_millis(5));
            // One more line that waits for room, and what is read beforehand.
            let ahead = read.load(Ordering::Relaxed) - taken;
            assert!(ahead <= WAITING_BYTES_MAX + LINE_BYTES + (256 << 10), "{ahead} before line {line}");
            let piece = pieces.recv().expect("another line").expect("it can be read");
            assert_eq!((piece.place.line, piece.bytes.len()), (line, LINE_BYTES - 1));
            taken += LINE_BYTES;
        }
        assert_eq!(reading.join().expect("no panic"), Some(()));
    }

    #[test]
    fn a_reader_that_waits_for_room_ends_when_nobody_takes_pieces_any_more() {
        let (tx, pieces) = sync_channel(PIECES_MAX);
        let (to, input) = (Pieces { tx, budget: Arc::default() }, Long(Arc::default()));
        let reading = std::thread::spawn(move || lines(&None, input, &to));
        drop(pieces.recv());
        drop(pieces);
        assert_eq!(reading.join().expect("no panic"), None);
    }
}
