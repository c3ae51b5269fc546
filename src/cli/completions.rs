//! `corelog completions SHELL`: what a shell needs to complete our commands.

use clap::CommandFactory;
use clap_complete::Shell;

use super::Failure;
use super::printer::Printer;

/// Prints completions for a shell.
///
/// For bash: corelog completions bash > ~/.local/share/bash-completion/completions/corelog
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[arg(value_enum)]
    shell: Shell,
}

pub fn run(args: &Arguments) -> Result<(), Failure> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut super::Arguments::command(), "corelog", &mut text);
    let mut out = Printer::stdout();
    out.write(&text)?;
    out.flush().map(|_| ())
}
