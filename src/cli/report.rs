//! An answer as data, shown as a table, JSON or YAML.
//!
//! Invariant: JSON and YAML carry the same names and values in the same order; the table is for eyes and may leave out
//! some of it.

use std::borrow::Cow;
use std::io::{BufWriter, IsTerminal, StdoutLock, Write, stdout};

use serde_json::{Value, json};

use super::printer::{Printer, Reader};
use super::time::utc;
use super::{Failure, output};

/// How an answer is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Shape {
    /// Columns for eyes.
    #[default]
    Table,
    /// One JSON document.
    Json,
    /// One YAML document.
    Yaml,
}

/// The flag of every command that answers.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Shown {
    /// How to write the answer.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Shape,
}

impl Shown {
    /// Writes the answer to standard output. Nobody may be reading any more: it was given all the same.
    pub fn show(self, data: &Value, table: impl FnOnce() -> String) -> Result<(), Failure> {
        self.tell(data, table).map(|_| ())
    }

    /// The same for a command that goes on as long as somebody reads.
    pub fn tell(self, data: &Value, table: impl FnOnce() -> String) -> Result<Reader, Failure> {
        print(match self.output {
            Shape::Table => table(),
            Shape::Json => format!("{data:#}"),
            Shape::Yaml => yaml(data),
        })
    }

    /// The same for an answer that is a list, which is written as it comes.
    pub fn list(self) -> Listing {
        self.listing(None)
    }

    /// A list, called `name`, that is one of many looks: each can be told from the next, and says when it was taken. JSON is
    /// one line each, YAML one document; a terminal shows the last one only.
    pub fn look(self, name: &'static str, at_ms: i64) -> Listing {
        self.listing(Some(Look { name, at_ms, clears: stdout().is_terminal() }))
    }

    fn listing(self, look: Option<Look>) -> Listing {
        Listing {
            shape: self.output,
            is_look: look.is_some(),
            frame: Frame::new(self.output, look),
            out: Printer::stdout(),
            written: 0,
        }
    }
}

/// One of many looks.
struct Look {
    name: &'static str,
    at_ms: i64,
    /// The one before is taken from the terminal.
    clears: bool,
}

/// What stands around the elements of a list.
struct Frame {
    head: String,
    /// Before the first element, and before each other.
    first: &'static str,
    next: &'static str,
    tail: &'static str,
    /// The tail where there was no element.
    empty: &'static str,
}

impl Frame {
    fn new(shape: Shape, look: Option<Look>) -> Frame {
        let frame = |head, [first, next, tail, empty]: [&'static str; 4]| Frame { head, first, next, tail, empty };
        match (shape, look) {
            (Shape::Table, None) => frame(String::new(), ["", "\n", "", ""]),
            (Shape::Table, Some(Look { at_ms, clears: true, .. })) => {
                frame(format!("\x1b[H\x1b[2J{}\n\n", utc(at_ms)), ["", "\n", "", ""])
            }
            (Shape::Table, Some(Look { at_ms, .. })) => frame(format!("{}\n\n", utc(at_ms)), ["", "\n", "\n", "\n"]),
            (Shape::Json, None) => frame("[".to_owned(), ["\n  ", ",\n  ", "\n]\n", "]\n"]),
            (Shape::Json, Some(Look { name, at_ms, .. })) => {
                frame(format!("{{\"at_ms\":{at_ms},{}:[", json!(name)), ["", ",", "]}\n", "]}\n"])
            }
            (Shape::Yaml, None) => frame(String::new(), ["- ", "- ", "", "[]\n"]),
            (Shape::Yaml, Some(Look { name, at_ms, .. })) => {
                frame(format!("---\nat_ms: {at_ms}\n{}:", scalar(name)), ["\n  - ", "  - ", "", " []\n"])
            }
        }
    }
}

/// A list on its way to standard output: what is written is not kept, however long it gets. Nothing is written before the
/// first element is there.
pub struct Listing<W: Write = BufWriter<StdoutLock<'static>>> {
    shape: Shape,
    is_look: bool,
    frame: Frame,
    out: Printer<W>,
    written: usize,
}

impl<W: Write> Listing<W> {
    /// Whether it is for eyes: [blocks](Listing::block) are to be written, and [items](Listing::item) otherwise.
    pub fn is_table(&self) -> bool {
        self.shape == Shape::Table
    }

    /// A table, or another text that stands by itself.
    pub fn block(&mut self, text: &str) -> Result<Reader, Failure> {
        self.element(&format!("{text}\n"))
    }

    pub fn item(&mut self, data: &Value) -> Result<Reader, Failure> {
        let mut text = String::new();
        match (self.shape, self.is_look) {
            (Shape::Json, true) => text = data.to_string(),
            // Texts have no line ends of their own in JSON.
            (Shape::Json, false) => text = format!("{data:#}").replace('\n', "\n  "),
            (Shape::Yaml | Shape::Table, is_look) => block(data, if is_look { 4 } else { 2 }, &mut text),
        }
        self.element(&text)
    }

    fn element(&mut self, text: &str) -> Result<Reader, Failure> {
        let Frame { head, first, next, .. } = &self.frame;
        match self.written {
            0 => self.out.write(head.as_bytes()).and_then(|_| self.out.write(first.as_bytes()))?,
            _ => self.out.write(next.as_bytes())?,
        };
        self.written += 1;
        self.out.write(text.as_bytes())
    }

    pub fn end(&mut self) -> Result<Reader, Failure> {
        let Frame { head, tail, empty, .. } = &self.frame;
        match self.written {
            0 => self.out.write(head.as_bytes()).and_then(|_| self.out.write(empty.as_bytes()))?,
            _ => self.out.write(tail.as_bytes())?,
        };
        self.out.flush()
    }
}

/// Nothing where there is nothing.
fn print(text: String) -> Result<Reader, Failure> {
    let mut out = Printer::stdout();
    out.write(text.as_bytes())?;
    if !text.is_empty() {
        out.write(b"\n")?;
    }
    out.flush()
}

/// A table with aligned columns; its head stands out on a terminal.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let head: Vec<String> = head.iter().map(|&name| name.to_owned()).collect();
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| visible(cell).into_owned()).collect()).collect();
    let widest = |column: usize| {
        let cells = rows.iter().chain([&head]).filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(widest).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let head = output::strong(&line(&head));
    std::iter::once(head).chain(rows.iter().map(line)).collect::<Vec<_>>().join("\n")
}

/// A text of somebody else's for a terminal, which obeys control characters: they are written out, as in `\x1b` and `\n`.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let written = |c: char| match c {
        '\n' => "\\n".to_owned(),
        '\r' => "\\r".to_owned(),
        '\t' => "\\t".to_owned(),
        c if c.is_control() => format!("\\x{:02x}", u32::from(c)),
        c => c.to_string(),
    };
    Cow::Owned(text.chars().map(written).collect())
}

/// Numbers with commas between them.
pub fn numbers(ids: &[i32]) -> String {
    ids.iter().map(i32::to_string).collect::<Vec<_>>().join(",")
}

/// One of several documents in a row.
pub fn yaml_document(value: &Value) -> String {
    format!("---\n{}", yaml(value))
}

fn yaml(value: &Value) -> String {
    let mut out = String::new();
    block(value, 0, &mut out);
    out.trim_end().to_owned()
}

/// Writes from where the line stands; ends with the end of a line.
fn block(value: &Value, indent: usize, out: &mut String) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (at, (name, value)) in map.iter().enumerate() {
                if at > 0 {
                    out.push_str(&" ".repeat(indent));
                }
                out.push_str(&scalar(name));
                out.push(':');
                if is_flat(value) {
                    out.push(' ');
                    block(value, indent, out);
                } else {
                    out.push('\n');
                    out.push_str(&" ".repeat(indent + 2));
                    block(value, indent + 2, out);
                }
            }
        }
        Value::Array(items) if !is_flat(value) => {
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push_str(&" ".repeat(indent));
                }
                out.push_str("- ");
                block(item, indent + 2, out);
            }
        }
        flat => {
            out.push_str(&in_line(flat));
            out.push('\n');
        }
    }
}

/// It fits behind its name.
fn is_flat(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.is_empty(),
        Value::Array(items) => items.iter().all(|item| !item.is_object() && !item.is_array()),
        _ => true,
    }
}

fn in_line(value: &Value) -> String {
    match value {
        Value::String(text) => scalar(text),
        Value::Array(items) => format!("[{}]", items.iter().map(in_line).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

/// A text as it is where no reader could take it for something else, in quotes otherwise.
fn scalar(text: &str) -> String {
    const WORDS: [&str; 9] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let plain = |c: char| c.is_ascii_alphanumeric() || "_./-".contains(c);
    let starts = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '_');
    if starts && text.chars().all(plain) && !WORDS.contains(&text.to_ascii_lowercase().as_str()) {
        return text.to_owned();
    }
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                quoted.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let row = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        assert_eq!(table(&["NAME", "N"], &[row(["a-topic", "12"]), row(["b", ""])]), "NAME     N\na-topic  12\nb");
    }

    #[test]
    fn what_a_terminal_would_obey_is_written_out_in_a_table() {
        let row = ["\x1b[31mred", "a\nb\t\u{9b}2J"].map(str::to_owned).to_vec();
        assert_eq!(table(&["GROUP", "N"], &[row]), "GROUP        N\n\\x1b[31mred  a\\nb\\t\\x9b2J");
        assert!(matches!(visible("größe ☃"), Cow::Borrowed("größe ☃")));
    }

    #[test]
    fn yaml_nests_by_indent_and_keeps_the_order() {
        let data = json!({
            "topic": "orders",
            "partitions": [{"index": 0, "replicas": [1, 2], "offsets": {"first": 0}}, {"index": 1, "none": []}],
            "empty": {}, "null": null,
        });
        let wanted = "topic: orders\npartitions:\n  - index: 0\n    replicas: [1, 2]\n    offsets:\n      first: 0\n  \
                      - index: 1\n    none: []\nempty: {}\n\"null\": null";
        assert_eq!(yaml(&data), wanted);
        assert_eq!(yaml(&json!([{"a": 1}, 2])), "- a: 1\n- 2");
    }

    /// What is written of a list.
    fn listed(shape: Shape, is_look: bool, items: &[Value]) -> String {
        let look = || Look { name: "groups", at_ms: 0, clears: false };
        let frame = Frame::new(shape, is_look.then(look));
        let mut listing = Listing { shape, is_look, frame, out: Printer::in_memory(), written: 0 };
        for item in items {
            match shape {
                Shape::Table => listing.block(&item.to_string()),
                Shape::Json | Shape::Yaml => listing.item(item),
            }
            .expect("written");
        }
        listing.end().expect("written");
        String::from_utf8(listing.out.into_written()).expect("text")
    }

    #[test]
    fn a_list_that_is_written_as_it_comes_is_what_it_would_be_at_one_go() {
        let item =
            json!({"group": "a: b\nc", "empty": [], "places": [{"n": 1, "of": [1, 2]}, {"n": null}], "last": {"x": 1}});
        for count in 0..3 {
            let items = vec![item.clone(); count];
            let all = Value::Array(items.clone());
            let look = json!({ "at_ms": 0, "groups": all });
            assert_eq!(listed(Shape::Json, false, &items), format!("{all:#}\n"));
            assert_eq!(listed(Shape::Json, true, &items), format!("{look}\n"));
            assert_eq!(listed(Shape::Yaml, false, &items), format!("{}\n", yaml(&all)));
            assert_eq!(listed(Shape::Yaml, true, &items), format!("{}\n", yaml_document(&look)));
        }
        assert_eq!(listed(Shape::Table, false, &[json!(1), json!(2)]), "1\n\n2\n");
        assert_eq!(listed(Shape::Table, true, &[json!(1), json!(2)]), "1970-01-01 00:00:00 UTC\n\n1\n\n2\n\n");
        assert_eq!(listed(Shape::Table, false, &[]), "");
    }

    #[test]
    fn a_text_that_reads_as_something_else_is_quoted() {
        for (text, written) in [
            ("retention.ms", "retention.ms"),
            ("/var/lib", "/var/lib"),
            ("", "\"\""),
            ("no", "\"no\""),
            ("1000", "\"1000\""),
            ("a: b", "\"a: b\""),
            ("say \"x\"\n\u{7}", "\"say \\\"x\\\"\\n\\u0007\""),
            ("-1", "\"-1\""),
        ] {
            assert_eq!(scalar(text), written);
        }
    }
}
