//! The pictures of a report as SVG. Pure.
//!
//! Invariant: colours come from classes that `style` defines for light and for dark; no text is in a picture that does
//! not say its unit.

use std::fmt::Write;

use super::{curves, style};
use crate::bench::latency::Latency;
use crate::bench::outcome::{Outcome, Second};

pub const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 380.0;
pub const LEFT: f64 = 74.0;
pub const RIGHT: f64 = 20.0;
pub const TOP: f64 = 62.0;
const BOTTOM: f64 = 52.0;
/// Colours that `style` knows.
const COLOURS: usize = 4;

pub struct Picture {
    pub file: &'static str,
    pub height: f64,
    /// Without what stands around it.
    pub svg: String,
}

impl Picture {
    /// For a page that has the style already.
    pub fn within(&self) -> String {
        head("", self.height) + &self.svg + "</svg>"
    }

    /// For a file of its own.
    pub fn alone(&self) -> String {
        let style = format!("<style>{}</style>", style::PICTURE);
        head(" xmlns=\"http://www.w3.org/2000/svg\"", self.height) + &style + &self.svg + "</svg>\n"
    }
}

fn head(more: &str, height: f64) -> String {
    format!(
        "<svg{more} viewBox=\"0 0 {WIDTH} {height}\" role=\"img\"><rect class=\"ground\" width=\"100%\" height=\"100%\"/>"
    )
}

pub fn pictures(outcome: &Outcome) -> Vec<Picture> {
    let mut pictures = Vec::new();
    pictures.extend(percentiles(outcome));
    let seconds = whole_seconds(outcome);
    if seconds.len() > 1 {
        pictures.push(throughput(outcome, &seconds));
        pictures.extend(latency_over_time(outcome, &seconds));
    }
    pictures
}

/// The seconds up to the last ack or record that came. What is less than half of one, as the rest at the end is, counts with the
/// one before it.
fn whole_seconds(outcome: &Outcome) -> Vec<Second> {
    let told = outcome.seconds.iter().rposition(|second| second.acked + second.read > 0).map_or(0, |last| last + 1);
    let mut whole: Vec<Second> = Vec::new();
    for second in outcome.seconds.iter().take(told) {
        let since_s = whole.last().map_or(0.0, |last| last.at_s);
        match whole.last_mut() {
            Some(last) if second.at_s - since_s <= 0.5 => {
                let mut both = last.tally();
                both.add(&second.tally());
                *last = Second::of(second.at_s, &both);
            }
            _ => whole.push(second.clone()),
        }
    }
    whole
}

/// Latency by percentile: both on a logarithmic scale, so that the tail is as large as the middle.
fn percentiles(outcome: &Outcome) -> Option<Picture> {
    let curves = curves(outcome);
    by_percentile("percentiles", curves.iter().map(|curve| (curve.name.to_owned(), curve.latency)))
}

/// As the percentiles of one run, with curves of any names.
pub fn by_percentile<'a>(file: &'static str, curves: impl Iterator<Item = (String, &'a Latency)>) -> Option<Picture> {
    let line = |(name, latency): (String, &Latency)| {
        let steps = latency.steps(10).into_iter();
        let points = steps.filter(|(_, quantile, _)| *quantile < 1.0).map(|(us, q, _)| (1.0 / (1.0 - q), us as f64));
        Line { name, points: points.collect() }
    };
    let lines: Vec<Line> = curves.map(line).collect();
    let right = lines.iter().flat_map(|line| &line.points).map(|(x, _)| *x).fold(100.0, f64::max);
    let nines = (1..8).map(|n| 10f64.powi(n)).take_while(|x| *x <= right);
    let name = |x: f64| format!("{:.*} %", (x.log10() as usize).saturating_sub(2), 100.0 - 100.0 / x);
    let ticks = [(1.0, "0 %".to_owned()), (2.0, "50 %".to_owned())].into_iter().chain(nines.map(|x| (x, name(x))));
    let x =
        Axis { label: "share of records that took no longer", ticks: ticks.collect(), min: 1.0, max: right, log: true };
    let y = times("latency", ups(&lines))?;
    Some(Picture { file, height: HEIGHT, svg: draw("Latency by percentile", &x, &y, &lines, &[]) })
}

fn throughput(outcome: &Outcome, seconds: &[Second]) -> Picture {
    let mut last = 0.0;
    let spans: Vec<f64> = seconds.iter().map(|s| s.at_s - std::mem::replace(&mut last, s.at_s)).collect();
    let line = |name: &str, count: fn(&Second) -> u64| Line {
        name: name.to_owned(),
        points: seconds.iter().zip(&spans).map(|(s, span)| (s.at_s, count(s) as f64 / span.max(0.001))).collect(),
    };
    let mut lines = vec![line("acked", |second| second.acked)];
    if outcome.plan.consume {
        lines.push(line("read", |second| second.read));
    }
    let most = lines.iter().flat_map(|line| &line.points).map(|(_, y)| *y).fold(1.0, f64::max);
    let y = evenly("records a second", most * 1.05);
    let x = seconds_axis(seconds);
    let svg = draw("Throughput over time", &x, &y, &lines, &unmeasured(outcome, &x));
    Picture { file: "throughput", height: HEIGHT, svg }
}

fn latency_over_time(outcome: &Outcome, seconds: &[Second]) -> Option<Picture> {
    let line = |name: &str, value: fn(&Second) -> u64| Line {
        name: name.to_owned(),
        points: seconds.iter().filter(|s| value(s) > 0).map(|s| (s.at_s, value(s) as f64)).collect(),
    };
    let mut lines = vec![
        line("ack p50", |second| second.ack_p50_us),
        line("ack p99", |second| second.ack_p99_us),
        line("ack max", |second| second.ack_max_us),
    ];
    if outcome.plan.consume {
        lines.push(line("end to end p99", |second| second.end_to_end_p99_us));
    }
    let y = times("latency, each second", ups(&lines))?;
    let x = seconds_axis(seconds);
    let svg = draw("Latency over time", &x, &y, &lines, &unmeasured(outcome, &x));
    Some(Picture { file: "latency", height: HEIGHT, svg })
}

pub struct Axis {
    pub label: &'static str,
    /// Where, and what stands there.
    pub ticks: Vec<(f64, String)>,
    min: f64,
    max: f64,
    log: bool,
}

struct Line {
    name: String,
    points: Vec<(f64, f64)>,
}

impl Axis {
    /// 0 to 1 along the axis.
    pub fn share(&self, value: f64) -> f64 {
        let place = |value: f64| if self.log { value.max(f64::MIN_POSITIVE).ln() } else { value };
        let (min, max) = (place(self.min), place(self.max));
        ((place(value) - min) / (max - min).max(f64::MIN_POSITIVE)).clamp(0.0, 1.0)
    }
}

/// A part of the axis that is no measurement, and what it is.
struct Span {
    from: f64,
    until: f64,
    name: &'static str,
}

/// Before what is measured and after it.
fn unmeasured(outcome: &Outcome, x: &Axis) -> Vec<Span> {
    let warm = outcome.plan.warmup.as_secs_f64();
    let end = warm + outcome.plan.duration.as_secs_f64();
    let mut spans = Vec::new();
    if warm > 0.0 {
        spans.push(Span { from: 0.0, until: warm, name: "warm-up" });
    }
    // Less than that is the rest of a second.
    if x.max > end + 0.5 {
        spans.push(Span { from: end, until: x.max, name: "after the end" });
    }
    spans
}

fn seconds_axis(seconds: &[Second]) -> Axis {
    evenly("seconds since the start", seconds.last().map_or(1.0, |second| second.at_s))
}

/// From 0, with ticks at round numbers.
fn evenly(label: &'static str, max: f64) -> Axis {
    let rough = 10f64.powf((max / 5.0).log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|n| n * rough).into_iter().find(|step| max / step <= 7.0).unwrap_or(max);
    let ticks = (0..=20).map(|n| f64::from(n) * step).take_while(|at| *at <= max).map(|at| (at, number(at)));
    Axis { label, ticks: ticks.collect(), min: 0.0, max, log: false }
}

/// How far up the points of lines are.
fn ups(lines: &[Line]) -> impl Iterator<Item = f64> {
    lines.iter().flat_map(|line| &line.points).map(|(_, y)| *y)
}

/// Microseconds on a logarithmic scale; `None`: there is nothing to show.
pub fn times(label: &'static str, micros: impl Iterator<Item = f64>) -> Option<Axis> {
    let span =
        |span: Option<(f64, f64)>, at: f64| Some(span.map_or((at, at), |(least, most)| (at.min(least), at.max(most))));
    let (least, most) = micros.fold(None, span)?;
    // Never less than a decade, or noise would look like mountains.
    let (min, max) = (least / 1.2, (most * 1.2).max(least * 10.0));
    let few = (max / min).log10() < 3.2;
    let within = |decade: i32| {
        let of = |n: f64| n * 10f64.powi(decade);
        let numbers: &[f64] = if few { &[1.0, 2.0, 5.0] } else { &[1.0] };
        numbers.iter().map(move |&n| of(n)).collect::<Vec<_>>()
    };
    let ticks = (-4..10).flat_map(within).filter(|at| (min..=max).contains(at)).map(|at| (at, time(at)));
    Some(Axis { label, ticks: ticks.collect(), min, max, log: true })
}

fn draw(title: &str, x: &Axis, y: &Axis, lines: &[Line], spans: &[Span]) -> String {
    let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
    let across = |value: f64| LEFT + x.share(value) * (right - LEFT);
    let down = |value: f64| bottom - y.share(value) * (bottom - TOP);
    let mut svg = format!("<title>{title}</title><text class=\"title\" x=\"{LEFT}\" y=\"22\">{title}</text>");
    let mut put = |text: std::fmt::Arguments<'_>| {
        // Writing into a string does not fail.
        let _infallible = svg.write_fmt(text);
    };
    for span in spans {
        let (from, width) = (across(span.from), across(span.until) - across(span.from));
        put(format_args!(
            "<rect class=\"warm\" x=\"{from:.1}\" y=\"{TOP}\" width=\"{width:.1}\" height=\"{:.1}\"/>",
            bottom - TOP
        ));
        put(format_args!("<text x=\"{:.1}\" y=\"{:.1}\">{}</text>", from + 6.0, bottom - 8.0, span.name));
    }
    for (at, name) in &y.ticks {
        let at = down(*at);
        put(format_args!("<path class=\"grid\" d=\"M{LEFT} {at:.1}H{right}\"/>"));
        put(format_args!("<text class=\"end\" x=\"{}\" y=\"{:.1}\">{name}</text>", LEFT - 8.0, at + 4.0));
    }
    for (at, name) in &x.ticks {
        let at = across(*at);
        put(format_args!("<path class=\"grid\" d=\"M{at:.1} {TOP}V{bottom}\"/>"));
        put(format_args!("<text class=\"middle\" x=\"{at:.1}\" y=\"{}\">{name}</text>", bottom + 18.0));
    }
    put(format_args!("<path class=\"axis\" d=\"M{LEFT} {TOP}V{bottom}H{right}\"/>"));
    let middle = f64::midpoint(LEFT, right);
    put(format_args!("<text class=\"middle\" x=\"{middle}\" y=\"{}\">{}</text>", HEIGHT - 12.0, x.label));
    let height = f64::midpoint(TOP, bottom);
    put(format_args!("<text class=\"middle\" transform=\"translate(16 {height}) rotate(-90)\">{}</text>", y.label));
    let mut legend = LEFT;
    for (number, line) in lines.iter().enumerate() {
        let colour = number % COLOURS;
        let mut path = String::new();
        for (at, (px, py)) in line.points.iter().enumerate() {
            let _infallible = write!(path, "{}{:.1} {:.1}", if at == 0 { "M" } else { "L" }, across(*px), down(*py));
        }
        put(format_args!("<path class=\"line c{colour}\" d=\"{path}\"/>"));
        put(format_args!("<path class=\"line c{colour}\" d=\"M{legend} 42h18\"/>"));
        put(format_args!("<text x=\"{}\" y=\"46\">{}</text>", legend + 24.0, line.name));
        legend += 44.0 + 7.0 * line.name.chars().count() as f64;
    }
    svg
}

/// Microseconds as the label of a tick.
fn time(micros: f64) -> String {
    match micros {
        _ if micros < 1.0 => format!("{} ns", number((micros * 1e3).round())),
        _ if micros < 1e3 => format!("{} µs", number(micros)),
        _ if micros < 1e6 => format!("{} ms", number(micros / 1e3)),
        _ => format!("{} s", number(micros / 1e6)),
    }
}

/// With as few digits as it has, and thousands apart.
fn number(value: f64) -> String {
    if value.fract().abs() > 1e-9 {
        return format!("{value:.2}").trim_end_matches('0').to_owned();
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::meter::Tally;
    use crate::bench::outcome::tests::outcome;
    use crate::bench::pace::Arrivals;

    /// A run of nine seconds with these ends of its seconds, each with so many acks of so many milliseconds.
    fn run(seconds: &[(f64, u64, u64)]) -> Outcome {
        let mut run = outcome(Arrivals::Constant, 1000, 0);
        run.plan.duration = std::time::Duration::from_secs(9);
        for &(at_s, acked, ms) in seconds {
            let mut tally = Tally { acked, acked_bytes: acked, ..Tally::default() };
            tally.ack.record_n(ms * 1_000_000, acked);
            run.seconds.push(Second::of(at_s, &tally));
        }
        run
    }

    #[test]
    fn a_stall_of_the_generators_machine_ends_no_picture_and_what_came_in_it_is_in_its_second() {
        let stalled = run(&[(1.07, 9, 1), (2.04, 9, 1), (3.04, 9, 1), (5.67, 20, 2), (5.67, 0, 0), (6.07, 5, 900)]);
        let whole = whole_seconds(&stalled);
        let ends: Vec<f64> = whole.iter().map(|second| second.at_s).collect();
        assert_eq!(ends, [1.07, 2.04, 3.04, 6.07]);
        let last = whole.last().expect("a second");
        assert_eq!((last.acked, last.ack_max_us / 1000, last.ack_p50_us / 1000), (25, 900, 2));
    }

    #[test]
    fn pictures_over_time_go_on_to_the_last_ack_and_mark_the_end() {
        let mut seconds: Vec<(f64, u64, u64)> = (1..=9).map(|at| (f64::from(at), 100, 1)).collect();
        let marks = |run: &Outcome| {
            let over_time: Vec<Picture> = pictures(run).into_iter().filter(|of| of.file != "percentiles").collect();
            assert_eq!(over_time.len(), 2);
            over_time.iter().filter(|picture| picture.svg.contains("after the end")).count()
        };
        assert_eq!(marks(&run(&seconds)), 0);
        // The last acks come six seconds late; then there is nothing until the readers end.
        seconds.extend([(10.0, 0, 0), (11.0, 0, 0), (15.2, 700, 6000), (16.0, 0, 0)]);
        let late = run(&seconds);
        assert_eq!(marks(&late), 2);
        let last = whole_seconds(&late).pop().expect("a second");
        assert_eq!((last.at_s, last.ack_max_us / 1_000_000), (15.2, 6));
    }

    #[test]
    fn ticks_are_round_and_few() {
        let names = |axis: Axis| axis.ticks.into_iter().map(|(_, name)| name).collect::<Vec<_>>();
        assert_eq!(names(evenly("s", 35.0)), ["0", "5", "10", "15", "20", "25", "30", "35"]);
        assert_eq!(names(evenly("s", 0.9)), ["0", "0.2", "0.4", "0.6", "0.8"]);
        let of = |values: &[f64]| times("t", values.iter().copied());
        assert_eq!(names(of(&[90.0, 200_000.0]).expect("an axis")), ["100 µs", "1 ms", "10 ms", "100 ms"]);
        assert_eq!(names(of(&[1000.0]).expect("an axis")), ["1 ms", "2 ms", "5 ms", "10 ms"]);
        assert_eq!(names(of(&[0.09, 0.5]).expect("an axis")), ["100 ns", "200 ns", "500 ns"]);
        assert!(of(&[]).is_none());
    }
}
