//! InitProducerId without a transactional id: new ids, ids that are given, times that there cannot be.

use corelog::wire::messages::init_producer_id::InitProducerIdRequest;

use crate::case::{Case, case};

fn ask() -> InitProducerIdRequest {
    InitProducerIdRequest { transactional_id: None, transaction_timeout_ms: 60_000, ..Default::default() }
}

pub fn cases() -> Vec<Case> {
    vec![
        case("a new id, and another", 0..=5, |w, v| {
            w.ask(ask(), v);
            w.ask(ask(), v);
        }),
        case("an empty transactional id", 0..=5, |w, v| {
            w.ask(InitProducerIdRequest { transactional_id: Some("".into()), ..ask() }, v);
        }),
        case("timeouts that only transactions have", 0..=5, |w, v| {
            for transaction_timeout_ms in [0, -1, i32::MAX] {
                w.ask(InitProducerIdRequest { transaction_timeout_ms, ..ask() }, v);
            }
        }),
        case("an id that is given", 3..=5, |w, v| {
            for (producer_id, producer_epoch) in [(5, 3), (5, -1), (-1, 3), (-2, 0), (0, 0), (i64::MAX, i16::MAX)] {
                w.ask(InitProducerIdRequest { producer_id, producer_epoch, ..ask() }, v);
            }
        }),
    ]
}
