//! The broker's own figures, held against a disk whose times are known.

use std::time::Duration;

use corelog::http::CoreReport;
use shards::router::{Class, Stage as Part, Times};
use shards::runtime::sim::DiskSpeed;

use crate::client::Load;
use crate::scenario::Stage;
use crate::world::Setup;

const WRITE: Duration = Duration::from_millis(3);
const SYNC: Duration = Duration::from_millis(2);

/// Of all cores together: how many, and how long.
fn sum(cores: &[CoreReport], is_meant: impl Fn(Class, Part) -> bool) -> (u64, Duration) {
    let noted = cores.iter().flat_map(|core| &core.times).filter(|(class, part, _)| is_meant(*class, *part));
    let times: Vec<&Times> = noted.map(|(.., times)| times).collect();
    let nanos = times.iter().map(|times| times.sum_nanos()).sum();
    (times.iter().map(|times| times.count()).sum(), Duration::from_nanos(nanos))
}

/// A run on several cores, whose disk takes the same time for every write and every sync.
fn reports(seed: u64, topic: &[(&str, &str)]) -> Vec<CoreReport> {
    let exactly = |time: Duration| time..time + Duration::from_nanos(1);
    let mut stage = Stage::new(seed, Setup::default(), Load::default());
    let speed = DiskSpeed { write: exactly(WRITE), sync: exactly(SYNC), ..DiskSpeed::default() };
    stage.world.disk().set_speed(speed);
    assert!(stage.start(3));
    stage.admin.create(&stage.world, "events", 5, topic);
    stage.cast();
    stage.world.sim.run_for(Duration::from_millis(400));
    let cores = stage.world.reports();
    let outcome = stage.finish();
    assert!(outcome.violations.is_empty() && outcome.acks > 100, "{} acks", outcome.acks);
    cores
}

fn mean((count, sum): (u64, Duration)) -> Duration {
    sum / u32::try_from(count).expect("a short run")
}

#[test]
fn stages_add_up_to_the_time_of_requests_whoever_owns_the_partitions() {
    for (seed, topic) in [(1, &[][..]), (2, &[]), (3, &[("flush.messages", "1000")])] {
        let cores = reports(seed, topic);
        for class in [Class::Produce, Class::Fetch, Class::Other] {
            let (requests, whole) = sum(&cores, |of, part| of == class && part == Part::Total);
            let (_, parts) = sum(&cores, |of, part| of == class && part != Part::Total);
            assert!(requests > 0, "{class:?}");
            assert_eq!(parts, whole, "{class:?}, seed {seed}: {requests} requests");
        }
    }
}

#[test]
fn the_time_of_the_disk_is_found_where_it_was_spent() {
    let within = |took: Duration, wanted: Duration| (wanted..wanted + wanted / 50).contains(&took);
    let cores = reports(4, &[]);
    for class in [Class::Core, Class::Produce] {
        let took = mean(sum(&cores, |of, part| of == class && part == Part::WriteSync));
        assert!(within(took, WRITE + SYNC), "{class:?}: {took:?}");
    }
    let (_, waited) = sum(&cores, |of, part| of == Class::Produce && part == Part::CommitWait);
    assert!(!waited.is_zero(), "some came while a commit was written");

    // Acked once they are written.
    let cores = reports(5, &[("flush.messages", "1000000")]);
    let took = mean(sum(&cores, |of, part| of == Class::Produce && part == Part::Write));
    assert!(within(took, WRITE), "{took:?}");
}
