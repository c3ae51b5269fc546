//! Latencies as histograms: microseconds, three significant digits, from 1 µs to 10 minutes. Pure.
//!
//! Invariant: what is out of this range counts at its end, never nowhere.

use hdrhistogram::Histogram;
use hdrhistogram::iterators::IterationValue;

const MICROS_MAX: u64 = 600_000_000;
const DIGITS: u8 = 3;

/// The quantiles that are shown, and judged: what stands in a report is what must be right.
pub const QUANTILES: [(&str, f64); 6] =
    [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("p99.99", 0.9999), ("max", 1.0)];

#[derive(Clone, Debug)]
pub struct Latency {
    histogram: Histogram<u64>,
}

impl Default for Latency {
    fn default() -> Latency {
        match Histogram::new_with_bounds(1, MICROS_MAX, DIGITS) {
            Ok(histogram) => Latency { histogram },
            Err(wrong) => unreachable!("the bounds are constants: {wrong}"),
        }
    }
}

impl Latency {
    /// One event that took so long.
    pub fn record(&mut self, nanos: u64) {
        self.record_n(nanos, 1);
    }

    /// So many events, each of which took so long.
    pub fn record_n(&mut self, nanos: u64, count: u64) {
        self.histogram.saturating_record_n((nanos / 1000).max(1), count);
    }

    pub fn add(&mut self, other: &Latency) {
        if let Err(wrong) = self.histogram.add(&other.histogram) {
            unreachable!("both have the same bounds: {wrong}");
        }
    }

    pub fn clear(&mut self) {
        self.histogram.reset();
    }

    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// Of 0 to 1, in microseconds; 0 when there is nothing.
    pub fn quantile_us(&self, quantile: f64) -> u64 {
        self.histogram.value_at_quantile(quantile)
    }

    pub fn max_us(&self) -> u64 {
        self.histogram.max()
    }

    pub fn mean_us(&self) -> f64 {
        self.histogram.mean()
    }

    pub fn deviation_us(&self) -> f64 {
        self.histogram.stdev()
    }

    /// Every value that was counted, in microseconds, and how often: `VALUE:COUNT VALUE:COUNT …`, the values in order. That
    /// is all there is of a histogram, so that sums and quantiles of several can be made out of it.
    pub fn counts_text(&self) -> String {
        let counted = self.histogram.iter_recorded();
        let pairs = counted.map(|at| format!("{}:{}", at.value_iterated_to(), at.count_since_last_iteration()));
        pairs.collect::<Vec<_>>().join(" ")
    }

    /// What [`Latency::counts_text`] wrote; `None`: it is no such text.
    pub fn from_counts_text(text: &str) -> Option<Latency> {
        let mut latency = Latency::default();
        for pair in text.split_ascii_whitespace() {
            let (value, count) = pair.split_once(':')?;
            latency.histogram.saturating_record_n(value.parse().ok()?, count.parse().ok()?);
        }
        Some(latency)
    }

    /// The curve of quantiles: a value in microseconds, the share of records that took no longer, and their count; so
    /// many steps for each halving of the distance to 100 %.
    pub fn steps(&self, ticks: u32) -> Vec<(u64, f64, u64)> {
        let mut count = 0;
        let step = |at: IterationValue<u64>| {
            count += at.count_since_last_iteration();
            (at.value_iterated_to(), at.quantile_iterated_to(), count)
        };
        self.histogram.iter_quantiles(ticks).map(step).collect()
    }
}

/// Microseconds as eyes like them, to three digits.
pub fn time_text(micros: u64) -> String {
    if micros < 1000 { format!("{micros} µs") } else { nanos_text(micros.saturating_mul(1000)) }
}

/// The same of nanoseconds.
pub fn nanos_text(nanos: u64) -> String {
    let nanos = nanos as f64;
    let (value, unit) = match nanos {
        _ if nanos < 1e3 => return format!("{nanos} ns"),
        _ if nanos < 1e6 => (nanos / 1e3, "µs"),
        _ if nanos < 1e9 => (nanos / 1e6, "ms"),
        _ => (nanos / 1e9, "s"),
    };
    let digits = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.digits$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_right_to_three_digits_over_the_whole_range() {
        for micros in [1, 7, 999, 12_345, 1_000_000, 599_000_000] {
            let mut latency = Latency::default();
            latency.record(micros * 1000);
            let read = latency.quantile_us(0.5);
            assert!(read.abs_diff(micros) * 1000 <= micros, "{micros} reads as {read}");
        }
    }

    #[test]
    fn times_have_three_digits_and_the_unit_that_fits() {
        let times = [(7, "7 µs"), (999, "999 µs"), (1234, "1.23 ms"), (45_678, "45.7 ms"), (2_500_000, "2.50 s")];
        for (micros, text) in times {
            assert_eq!(time_text(micros), text);
        }
        assert_eq!([870, 1_234, 45_678, 456_789].map(nanos_text), ["870 ns", "1.23 µs", "45.7 µs", "457 µs"]);
    }

    #[test]
    fn a_histogram_comes_back_from_its_text_with_every_count() {
        let mut latency = Latency::default();
        for (micros, count) in [(1, 3), (2047, 1), (2049, 7), (1_234_567, 2), (u64::MAX / 1000, 1)] {
            latency.record_n(micros * 1000, count);
        }
        let text = latency.counts_text();
        let back = Latency::from_counts_text(&text).expect("its own text");
        assert_eq!((back.counts_text(), back.count()), (text.clone(), 14), "{text}");
        assert_eq!(
            (back.steps(5), back.max_us(), back.mean_us()),
            (latency.steps(5), latency.max_us(), latency.mean_us())
        );
        assert_eq!(Latency::from_counts_text("").map(|none| none.count()), Some(0));
        for wrong in ["1", "1:", "a:1", "1:2:3", "-1:2"] {
            assert!(Latency::from_counts_text(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn what_is_out_of_range_counts_at_its_end() {
        let mut latency = Latency::default();
        latency.record(10);
        latency.record(u64::MAX);
        assert_eq!((latency.count(), latency.quantile_us(0.5)), (2, 1));
        assert!(latency.max_us() >= MICROS_MAX);
    }

    #[test]
    fn the_sum_of_two_has_the_records_of_both() {
        let mut all = Latency::default();
        for (micros, count) in [(100, 99), (5000, 1)] {
            let mut part = Latency::default();
            part.record_n(micros * 1000, count);
            all.add(&part);
        }
        assert_eq!((all.count(), all.quantile_us(0.99)), (100, 100));
        assert!(all.max_us() >= 5000);
        all.clear();
        assert_eq!((all.count(), all.max_us()), (0, 0));
    }
}
