//! `corelog top`: cores, stages, partitions, clients and disk of a running broker, live in the terminal.
//!
//! `look` asks the broker, `frame` makes rates out of two looks (pure), `view` draws them.

mod frame;
mod look;
mod view;

use std::io::{self, IsTerminal as _};
use std::time::{Duration, Instant};

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::Failure;
use super::admin::Admin;
use frame::{Frame, frame};
use look::{Look, look};

/// Shows live what a broker does: its cores, stages, busiest partitions and clients, and its disk.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Seconds between two looks.
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=3600))]
    every: u64,
    #[command(flatten)]
    admin: Admin,
}

/// What a person at the keyboard wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Quit,
    Pause,
    Redraw,
    Nothing,
}

pub fn run(args: &Arguments) -> Result<(), Failure> {
    if !io::stdout().is_terminal() {
        return Err(Failure::Usage("top draws on a terminal: `corelog stages` prints once".to_owned()));
    }
    // Before the screen is taken: a wrong address is told on it as it was.
    let first = look(&args.admin)?;
    let mut terminal = ratatui::try_init().map_err(|e| Failure::Runtime(format!("no screen to draw on: {e}")))?;
    let ended = Top { args, last: first, frame: None, paused: false, trouble: None }.run(&mut terminal);
    ratatui::restore();
    ended.map_err(|e| Failure::Runtime(format!("the terminal failed: {e}")))
}

struct Top<'a> {
    args: &'a Arguments,
    last: Look,
    /// Out of the last two looks; `None` before there were two.
    frame: Option<Frame>,
    paused: bool,
    /// Why the last look failed.
    trouble: Option<String>,
}

impl Top<'_> {
    fn run(&mut self, terminal: &mut DefaultTerminal) -> io::Result<()> {
        let every = Duration::from_secs(self.args.every);
        // The first rates are there soon.
        let mut next = Instant::now() + every.min(Duration::from_secs(1));
        loop {
            terminal.draw(|screen| view::draw(screen, self.frame.as_ref(), &self.headline()))?;
            match wish(next)? {
                Wish::Quit => return Ok(()),
                Wish::Pause => self.paused = !self.paused,
                Wish::Redraw => {}
                Wish::Nothing => {
                    next = Instant::now() + every;
                    if !self.paused {
                        self.look_again();
                    }
                }
            }
        }
    }

    fn look_again(&mut self) {
        match look(&self.args.admin) {
            Ok(now) => {
                self.frame = Some(frame(&self.last, &now));
                self.last = now;
                self.trouble = None;
            }
            Err(failure) => self.trouble = Some(failure.to_string()),
        }
    }

    fn headline(&self) -> String {
        let state = match (&self.trouble, self.paused) {
            (Some(trouble), _) => trouble.clone(),
            (None, true) => "paused".to_owned(),
            (None, false) => self.last.state.clone(),
        };
        format!("corelog {} · {state} · every {} s", self.args.admin.address(), self.args.every)
    }
}

/// Waits for a key until then.
fn wish(until: Instant) -> io::Result<Wish> {
    loop {
        if !event::poll(until.saturating_duration_since(Instant::now()))? {
            return Ok(Wish::Nothing);
        }
        match event::read()? {
            Event::Key(key) if key.kind == KeyEventKind::Press => match of_key(key) {
                Wish::Nothing => {}
                wish => return Ok(wish),
            },
            Event::Resize(..) => return Ok(Wish::Redraw),
            _ => {}
        }
    }
}

fn of_key(key: KeyEvent) -> Wish {
    match key.code {
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Wish::Quit,
        KeyCode::Char('q') | KeyCode::Esc => Wish::Quit,
        KeyCode::Char(' ' | 'p') => Wish::Pause,
        _ => Wish::Nothing,
    }
}
