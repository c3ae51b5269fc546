//! What can go wrong with a run. Plain values; each text says what to do next.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use crate::client::{ClientError, HttpError};

#[derive(Debug, Error)]
pub enum BenchError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error(
        "topic \"{topic}\" has {has} partitions, and the run wants {wants}; name another topic, or say --partitions {has}"
    )]
    Shape { topic: String, has: usize, wants: u32 },
    #[error("{0}")]
    Plan(String),
    #[error("the system refuses {what}: {source}")]
    System { what: &'static str, source: io::Error },
    #[error("{}; name another directory with --out", unwritten(.0))]
    Report(Vec<(PathBuf, io::Error)>),
    #[error("{} is no result of a run that can be merged: {why}", path.display())]
    Unread { path: PathBuf, why: String },
    #[error("{what} is {} in {} and {} in {}; runs of one load are merged only", values[0], names[0], values[1], names[1])]
    Unlike { names: [String; 2], what: String, values: [String; 2] },
    #[error("{} and {} are one run, which would count twice; name each run once", names[0], names[1])]
    Same { names: [String; 2] },
    #[error(
        "the {members} members of the group had not shared out the partitions after {} s; see whether the broker's coordinator \
         answers, as with `corelog group list`", wait.as_secs()
    )]
    Group { members: u32, wait: Duration },
    #[error("a thread of the run ended in a panic: {0}; this is a bug of corelog's")]
    Panicked(String),
}

/// Files that cannot be written, those with the same cause together.
fn unwritten(files: &[(PathBuf, io::Error)]) -> String {
    let mut causes: Vec<(String, Vec<String>)> = Vec::new();
    for (path, error) in files {
        let (name, cause) = (path.display().to_string(), error.to_string());
        match causes.iter_mut().find(|(known, _)| *known == cause) {
            Some((_, names)) => names.push(name),
            None => causes.push((cause, vec![name])),
        }
    }
    let told = causes.into_iter().map(|(cause, names)| format!("{} cannot be written: {cause}", names.join(", ")));
    told.collect::<Vec<_>>().join("; ")
}

impl BenchError {
    pub(super) fn system(what: &'static str) -> impl Fn(rustix::io::Errno) -> BenchError {
        move |e| BenchError::System { what, source: e.into() }
    }
}
