//! What is to be sent, read on a thread of its own: lines, JSON lines or whole files become pieces, each with the place
//! where it stands.
//!
//! Invariant: the channel holds `PIECES_MAX` pieces at most; its end is the end of the input.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use clap::ValueEnum;

use crate::cli::Failure;

/// Pieces that may wait to be sent.
const PIECES_MAX: usize = 4096;
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

/// Opens all files, then reads them in their order; standard input if there are none.
pub fn read(files: &[PathBuf], input: Input) -> Result<Source, Failure> {
    let mut readers: Vec<(Option<PathBuf>, Box<dyn Read + Send>)> = Vec::new();
    let mut bytes = 0;
    for path in files {
        let wrong = |e: io::Error| Failure::Usage(format!("{}: {e}; check the path given with --file", path.display()));
        let file = File::open(path).map_err(wrong)?;
        bytes += file.metadata().map_err(wrong)?.len();
        readers.push((Some(path.clone()), Box::new(file)));
    }
    if readers.is_empty() {
        readers.push((None, Box::new(io::stdin())));
    }
    let (tx, pieces) = sync_channel(PIECES_MAX);
    std::thread::spawn(move || {
        for (file, reader) in readers {
            let done = match input {
                Input::Whole => whole(file, reader, &tx),
                Input::Lines | Input::Json => lines(&file, reader, &tx),
            };
            if done.is_none() {
                return;
            }
        }
    });
    Ok(Source { pieces, bytes: (!files.is_empty()).then_some(bytes) })
}

/// `None`: it could not be read, which was told; or nobody takes pieces any more, as the command has failed.
fn lines(file: &Option<PathBuf>, input: Box<dyn Read + Send>, tx: &SyncSender<io::Result<Piece>>) -> Option<()> {
    let mut input = BufReader::with_capacity(256 << 10, input);
    for line in 1.. {
        let place = Place { file: file.clone(), line };
        let mut bytes = Vec::new();
        let taken = match input.by_ref().take(PIECE_BYTES_MAX).read_until(b'\n', &mut bytes).and_then(bounded) {
            Ok(0) => break,
            Ok(taken) => taken,
            Err(e) => {
                // Whoever would hear of it has gone.
                let _ = tx.send(Err(at(&place, e)));
                return None;
            }
        };
        if bytes.ends_with(b"\n") {
            bytes.pop();
        }
        tx.send(Ok(Piece { bytes, taken, place })).ok()?;
    }
    Some(())
}

fn whole(file: Option<PathBuf>, input: Box<dyn Read + Send>, tx: &SyncSender<io::Result<Piece>>) -> Option<()> {
    let place = Place { file, line: 1 };
    let mut bytes = Vec::new();
    let piece = match input.take(PIECE_BYTES_MAX).read_to_end(&mut bytes).and_then(bounded) {
        Ok(taken) => Ok(Piece { bytes, taken, place }),
        Err(e) => Err(at(&place, e)),
    };
    let read = piece.is_ok();
    tx.send(piece).ok()?;
    read.then_some(())
}

fn bounded(taken: usize) -> io::Result<u64> {
    match taken as u64 {
        PIECE_BYTES_MAX.. => Err(io::Error::other("it is longer than a record may be")),
        taken => Ok(taken),
    }
}

fn at(place: &Place, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{place}: {error}"))
}
