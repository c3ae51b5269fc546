//! An outcome in words and columns. Pure.

use crate::bench::{BrokerStages, Latency, Load, Outcome, Plan, Second, nanos_text, time_text};
use crate::cli::report;
use crate::client::StageTimes;

/// The line that a terminal shows while a run goes on. In few columns it leaves out what is worth less: bytes, then the
/// longest, then the median.
pub fn line(plan: &Plan, second: &Second, columns: usize) -> String {
    let warmup = plan.warmup.as_secs_f64();
    let whole = warmup + plan.duration.as_secs_f64();
    // By its middle: a second that ends a bit late is still what it was.
    let phase = if second.at_s - 0.5 < warmup { "warming up" } else { "measuring" };
    let end_to_end =
        if plan.consume { format!("  end to end p99 {}", time_text(second.end_to_end_p99_us)) } else { String::new() };
    let parts = [
        (3, format!("{phase} {:.0}/{whole:.0} s  {} records/s", second.at_s, second.acked)),
        (0, format!("  {:.1} MB/s", second.acked_bytes as f64 / 1e6)),
        (3, "  ack".to_owned()),
        (2, format!(" p50 {}", time_text(second.ack_p50_us))),
        (3, format!(" p99 {}", time_text(second.ack_p99_us))),
        (1, format!(" max {}", time_text(second.ack_max_us))),
        (3, end_to_end),
    ];
    let of_worth = |least: u8| {
        parts.iter().filter(|(worth, _)| *worth >= least).map(|(_, part)| part.as_str()).collect::<String>()
    };
    (0..3).map(of_worth).find(|line| line.chars().count() <= columns).unwrap_or_else(|| of_worth(3))
}

/// What the command prints at the end.
pub fn of(outcome: &Outcome) -> String {
    let plan = &outcome.plan;
    let load = match plan.load {
        Load::Rate(rate) => format!("{rate} records/s due"),
        Load::Max => "as fast as acks come (a closed loop)".to_owned(),
    };
    let plural = |n: u32| if n == 1 { "" } else { "s" };
    let mut text = format!(
        "{} on {}: {} partition{}, {} client{}, {} bytes a record, {load}\n",
        plan.topic,
        plan.bootstrap,
        plan.partitions,
        plural(plan.partitions),
        plan.clients,
        plural(plan.clients),
        plan.sizes.text()
    );
    text += &format!(
        "{:.0} records/s, {:.1} MB/s over {:.1} s; {} acked, {} read back, {} lost, {} duplicated, {} reordered\n",
        outcome.records_per_second(),
        outcome.megabytes_per_second(),
        outcome.measured.as_secs_f64(),
        outcome.acked,
        outcome.findings.seen,
        outcome.lost,
        outcome.findings.duplicated,
        outcome.findings.reordered
    );
    text += &format!(
        "generator: {:.2} µs of processor for each record written, {:.2} µs for each read, {:.1} records a request\n\n",
        outcome.writer_cpu_us_per_record(),
        outcome.reader_cpu_us_per_record(),
        outcome.tally.acked as f64 / outcome.tally.requests.max(1) as f64
    );
    let catch_up = outcome.catch_up;
    if outcome.has_backlog() {
        text.truncate(text.len() - 1);
        text += &format!(
            "catching up: {} stored records read in {:.1} s, {:.0} records/s, {:.1} MB/s\n\n",
            catch_up.records,
            catch_up.took.as_secs_f64(),
            catch_up.records_per_second(),
            catch_up.megabytes_per_second()
        );
    }
    if let Some(spent) = outcome.broker_text() {
        text.truncate(text.len() - 1);
        text += &format!("broker: {spent}\n\n");
    }
    let tally = &outcome.tally;
    let mut rows = vec![row("ack", &tally.ack)];
    if plan.consume {
        rows.push(row("end to end", &tally.end_to_end));
    }
    rows.push(row("service time", &tally.service));
    let late = if matches!(plan.load, Load::Rate(_)) { "made late by" } else { "acks unread for" };
    rows.push(row(late, &tally.lateness));
    text += &report::table(&["latency", "p50", "p90", "p99", "p99.9", "p99.99", "max", "mean"], &rows);
    text + &stages(outcome)
}

/// Where the broker's time went, of the kinds of request that a run makes.
fn stages(outcome: &Outcome) -> String {
    let stages = match &outcome.stages {
        Ok(stages) => stages,
        Err(why) => return format!("\n\nthe broker's stages are not known: {why}"),
    };
    let row = |times: &StageTimes| {
        let mut row = vec![times.request.clone(), times.stage.clone(), times.count.to_string()];
        row.push(times.share.map_or_else(|| "-".to_owned(), |share| format!("{:.1} %", share * 100.0)));
        row.extend([0.5, 0.99, 0.999].map(|quantile| nanos_text(times.quantile_ns(quantile))));
        row.push(nanos_text(times.mean_ns()));
        row
    };
    let rows: Vec<Vec<String>> =
        BrokerStages::OF_A_RUN.iter().flat_map(|request| stages.of(request)).map(row).collect();
    let head = ["in the broker", "stage", "requests", "share", "p50", "p99", "p99.9", "mean"];
    format!("\n\n{}", report::table(&head, &rows))
}

fn row(name: &str, latency: &Latency) -> Vec<String> {
    let quantiles = [0.5, 0.9, 0.99, 0.999, 0.9999].map(|quantile| time_text(latency.quantile_us(quantile)));
    let mut row = vec![name.to_owned()];
    row.extend(quantiles);
    row.extend([time_text(latency.max_us()), time_text(latency.mean_us().round() as u64)]);
    row
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::bench::load::LoadArguments;

    #[test]
    fn a_second_of_the_warm_up_that_ends_late_is_not_called_measured() {
        let plan = LoadArguments::default().plan("h:1").expect("a plan");
        let line = |at_s: f64| line(&plan, &Second { at_s, ..Second::default() }, 80);
        assert!(line(5.01).starts_with("warming up 5/35 s"), "{}", line(5.01));
        assert!(line(6.01).starts_with("measuring 6/35 s"), "{}", line(6.01));
    }

    #[test]
    fn a_line_leaves_out_what_is_worth_less_rather_than_going_on_in_the_next_row() {
        let plan = LoadArguments::default().plan("h:1").expect("a plan");
        let (us, of) = (123_000, Second { at_s: 31.0, acked: 150_000, acked_bytes: 153_600_000, ..Second::default() });
        let second = Second { ack_p50_us: us, ack_p99_us: us, ack_max_us: us, end_to_end_p99_us: us, ..of };
        let line = |columns: usize| line(&plan, &second, columns);
        let all = "measuring 31/35 s  150000 records/s  153.6 MB/s  ack p50 123 ms p99 123 ms max 123 ms  end to end p99 123 ms";
        assert_eq!(line(all.len()), all);
        assert_eq!(line(all.len() - 1), all.replace("  153.6 MB/s", ""));
        let usual = line(79);
        assert_eq!(usual, "measuring 31/35 s  150000 records/s  ack p99 123 ms  end to end p99 123 ms");
        assert!(usual.len() < 80 && line(1) == usual, "nothing of it is worth less");
        assert!(super::line(&plan, &Second { at_s: 1.0, ..second.clone() }, 79).len() < 80);
    }
}
