//! Where a setting is from, a setting from the command line, and what may be wrong with one. At start only.
//!
//! Invariant: every error says where the setting stands, and what to do.

use std::fmt;
use std::path::PathBuf;

/// Where a setting stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    File {
        path: PathBuf,
        line: usize,
    },
    Variable(String),
    /// The flag as it is typed, such as `--listen`.
    Flag(&'static str),
    /// The subcommand's own default.
    Command(&'static str),
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::File { path, line } => write!(f, "{}:{line}", path.display()),
            Origin::Variable(name) => write!(f, "variable {name}"),
            Origin::Flag(flag) => f.write_str(flag),
            Origin::Command(name) => write!(f, "default of `corelog {name}`"),
            Origin::Default => f.write_str("default"),
        }
    }
}

/// What is wrong with a configuration. The text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{}: {source}; check the path given with --config", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error(
        "{}:{line}: this is no TOML: {why}{}", path.display(),
        if path.extension().is_some_and(|ending| ending == "properties") {
            "; `corelog config import` makes a file for corelog out of Kafka's"
        } else {
            ""
        }
    )]
    Toml { path: PathBuf, line: usize, why: String },
    #[error("{}:{line}: {why}; correct this line", path.display())]
    Properties { path: PathBuf, line: usize, why: String },
    #[error("{origin}: there is no key `{key}`; the nearest is `{nearest}`")]
    Unknown { origin: Origin, key: String, nearest: String },
    #[error("{origin}: write `\"{key}\" = …`, with the key in quotes")]
    Unquoted { origin: Origin, key: String },
    #[error("{origin}: `{key}` wants {wanted}, and this is {found}")]
    Type { origin: Origin, key: &'static str, wanted: &'static str, found: &'static str },
    #[error("{origin}: `{key}` = {text:?}: {why}")]
    Value { origin: Origin, key: &'static str, text: String, why: String },
    #[error("--set {text}: write --set key=value")]
    NoValue { text: String },
    #[error("{0}")]
    Together(String),
}

/// One setting from the command line.
#[derive(Clone, Debug)]
pub struct Flag {
    pub flag: &'static str,
    pub key: String,
    pub text: String,
}

impl Flag {
    pub fn new(flag: &'static str, key: &str, text: impl Into<String>) -> Flag {
        Flag { flag, key: key.to_owned(), text: text.into() }
    }

    /// `key=value` of a `--set`.
    pub fn set(text: &str) -> Result<Flag, ConfigError> {
        let (key, value) = text.split_once('=').ok_or_else(|| ConfigError::NoValue { text: text.to_owned() })?;
        Ok(Flag::new("--set", key.trim(), value.trim().trim_matches('"')))
    }
}
