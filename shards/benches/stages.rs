//! What it costs to follow a request through its stages. A record's part of it is that over the records of the request.
//! `cargo bench -p shards --bench stages`.

use divan::{Bencher, black_box};
use rustix::time::{ClockId, clock_gettime};
use shards::request::Marks;
use shards::router::{Class, Stage, Trace};
use shards::shard::stages::Stages;
use shards::types::Mono;

/// What following a produce reads the clock for: woken, decoded, appended, write started, written, its reply, sent. The
/// others are read anyway.
const CLOCK_READS: u32 = 7;

fn main() {
    divan::main();
}

#[divan::bench]
fn trace_a_produce(bencher: Bencher<'_, '_>) {
    let mut random = 1;
    bencher.bench_local(|| trace(black_box(&mut random)));
}

#[divan::bench]
fn trace_and_note_a_produce(bencher: Bencher<'_, '_>) {
    let (mut random, mut stages) = (1, Stages::default());
    bencher.bench_local(|| note(&mut stages, &trace(black_box(&mut random))));
}

#[divan::bench]
fn clock_for_a_produce() -> i64 {
    (0..CLOCK_READS).map(|_| clock_gettime(ClockId::Boottime).tv_nsec).sum()
}

/// A produce of one owner, its stages 1 to 130 µs long: so the histograms are not touched in one place alone.
fn trace(random: &mut u64) -> Trace {
    let mut at = 0;
    let mut next = || {
        *random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        at += 1_000 + (*random >> 47);
        Mono(at)
    };
    let trace = Trace::new(next());
    trace.step(Stage::Read, next());
    trace.name("Produce", Class::Produce);
    trace.step(Stage::Decode, next());
    trace.appended(&Marks {
        taken_up: next(),
        placed: next(),
        appended: next(),
        write_started: next(),
        written: Mono(0),
        released: next(),
    });
    trace.answered(next());
    trace.step(Stage::Send, next());
    trace
}

/// As `Shards::ended` does.
fn note(stages: &mut Stages, trace: &Trace) {
    trace.each(|stage, took| stages.record(trace.class(), stage, took));
    stages.record(trace.class(), Stage::Total, trace.total());
}
