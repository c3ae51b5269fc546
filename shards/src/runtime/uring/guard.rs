//! A panic stops the whole process: glommio would let only the thread die, and a broker that has lost a core must not
//! go on to acknowledge. Every task, executor thread and blocking call runs inside this guard.

use std::any::Any;
use std::future::Future;
use std::io::{Write, stderr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

/// How long the words of an end may take.
const TOLD_MAX: Duration = Duration::from_secs(1);

/// `task`, with a panic in it stopping the process.
pub(super) async fn guarded<T>(task: impl Future<Output = T>) -> T {
    let mut task = pin!(task);
    std::future::poll_fn(|cx| {
        catch_unwind(AssertUnwindSafe(|| task.as_mut().poll(cx))).unwrap_or_else(|panic| stop_process(&*panic))
    })
    .await
}

/// Says what happened and aborts: no destructor runs, nothing more is written or acknowledged. What was acknowledged is
/// in the journal, and the next start finds it there.
pub(super) fn stop_process(panic: &(dyn Any + Send)) -> ! {
    let what = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("unnamed").to_owned();
    let text = format!(
        "corelog: thread {name} panicked: {what}\n\
         corelog: this is a bug; the process stops here so that nothing half done is acknowledged. \
         Nothing acknowledged is lost: start the broker again, and please report the lines above.\n"
    );
    // A reader that has gone or stands still must not keep half a broker alive.
    let (done, written) = sync_channel(1);
    let write = move || {
        let _closed = stderr().write_all(text.as_bytes());
        let _gone = done.try_send(());
    };
    if std::thread::Builder::new().spawn(write).is_ok() {
        let _stalled = written.recv_timeout(TOLD_MAX);
    }
    std::process::abort()
}
