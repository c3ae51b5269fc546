//! When the disk counts as nearly full, and what is said of it on one simulated shard.

use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use super::*;
use crate::shard::room_tests::{Bench, SMALL, batch_of, settings, with_shard};
use crate::types::Offset;

const GIB: u64 = 1 << 30;

/// Keeps the warnings of this thread, each with its fields.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

impl Warnings {
    fn all(&self) -> Vec<String> {
        self.0.lock().expect("nobody panicked with it").clone()
    }
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, "{}={value:?} ", field.name()).expect("a string takes all");
    }
}

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::WARN
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        self.0.lock().expect("nobody panicked with it").push(line.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[test]
fn a_tenth_of_the_disk_or_twice_the_ballasts_is_little_and_a_fifth_more_is_enough_again() {
    let with = |before: SpaceLeft, total_bytes, free_bytes| before.and_then(Space { total_bytes, free_bytes }, GIB);
    use SpaceLeft::{Enough, Little, Unknown};
    for (before, total, free, after) in [
        (Enough, 100 * GIB, 10 * GIB, Enough),
        (Enough, 100 * GIB, 10 * GIB - 1, Little),
        (Unknown, 100 * GIB, 10 * GIB - 1, Little),
        (Little, 100 * GIB, 12 * GIB - 1, Little),
        (Little, 100 * GIB, 12 * GIB, Enough),
        // Less than twice the ballasts would be a tenth.
        (Enough, 10 * GIB, 2 * GIB, Enough),
        (Enough, 10 * GIB, 2 * GIB - 1, Little),
        // As file systems without bounds say.
        (Enough, 0, 0, Enough),
        (Little, u64::MAX, u64::MAX, Enough),
    ] {
        assert_eq!(with(before, total, free), after, "{before:?}, {free} of {total}");
    }
}

async fn look_has_passed(bench: &Bench) {
    bench.rt.sleep_until(bench.rt.now().after(3 * LOOK)).await;
}

#[test]
fn a_disk_that_nears_its_end_is_told_once_with_its_directory_what_is_free_and_what_to_do() {
    let warnings = Warnings::default();
    let told = warnings.clone();
    let _until_the_end = tracing::subscriber::set_default(warnings);
    with_shard(move |bench| async move {
        let shard = &bench.started.shard;
        let free = |mib: u64| bench.rt.disk().set_capacity(bench.rt.disk().used_bytes() + mib * MIB);
        let limit_mib = (BALLASTS * shard.step(|core, _, _| core.ballasts_bytes())).div_ceil(MIB);
        look_has_passed(&bench).await;
        assert_eq!(told.all(), Vec::<String>::new(), "without bounds");
        free(2 * limit_mib);
        look_has_passed(&bench).await;
        assert_eq!(told.all(), Vec::<String>::new(), "there is enough");

        free(limit_mib - 2);
        look_has_passed(&bench).await;
        let one = told.all();
        let root = settings().layout.root.display().to_string();
        assert_eq!(one.len(), 1, "{one:?}");
        for part in [&*format!("directory={root}"), &*format!("free_mib={}", limit_mib - 2), "refused", "delete topics"]
        {
            assert!(one[0].contains(part), "{part}: {one:?}");
        }
        assert_eq!(bench.soon(bench.append(SMALL, batch_of(200))).await, Some(Some(Offset(1))), "appends go on");

        // A little more is no end of it, and no new word.
        for mib in [limit_mib + 1, limit_mib - 3] {
            free(mib);
            look_has_passed(&bench).await;
            assert_eq!(told.all().len(), 1);
        }
        free(2 * limit_mib);
        look_has_passed(&bench).await;
        free(limit_mib - 2);
        look_has_passed(&bench).await;
        assert_eq!(told.all().len(), 2, "{:?}", told.all());
    });
}
