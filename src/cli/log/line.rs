//! One thing found on disk, as a line: JSON, or a word and its parts for eyes.
//!
//! Invariant: both say the same, in the same order; the text leaves out what is null.

use serde_json::{Map, Value};

use crate::cli::Failure;
use crate::cli::printer::{Printer, Reader};

/// How a dump is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Shape {
    /// A line for each thing, for eyes.
    #[default]
    Text,
    /// A JSON object for each, one a line.
    Json,
}

/// Standard output, until nobody reads it any more.
pub struct Lines {
    shape: Shape,
    out: Printer,
    reader: Reader,
}

impl Lines {
    pub fn new(shape: Shape) -> Lines {
        Lines { shape, out: Printer::stdout(), reader: Reader::There }
    }

    /// Writes one thing of this kind, so deep below the one before; whether somebody reads on.
    pub fn put(&mut self, depth: usize, kind: &str, parts: Value) -> Result<bool, Failure> {
        let mut line = match self.shape {
            Shape::Json => {
                let mut whole = Map::new();
                whole.insert("kind".to_owned(), kind.into());
                if let Value::Object(parts) = parts {
                    whole.extend(parts);
                }
                Value::Object(whole).to_string()
            }
            Shape::Text => text(depth, kind, &parts),
        };
        line.push('\n');
        if self.reader == Reader::There {
            self.reader = self.out.write(line.as_bytes())?;
        }
        Ok(self.is_read())
    }

    pub fn is_read(&self) -> bool {
        self.reader == Reader::There
    }

    pub fn end(mut self) -> Result<(), Failure> {
        self.out.flush().map(|_| ())
    }
}

fn text(depth: usize, kind: &str, parts: &Value) -> String {
    let mut line = format!("{}{kind}", "  ".repeat(depth));
    for (name, value) in parts.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null()) {
        line.push(' ');
        line.push_str(name);
        line.push('=');
        match value {
            Value::String(text) if is_plain(text) => line.push_str(text),
            other => line.push_str(&other.to_string()),
        }
    }
    line
}

/// It can stand without quotes.
fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| !c.is_whitespace() && !c.is_control() && !"\"={}[],".contains(c))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_for_eyes_has_quotes_where_it_needs_them_and_no_nulls() {
        let parts = json!({ "offset": 3, "key": "k", "value": "two words", "epoch": null, "list": [1, 2] });
        assert_eq!(text(1, "record", &parts), r#"  record offset=3 key=k value="two words" list=[1,2]"#);
    }
}
