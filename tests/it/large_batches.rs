//! Batches that are large beside the journal and the window: each finds room in the end, with no other traffic to make it.

use corelog::wire::ErrorCode;

use crate::broker::Home;
use crate::ledger::{Appended, Ledger};

/// Appends values of these sizes, one after another, to topics of their own.
fn acks_all(settings: &[&str], sizes: &[usize]) {
    let home = Home::new();
    let flags: Vec<_> = ["shards=1"].iter().chain(settings).flat_map(|setting| ["--set", setting]).collect();
    let broker = home.dev(&flags);
    let mut peer = broker.connect();
    let ledgers = sizes.iter().enumerate().map(|(n, bytes)| {
        let mut ledger = Ledger::new(&format!("large-{n}"), *bytes);
        assert_eq!(peer.create_with(&ledger.topic, 1, &[("max.message.bytes", "8388608")]), ErrorCode::None);
        assert_eq!(ledger.append(&mut peer), Appended::Acked, "append {n}: {}", broker.stderr());
        ledger
    });
    let ledgers: Vec<_> = ledgers.collect();
    ledgers.iter().for_each(|ledger| ledger.check(&mut peer));
    let left = broker.terminate();
    assert!(left.status.success(), "{left:#?}");
}

#[test]
fn batches_larger_than_a_file_of_the_journal_are_acked_one_after_another() {
    acks_all(&["journal.bytes=16777216", "journal.bytes.max=16777216"], &[6 << 20; 6]);
}

#[test]
fn a_batch_that_does_not_fit_beside_a_window_that_is_not_half_full_is_acked() {
    acks_all(&["write.window.bytes=4194304"], &[1 << 20, 7 << 19, 1 << 20, 7 << 19]);
}
