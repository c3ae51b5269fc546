//! One thing that is wrong in a data directory: where, what, and what is lost by it. Plain values.
//!
//! Invariant: each says what is known to be lost, or why nothing is.

use std::fmt;
use std::path::PathBuf;

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// From the data directory.
    pub file: PathBuf,
    /// Byte in it.
    pub position: Option<u64>,
    /// As in `orders-0`.
    pub partition: Option<String>,
    pub offset: Option<i64>,
    pub what: String,
    pub lost: Lost,
}

/// What damage costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lost {
    /// Nothing, and why.
    Nothing(String),
    /// At most these records of the partition.
    Records { from: i64, through: i64 },
    /// It cannot be told by records: this in words.
    Words(String),
}

impl Finding {
    pub fn in_file(file: impl Into<PathBuf>, what: impl Into<String>, lost: Lost) -> Finding {
        Finding { file: file.into(), position: None, partition: None, offset: None, what: what.into(), lost }
    }

    pub fn at(self, position: u64) -> Finding {
        Finding { position: Some(position), ..self }
    }

    pub fn of(self, partition: &str, offset: i64) -> Finding {
        Finding { partition: Some(partition.to_owned()), offset: Some(offset), ..self }
    }

    /// What is lost, in words.
    pub fn told(&self) -> String {
        let partition = self.partition.as_deref().unwrap_or("the partition");
        match &self.lost {
            Lost::Nothing(why) => format!("nothing is lost: {why}"),
            Lost::Records { from, through } if from == through => format!("lost: record {from} of {partition}"),
            Lost::Records { from, through } => format!("lost: at most the records {from} to {through} of {partition}"),
            Lost::Words(words) => format!("lost: {words}"),
        }
    }

    pub fn is_loss(&self) -> bool {
        !matches!(self.lost, Lost::Nothing(_))
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(position) = self.position {
            write!(f, ", byte {position}")?;
        }
        if let Some(offset) = self.offset {
            write!(f, ", offset {offset}")?;
        }
        write!(f, ": {}", self.what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_names_place_and_loss() {
        let finding = Finding::in_file("data/t-0/0.log", "its CRC is wrong", Lost::Records { from: 3, through: 5 });
        let finding = finding.at(99).of("t-0", 3);
        assert_eq!(finding.to_string(), "data/t-0/0.log, byte 99, offset 3: its CRC is wrong");
        assert_eq!(finding.told(), "lost: at most the records 3 to 5 of t-0");
        let harmless = Finding { lost: Lost::Nothing("there is another copy".to_owned()), ..finding };
        assert!(!harmless.is_loss() && harmless.told().starts_with("nothing is lost"));
    }
}
