//! `corelog man`: manual pages, made from the same declarations as `--help`.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory};
use clap_mangen::Man;

use super::Failure;
use super::printer::Printer;
use super::report::Shown;

/// Prints a manual page, or writes all of them.
///
/// As in: corelog man topic create | man -l -
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The command that the page is about, such as `topic create`; corelog itself if none is named.
    #[arg(value_name = "COMMAND")]
    command: Vec<String>,
    /// Writes every page into this directory, as `corelog-topic-create.1`.
    #[arg(long, value_name = "DIR", conflicts_with = "command")]
    to: Option<PathBuf>,
    #[command(flatten)]
    shown: Shown,
}

pub fn run(args: &Arguments) -> Result<(), Failure> {
    // The short help, as pages are long enough with it.
    let mut all = super::Arguments::command().disable_help_subcommand(true);
    all.build();
    if let Some(dir) = &args.to {
        let pages = write_all(&all, "corelog", dir)?;
        return args.shown.show(&serde_json::json!({ "pages": pages, "directory": dir.display().to_string() }), || {
            format!("{} pages in {}", pages.len(), dir.display())
        });
    }
    let (mut command, mut name) = (&all, "corelog".to_owned());
    for part in &args.command {
        command = command.find_subcommand(part).ok_or_else(|| {
            Failure::Missing(format!("there is no command `{name} {part}`; `{name} --help` lists those there are"))
        })?;
        name = format!("{name} {part}");
    }
    let mut out = Printer::stdout();
    out.write(&page(command, &name.replace(' ', "-"))?)?;
    out.flush().map(|_| ())
}

fn page(command: &Command, name: &str) -> Result<Vec<u8>, Failure> {
    let mut page = Vec::new();
    let titled = command.clone().name(name.to_owned()).display_name(name.to_owned());
    let made = Man::new(titled).render(&mut page);
    made.map(|()| page).map_err(|e| Failure::Runtime(format!("the page of {name} cannot be made: {e}")))
}

/// The page of a command and those of the commands below it. Their files' names.
fn write_all(command: &Command, name: &str, dir: &Path) -> Result<Vec<String>, Failure> {
    let file = format!("{name}.1");
    let failed = |e: std::io::Error| {
        Failure::Runtime(format!("{}: {e}; give a directory that can be written", dir.join(&file).display()))
    };
    fs::create_dir_all(dir).map_err(failed)?;
    fs::write(dir.join(&file), page(command, name)?).map_err(failed)?;
    let mut files = vec![file.clone()];
    for below in command.get_subcommands() {
        files.extend(write_all(below, &format!("{name}-{}", below.get_name()), dir)?);
    }
    Ok(files)
}
