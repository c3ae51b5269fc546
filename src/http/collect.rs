//! Asks the cores how they are, all at once. Control thread only.
//!
//! Invariant: rounds do not overlap, and begin at least [`ROUND_EVERY`] apart; whoever asks meanwhile shares the next one.
//! So an answer is never older than its question, and no number of scrapers costs a core more than that.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};

use super::report::{Ask, CoreReport};

/// A report copies some hundred KiB on its core.
pub const ROUND_EVERY: Duration = Duration::from_millis(100);
/// A core that says nothing for so long is reported as silent. It has work of microseconds between two looks, and probes
/// wait for a second.
const ANSWER_MAX: Duration = Duration::from_millis(700);
/// Questions that wait for the next round; more wait to ask.
const ASKED_MAX: usize = 64;

/// What all cores said; `None`: that one said nothing.
pub struct Round<T = CoreReport> {
    pub cores: Vec<Option<T>>,
}

impl<T> Round<T> {
    /// The cores that answered, with their numbers.
    pub fn answered(&self) -> impl Iterator<Item = (usize, &T)> {
        self.cores.iter().enumerate().filter_map(|(index, core)| Some((index, core.as_ref()?)))
    }

    /// Every core answered.
    pub fn is_whole(&self) -> bool {
        self.cores.iter().all(Option::is_some)
    }
}

/// Asks on behalf of one request after the other.
pub struct Collector<T> {
    asks: mpsc::Sender<oneshot::Sender<Arc<Round<T>>>>,
}

impl<T: Send + Sync + 'static> Collector<T> {
    /// One channel for each core, and what is asked there. Called on the control thread's runtime.
    pub fn start(cores: Vec<flume::Sender<Ask>>, question: fn(flume::Sender<T>) -> Ask) -> Collector<T> {
        let (asks, asked) = mpsc::channel(ASKED_MAX);
        tokio::spawn(rounds(cores, question, asked));
        Collector { asks }
    }

    /// The next round's answers. Its task lives as long as the runtime: that it is gone reads as silence of all cores.
    pub async fn round(&self) -> Arc<Round<T>> {
        let (answer, answered) = oneshot::channel();
        let _sent = self.asks.send(answer).await;
        answered.await.unwrap_or_else(|_| Arc::new(Round { cores: Vec::new() }))
    }
}

async fn rounds<T: Send + Sync + 'static>(
    cores: Vec<flume::Sender<Ask>>,
    question: fn(flume::Sender<T>) -> Ask,
    mut asked: mpsc::Receiver<oneshot::Sender<Arc<Round<T>>>>,
) {
    let mut next = Instant::now();
    while let Some(first) = asked.recv().await {
        sleep_until(next).await;
        let mut waiting = vec![first];
        while let Ok(more) = asked.try_recv() {
            waiting.push(more);
        }
        next = Instant::now() + ROUND_EVERY;
        let round = Arc::new(ask_all(&cores, question).await);
        for one in waiting {
            // Gone meanwhile: nobody reads it.
            let _gone = one.send(round.clone());
        }
    }
}

async fn ask_all<T: Send + 'static>(cores: &[flume::Sender<Ask>], question: fn(flume::Sender<T>) -> Ask) -> Round<T> {
    let asked: Vec<_> =
        cores.iter().map(|core| tokio::spawn(timeout(ANSWER_MAX, ask(core.clone(), question)))).collect();
    let mut answers = Vec::with_capacity(asked.len());
    for one in asked {
        answers.push(one.await.ok().and_then(Result::ok).flatten());
    }
    Round { cores: answers }
}

async fn ask<T>(core: flume::Sender<Ask>, question: fn(flume::Sender<T>) -> Ask) -> Option<T> {
    let (answer, answered) = flume::bounded(1);
    core.send_async(question(answer)).await.ok()?;
    answered.recv_async().await.ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::report::tests::report;

    fn on_control_thread<F: Future>(task: F) -> F::Output {
        // Time stands still but where all wait for it.
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_time().start_paused(true).build().expect("a runtime").block_on(task)
    }

    fn answer(ask: Ask) {
        match ask {
            Ask::Report(asker) => asker.send(report()).expect("it is waited for"),
            Ask::Busiest(_) => panic!("nobody asked for that"),
        }
    }

    #[test]
    fn a_silent_core_does_not_keep_the_others_answer() {
        on_control_thread(async {
            let (first, first_asks) = flume::bounded::<Ask>(1);
            let (silent, _silent_asks) = flume::bounded(1);
            let (gone, _) = flume::bounded(1);
            tokio::spawn(async move {
                while let Ok(ask) = first_asks.recv_async().await {
                    answer(ask);
                }
            });
            let collector = Collector::start(vec![first, silent, gone], Ask::Report);
            for _ in 0..2 {
                let round = collector.round().await;
                assert_eq!(round.cores.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, false]);
            }
        });
    }

    #[test]
    fn many_questions_at_once_are_one_report_of_a_core() {
        on_control_thread(async {
            let (core, asks) = flume::bounded::<Ask>(1);
            let told = tokio::spawn(async move {
                let mut told = 0;
                while let Ok(ask) = asks.recv_async().await {
                    told += 1;
                    answer(ask);
                }
                told
            });
            let collector = Arc::new(Collector::start(vec![core], Ask::Report));
            let questions: Vec<_> = (0..50)
                .map(|_| {
                    let collector = collector.clone();
                    tokio::spawn(async move { collector.round().await.cores.len() })
                })
                .collect();
            for one in questions {
                assert_eq!(one.await.expect("answered"), 1);
            }
            drop(collector);
            // The first may begin a round before the others have asked.
            assert!(told.await.expect("ended") <= 2);
        });
    }
}
