//! Prometheus's text format, written family by family.
//!
//! Invariant: all samples of a family follow its head, as the format wants.

use std::fmt::{Display, Write as _};

use super::Kind;

#[derive(Default)]
pub struct Text(String);

/// A family whose samples are being written.
pub struct Family<'a> {
    text: &'a mut String,
    name: &'a str,
}

impl Text {
    pub fn family<'a>(&'a mut self, name: &'a str, kind: Kind, help: &str) -> Family<'a> {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
        Family { text: &mut self.0, name }
    }

    pub fn finish(self) -> String {
        self.0
    }
}

impl Family<'_> {
    pub fn sample(&mut self, labels: &[(&str, &dyn Display)], value: impl Display) {
        self.suffixed("", labels, value);
    }

    /// `_bucket`, `_sum` or `_count` of a histogram.
    pub fn suffixed(&mut self, suffix: &str, labels: &[(&str, &dyn Display)], value: impl Display) {
        let _ = write!(self.text, "{}{suffix}", self.name);
        for (at, (name, label)) in labels.iter().enumerate() {
            let _ = write!(self.text, "{}{name}=\"{}\"", if at == 0 { '{' } else { ',' }, escaped(&label.to_string()));
        }
        let _ = writeln!(self.text, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }
}

fn escaped(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_its_head_and_its_samples() {
        let mut text = Text::default();
        let mut family = text.family("a_total", Kind::Counter, "What it counts.");
        family.sample(&[], 1);
        family.sample(&[("x", &"quote \" and \\"), ("n", &2)], 0.5);
        let wanted = "# HELP a_total What it counts.\n# TYPE a_total counter\na_total 1\n\
                      a_total{x=\"quote \\\" and \\\\\",n=\"2\"} 0.5\n";
        assert_eq!(text.finish(), wanted);
    }
}
