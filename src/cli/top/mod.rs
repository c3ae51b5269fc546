//! `corelog top`: cores, stages, partitions, clients and disk of a running broker, live in the terminal.
//!
//! `look` asks the broker, `frame` makes rates out of two looks (pure), `view` draws them. Looks are taken on a thread of
//! their own: a broker that hangs keeps nobody from leaving.

mod frame;
mod look;
mod view;

use std::io::{self, IsTerminal as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::admin::Admin;
use super::{Failure, signals};
use frame::{Frame, frame};
use look::{Look, look};

/// How long a key or an answer may go unseen.
const GLANCE: Duration = Duration::from_millis(50);
/// An answer that takes longer is told to be missing.
const PATIENCE: Duration = Duration::from_secs(5);

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
}

pub fn run(args: &Arguments) -> Result<(), Failure> {
    if !io::stdout().is_terminal() {
        return Err(Failure::Usage("top draws on a terminal: `corelog stages` prints once".to_owned()));
    }
    // Before the screen is taken: a wrong address is told on it as it was.
    let last = look(&args.admin)?;
    // Somebody who ends it from elsewhere leaves a terminal that can be used.
    let stop = signals::stop()?;
    let mut terminal = ratatui::try_init().map_err(|e| Failure::Runtime(format!("no screen to draw on: {e}")))?;
    let ended = Top { args, last, frame: None, paused: false, asked: None, trouble: None }.run(&mut terminal, &stop);
    ratatui::restore();
    ended.map_err(|e| Failure::Runtime(format!("the terminal failed: {e}")))
}

struct Top<'a> {
    args: &'a Arguments,
    last: Look,
    /// Out of the last two looks; `None` before there were two.
    frame: Option<Frame>,
    paused: bool,
    /// When the look was begun that is under way.
    asked: Option<Instant>,
    /// Why the last look failed.
    trouble: Option<String>,
}

impl Top<'_> {
    fn run(&mut self, terminal: &mut DefaultTerminal, stop: &AtomicBool) -> io::Result<()> {
        let (asks, looks) = looker(self.args.admin.clone());
        let every = Duration::from_secs(self.args.every);
        // The first rates are there soon.
        let mut next = Instant::now() + every.min(Duration::from_secs(1));
        let mut drawn = None;
        while !stop.load(Ordering::Relaxed) {
            let told = (self.headline(), self.trouble());
            if drawn.as_ref() != Some(&told) {
                terminal.draw(|screen| view::draw(screen, self.frame.as_ref(), &told.0, told.1.as_deref()))?;
                drawn = Some(told);
            }
            match wish()? {
                Some(Wish::Quit) => return Ok(()),
                Some(Wish::Pause) => self.paused = !self.paused,
                Some(Wish::Redraw) => drawn = None,
                None => {}
            }
            if self.asked.is_none() && !self.paused && Instant::now() >= next && asks.send(()).is_ok() {
                self.asked = Some(Instant::now());
            }
            if let Ok(look) = looks.try_recv() {
                self.take(look);
                next = Instant::now() + every;
                drawn = None;
            }
        }
        Ok(())
    }

    fn take(&mut self, look: Result<Look, Failure>) {
        self.asked = None;
        match look {
            Ok(now) => {
                if now.metrics.follow(&self.last.metrics) {
                    self.frame = Some(frame(&self.last, &now));
                }
                self.last = now;
                self.trouble = None;
            }
            Err(failure) => self.trouble = Some(failure.to_string()),
        }
    }

    fn headline(&self) -> String {
        let state = match (self.paused, self.trouble().is_some()) {
            (true, _) => "paused",
            (false, true) => "no answer",
            (false, false) => &self.last.state,
        };
        format!("corelog {} · {state} · every {} s", self.args.admin.address(), self.args.every)
    }

    /// What keeps the figures from being of now.
    fn trouble(&self) -> Option<String> {
        let old = self.last.at.elapsed().as_secs();
        let silent = self.asked.is_some_and(|asked| asked.elapsed() > PATIENCE);
        match &self.trouble {
            Some(trouble) => Some(format!("Figures are {old} s old: {trouble}")),
            None if silent => Some(format!("Figures are {old} s old: the broker does not answer")),
            None => None,
        }
    }
}

/// The thread that looks whenever it is asked to.
fn looker(admin: Admin) -> (Sender<()>, Receiver<Result<Look, Failure>>) {
    let ((asks, asked), (tell, told)) = (channel(), channel());
    std::thread::spawn(move || {
        while let Ok(()) = asked.recv() {
            if tell.send(look(&admin)).is_err() {
                return;
            }
        }
    });
    (asks, told)
}

/// Waits a moment for a key.
fn wish() -> io::Result<Option<Wish>> {
    if !event::poll(GLANCE)? {
        return Ok(None);
    }
    Ok(match event::read()? {
        Event::Key(key) if key.kind == KeyEventKind::Press => of_key(key),
        Event::Resize(..) => Some(Wish::Redraw),
        _ => None,
    })
}

fn of_key(key: KeyEvent) -> Option<Wish> {
    match key.code {
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Some(Wish::Quit),
        KeyCode::Char('q') | KeyCode::Esc => Some(Wish::Quit),
        KeyCode::Char(' ' | 'p') => Some(Wish::Pause),
        _ => None,
    }
}
