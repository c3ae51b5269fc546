//! One answer, on the same core or from another one.
//!
//! Invariant: an asker always wakes: a reply dropped without an answer reads as `None`.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// The answering side.
#[derive(Debug)]
pub struct Reply<T>(flume::Sender<T>);

/// The asking side: the answer, or `None` when there will be none.
pub struct Asked<T: 'static>(flume::r#async::RecvFut<'static, T>);

pub fn oneshot<T>() -> (Reply<T>, Asked<T>) {
    let (tx, rx) = flume::bounded(1);
    (Reply(tx), Asked(rx.into_recv_async()))
}

impl<T> Reply<T> {
    /// Gives the answer. If the asker has gone (its connection closed), the work is done all the same.
    pub fn send(self, value: T) {
        drop(self.0.try_send(value));
    }
}

impl<T> Future for Asked<T> {
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        Pin::new(&mut self.0).poll(cx).map(Result::ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::future::block_on;

    #[test]
    fn an_answer_given_before_it_is_awaited_is_there() {
        let (reply, asked) = oneshot();
        reply.send(7);
        assert_eq!(block_on(asked), Some(7));
    }

    #[test]
    fn a_dropped_reply_wakes_the_asker_with_nothing() {
        let (reply, asked) = oneshot::<u8>();
        drop(reply);
        assert_eq!(block_on(asked), None);
    }

    #[test]
    fn an_answer_from_another_thread_arrives() {
        let (reply, asked) = oneshot();
        let sender = std::thread::spawn(move || reply.send(9));
        assert_eq!(block_on(asked), Some(9));
        sender.join().expect("the sender ends");
    }
}
