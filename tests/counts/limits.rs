//! The committed limits: a line for each path, its instructions and why they are so many. Pure.
//!
//! Invariant: no limit stands without a reason. A raise is a new line below the old one; the last line of a path counts.

use std::fmt;

/// What a path may take above its limit, and how far below it the limit is out of date: farther than the compiler's own
/// ways move it.
const OVER_MAX: f64 = 1.05;
const UNDER_MIN: f64 = 0.85;

pub struct Limits(Vec<(String, u64)>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Within,
    /// It takes less by now: the limit should follow.
    Less,
    Over,
    NoLimit,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Verdict::Within => "within it",
            Verdict::Less => "less than it: lower the limit",
            Verdict::Over => "more than 5 % over it: make it cheaper, or add a line with the new limit and its reason",
            Verdict::NoLimit => "there is none: add a line with the limit and its reason",
        })
    }
}

impl Limits {
    /// Lines of path, instructions and reason with tabs between them; `#` begins a comment.
    pub fn parse(text: &str) -> Result<Limits, String> {
        let lines = text.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let row = |(number, line): (usize, &str)| match line.split('\t').collect::<Vec<_>>()[..] {
            [path, limit, reason] if !reason.trim().is_empty() => match limit.parse() {
                Ok(limit) => Ok((path.to_owned(), limit)),
                Err(_) => Err(format!("line {}: {limit} is no number of instructions", number + 1)),
            },
            _ => Err(format!("line {}: write path, instructions and reason, with tabs between them", number + 1)),
        };
        lines.map(row).collect::<Result<_, _>>().map(Limits)
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    pub fn judge(&self, path: &str, counted: u64) -> (Option<u64>, Verdict) {
        let limit = self.0.iter().rev().find(|(name, _)| name == path).map(|(_, limit)| *limit);
        let verdict = match limit.map(|limit| counted as f64 / limit as f64) {
            None => Verdict::NoLimit,
            Some(share) if share > OVER_MAX => Verdict::Over,
            Some(share) if share < UNDER_MIN => Verdict::Less,
            Some(_) => Verdict::Within,
        };
        (limit, verdict)
    }
}

/// What the guard would not notice about itself: it has no harness, so this runs before it counts.
pub fn checked() {
    let limits = Limits::parse("# path\na\t100\tfirst\n\na\t200\tit checks more\nb\t50\tfirst\n").expect("good lines");
    for (path, counted, wanted) in [
        ("a", 210, Verdict::Within),
        ("a", 211, Verdict::Over),
        ("a", 171, Verdict::Within),
        ("a", 169, Verdict::Less),
        ("b", 53, Verdict::Over),
        ("c", 1, Verdict::NoLimit),
    ] {
        assert_eq!(limits.judge(path, counted).1, wanted, "{path} at {counted}");
    }
    for wrong in ["a\t100", "a\t100\t ", "a\tmany\twords", "a 100 words"] {
        assert!(Limits::parse(wrong).is_err(), "{wrong:?}");
    }
}
