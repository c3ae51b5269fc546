//! `corelog config import server.properties`: Kafka's file as one of ours.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::cli::printer::Printer;
use crate::cli::{Failure, output};
use crate::config::import::{Imported, import};

/// Turns Kafka's server.properties into a file for `corelog serve --config`.
///
/// What has no meaning here stays as a comment that says why; all of it is told on stderr as well.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Kafka's file.
    file: PathBuf,
    /// Writes this file, which must not be there yet, instead of standard output.
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    /// No word on stderr about what was left out.
    #[arg(short, long)]
    quiet: bool,
}

pub fn run(args: &Arguments) -> Result<(), Failure> {
    let bytes = fs::read(&args.file).map_err(|e| {
        Failure::Usage(format!("{}: {e}; give the path of Kafka's server.properties", args.file.display()))
    })?;
    // As Java reads it, unless it is what most editors write.
    let text = String::from_utf8(bytes).unwrap_or_else(|e| e.as_bytes().iter().copied().map(char::from).collect());
    let Imported { toml, taken, notes } = import(&args.file, &text)?;
    match &args.to {
        Some(path) => write_new(path, &toml)?,
        None => {
            let mut out = Printer::stdout();
            out.write(toml.as_bytes())?;
            out.flush()?;
        }
    }
    if !args.quiet {
        for note in &notes {
            output::note(&format!("{}:{}: {}: {}", args.file.display(), note.line, note.key, note.why));
        }
        output::note(&format!("{taken} settings taken over, {} notes", notes.len()));
    }
    Ok(())
}

fn write_new(path: &Path, toml: &str) -> Result<(), Failure> {
    let written = File::create_new(path).and_then(|mut file| file.write_all(toml.as_bytes()));
    written.map_err(|e| Failure::Runtime(format!("{}: {e}; choose a path that is free and writable", path.display())))
}
