//! The text of a derived `Debug` as a tree, so that fields can be found by name whatever message they are in, and a
//! printer that keeps short things on one line.

/// A value as `Debug` shows it.
#[derive(Clone, Debug, PartialEq)]
pub enum Tree {
    /// A number, a word, a string with its quotes.
    Atom(String),
    /// `Name { field: value }`, without the name.
    Fields(Vec<(String, Tree)>),
    /// `[a, b]`
    List(Vec<Tree>),
    /// `Name(a)`
    Tuple(String, Vec<Tree>),
}

/// Longest line that a value is put on whole.
const LINE: usize = 116;

impl Tree {
    pub fn parse(debug: &str) -> Tree {
        let mut parser = Parser { rest: debug };
        let tree = parser.value();
        assert!(parser.rest.is_empty(), "left of a Debug text: {}", parser.rest);
        tree
    }

    pub fn print(&self) -> String {
        let mut out = String::new();
        self.print_at(0, &mut out);
        out
    }

    fn print_at(&self, indent: usize, out: &mut String) {
        let flat = self.flat();
        let column = out.len() - out.rfind('\n').map_or(0, |at| at + 1);
        if column + flat.len() <= LINE {
            out.push_str(&flat);
            return;
        }
        let inner = "  ".repeat(indent + 1);
        let outer = "  ".repeat(indent);
        match self {
            Tree::Atom(text) => out.push_str(text),
            Tree::Fields(fields) => {
                // Fields that fit share lines; one that does not has its own.
                out.push('{');
                let mut line_open = false;
                for (name, value) in fields {
                    let flat = format!("{name}: {}", value.flat());
                    let used = out.len() - out.rfind('\n').map_or(0, |at| at + 1);
                    if line_open && used + flat.len() + 2 <= LINE {
                        out.push_str(", ");
                        out.push_str(&flat);
                        continue;
                    }
                    out.push_str(&format!("\n{inner}{name}: "));
                    value.print_at(indent + 1, out);
                    line_open = inner.len() + flat.len() <= LINE;
                }
                out.push_str(&format!("\n{outer}}}"));
            }
            Tree::List(items) | Tree::Tuple(_, items) => {
                if let Tree::Tuple(name, _) = self {
                    out.push_str(name);
                }
                out.push('[');
                for item in items {
                    out.push_str(&format!("\n{inner}"));
                    item.print_at(indent + 1, out);
                }
                out.push_str(&format!("\n{outer}]"));
            }
        }
    }

    fn flat(&self) -> String {
        let joined = |items: &[Tree]| items.iter().map(Tree::flat).collect::<Vec<_>>().join(", ");
        match self {
            Tree::Atom(text) => text.clone(),
            Tree::Fields(fields) => {
                let fields: Vec<_> = fields.iter().map(|(name, value)| format!("{name}: {}", value.flat())).collect();
                format!("{{{}}}", fields.join(", "))
            }
            Tree::List(items) => format!("[{}]", joined(items)),
            Tree::Tuple(name, items) => format!("{name}({})", joined(items)),
        }
    }
}

struct Parser<'a> {
    rest: &'a str,
}

impl Parser<'_> {
    fn value(&mut self) -> Tree {
        let mut word = String::new();
        while let Some(c) = self.rest.chars().next() {
            match c {
                '[' => {
                    self.skip("[");
                    return Tree::List(self.items(']'));
                }
                '(' => {
                    self.skip("(");
                    let mut items = self.items(')');
                    return if word == "Some" && items.len() == 1 { items.remove(0) } else { Tree::Tuple(word, items) };
                }
                ' ' if self.rest.starts_with(" {") => {
                    self.skip(" { ");
                    return Tree::Fields(self.fields());
                }
                '"' => word.push_str(&self.string()),
                ',' | ']' | ')' | '}' | ' ' => break,
                c => {
                    word.push(c);
                    self.rest = &self.rest[c.len_utf8()..];
                }
            }
        }
        Tree::Atom(word)
    }

    fn items(&mut self, end: char) -> Vec<Tree> {
        let mut items = Vec::new();
        while !self.rest.starts_with(end) {
            items.push(self.value());
            self.skip(", ");
        }
        self.skip(&end.to_string());
        items
    }

    fn fields(&mut self) -> Vec<(String, Tree)> {
        let mut fields = Vec::new();
        while !self.rest.starts_with(" }") {
            let (name, rest) = self.rest.split_once(": ").expect("a field's name");
            let name = name.to_owned();
            self.rest = rest;
            fields.push((name, self.value()));
            self.skip(", ");
        }
        self.skip(" }");
        fields
    }

    /// A quoted string, quotes and escapes included.
    fn string(&mut self) -> String {
        let mut escaped = false;
        let end = self.rest.char_indices().skip(1).find(|&(_, c)| {
            let closes = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            closes
        });
        let (text, rest) = self.rest.split_at(end.expect("a closing quote").0 + 1);
        let text = text.to_owned();
        self.rest = rest;
        text
    }

    fn skip(&mut self, text: &str) {
        self.rest = self.rest.strip_prefix(text).unwrap_or(self.rest);
    }
}

#[test]
fn a_debug_text_becomes_a_tree_and_a_line() {
    #[derive(Debug)]
    #[expect(dead_code, reason = "read through Debug")]
    struct Reply {
        name: Option<&'static str>,
        parts: Vec<Part>,
        none: Option<i32>,
    }
    #[derive(Debug)]
    #[expect(dead_code, reason = "read through Debug")]
    struct Part {
        at: i64,
        code: Option<Code>,
    }
    #[derive(Debug)]
    #[expect(dead_code, reason = "read through Debug")]
    enum Code {
        Other(i16),
    }
    let parts = vec![Part { at: -1, code: Some(Code::Other(7)) }, Part { at: 2, code: None }];
    let reply = Reply { name: Some("a \"b\", c }"), parts, none: None };
    let tree = Tree::parse(&format!("{reply:?}"));
    assert_eq!(
        tree.print(),
        r#"{name: "a \"b\", c }", parts: [{at: -1, code: Other(7)}, {at: 2, code: None}], none: None}"#
    );
}
