//! The text form of a histogram that HdrHistogram's own plotter reads (`.hgrm`). Pure.
//!
//! Invariant: values are milliseconds, and the total count of each line is that of all lines up to it.

use std::fmt::Write;

use crate::bench::latency::Latency;

/// Lines for each halving of the distance to 100 %.
const TICKS: u32 = 5;

pub fn text(latency: &Latency) -> String {
    let mut text = String::from("       Value     Percentile TotalCount 1/(1-Percentile)\n\n");
    for (value_us, quantile, count) in latency.steps(TICKS) {
        let inverse = if quantile < 1.0 { format!("{:.2}", 1.0 / (1.0 - quantile)) } else { "inf".to_owned() };
        let value_ms = value_us as f64 / 1000.0;
        // Writing into a string does not fail.
        let _infallible = writeln!(text, "{value_ms:12.3} {quantile:14.12} {count:10} {inverse:>14}");
    }
    let ms = |us: f64| us / 1000.0;
    let (mean, deviation) = (ms(latency.mean_us()), ms(latency.deviation_us()));
    let (max, count) = (ms(latency.max_us() as f64), latency.count());
    text + &format!(
        "#[Mean    = {mean:12.3}, StdDeviation   = {deviation:12.3}]\n#[Max     = {max:12.3}, Total count    = \
         {count:12}]\n#[Unit    = ms]\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_cumulative_and_end_at_all() {
        let mut latency = Latency::default();
        for micros in 1..=10_000 {
            latency.record(micros * 1000);
        }
        let text = text(&latency);
        let rows: Vec<Vec<f64>> = text
            .lines()
            .skip(2)
            .filter(|line| !line.starts_with('#'))
            .map(|line| line.split_whitespace().map(|cell| cell.parse().expect("a number")).collect())
            .collect();
        assert!(rows.len() > 20 && rows.is_sorted_by(|a, b| a[0] <= b[0] && a[1] <= b[1] && a[2] <= b[2]), "{text}");
        let last = rows.last().expect("a row");
        assert_eq!((last[1], last[2]), (1.0, 10_000.0));
        let half = rows.iter().find(|row| row[1] >= 0.5).expect("a middle");
        assert!((half[0] - 5.0).abs() < 0.1 && (half[2] - 5000.0).abs() < 100.0, "{half:?}");
    }
}
