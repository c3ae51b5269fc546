//! Expressions as RE2/J understands them, which is what Kafka compiles them with, in the words of the `regex` crate. Pure
//! functions.
//!
//! The two agree on most, not on all: RE2/J quotes with `\Q`, takes a `-` anywhere in a class and knows no operations on
//! classes, and refuses a repetition of a repetition, more than 1000 of it, and flags that are not its own. Names of topics
//! are ASCII: a class stands for what it holds of that, and so stays small however often it is repeated.
//!
//! Invariant: what is refused here is refused with RE2/J's own words.

use std::collections::BTreeSet;

/// Largest count of a repetition.
const REPEAT_MAX: u32 = 1000;

const BAD_RANGE: &str = "invalid character class range";
const BAD_ESCAPE: &str = "invalid escape sequence";
const BAD_NAME: &str = "invalid named capture";
const NAME_TAKEN: &str = "duplicate capture group name";
const BAD_FLAGS: &str = "invalid or unsupported Perl syntax";
const STACKED: &str = "invalid nested repetition operator";
const BAD_COUNT: &str = "invalid repeat count";
const NO_BRACKET: &str = "missing closing ]";
const NO_PAREN: &str = "missing closing )";
const LONE_PAREN: &str = "regexp/syntax: internal error";
const NOTHING_TO_REPEAT: &str = "missing argument to repetition operator";
const TRAILING: &str = "trailing backslash at end of expression";

/// Kinds of characters by Unicode that are in ASCII, and what they have of it.
const KINDS: [(&str, &str); 22] = [
    ("Any", r"\x{0}-\x{7F}"),
    ("C", r"\x{0}-\x{1F}\x{7F}"),
    ("Cc", r"\x{0}-\x{1F}\x{7F}"),
    ("L", "A-Za-z"),
    ("Ll", "a-z"),
    ("Lu", "A-Z"),
    ("N", "0-9"),
    ("Nd", "0-9"),
    ("P", r"!-\#%-*,-/:;?@\[-\]_\{\}"),
    ("Pc", "_"),
    ("Pd", r"\-"),
    ("Pe", r")\]\}"),
    ("Po", r#"!"\#%\&'*,./:;?@\\"#),
    ("Ps", r"(\[\{"),
    ("S", r"$+<->\^`|\~"),
    ("Sc", "$"),
    ("Sk", r"\^`"),
    ("Sm", r"+<->|\~"),
    ("Z", r"\x{20}"),
    ("Zs", r"\x{20}"),
    ("Latin", "A-Za-z"),
    ("Common", r"\x{0}-@\[-`\{-\x{7F}"),
];
/// The others that RE2/J knows, kinds and scripts.
const FOREIGN: &str = "Cf Co Cs Lm Lo Lt M Mc Me Mn Nl No Pf Pi Zl Zp So Arabic Armenian Avestan Balinese Bamum Batak Bengali \
    Bopomofo Brahmi Braille Buginese Buhid Canadian_Aboriginal Carian Cham Cherokee Coptic Cuneiform Cypriot \
    Cyrillic Deseret Devanagari Egyptian_Hieroglyphs Ethiopic Georgian Glagolitic Gothic Greek Gujarati \
    Gurmukhi Han Hangul Hanunoo Hebrew Hiragana Imperial_Aramaic Inherited Inscriptional_Pahlavi \
    Inscriptional_Parthian Javanese Kaithi Kannada Katakana Kayah_Li Kharoshthi Khmer Lao Lepcha Limbu \
    Linear_B Lisu Lycian Lydian Malayalam Mandaic Meetei_Mayek Mongolian Myanmar New_Tai_Lue Nko Ogham \
    Ol_Chiki Old_Italic Old_Persian Old_South_Arabian Old_Turkic Oriya Osmanya Phags_Pa Phoenician Rejang \
    Runic Samaritan Saurashtra Shavian Sinhala Sundanese Syloti_Nagri Syriac Tagalog Tagbanwa Tai_Le Tai_Tham \
    Tai_Viet Tamil Telugu Thaana Thai Tibetan Tifinagh Ugaritic Unknown Vai Yi";
/// Characters that are a letter of ASCII where case does not matter.
const FOLDED: [char; 2] = ['\u{17F}', '\u{212A}'];
/// As part of a class: nothing, and all.
const NOTHING: &str = "[a&&b]";
const ALL: &str = r"\x{0}-\x{7F}";
const POSIX: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "word",
    "xdigit",
];

/// The expression for the `regex` crate, for texts in ASCII.
///
/// # Errors
/// What is wrong with it, as RE2/J says it.
pub fn translated(pattern: &str) -> Result<String, &'static str> {
    let mut out =
        Translation { rest: pattern, out: String::with_capacity(pattern.len() + 16), ..Translation::default() };
    while let Some(c) = out.rest.chars().next() {
        out.item(c)?;
    }
    if out.open == 0 { Ok(out.out) } else { Err(NO_PAREN) }
}

#[derive(Default)]
struct Translation<'a> {
    rest: &'a str,
    out: String,
    /// Where the last thing ends, if there is one that a repetition could be of: what repeats it comes there, and flags that
    /// were set since are no thing.
    last_end: Option<usize>,
    /// Groups that are open.
    open: usize,
    /// Names of groups so far.
    names: BTreeSet<&'a str>,
    /// The last thing was a repetition.
    is_repeated: bool,
}

impl<'a> Translation<'a> {
    fn item(&mut self, c: char) -> Result<(), &'static str> {
        let was_repeated = std::mem::take(&mut self.is_repeated);
        match c {
            '(' if self.rest.starts_with("(?") => self.flags(),
            '(' => {
                self.rest = self.after(1);
                self.begin("(?:");
                Ok(())
            }
            '|' => {
                self.rest = self.after(1);
                self.last_end = None;
                self.out.push('|');
                Ok(())
            }
            ')' => {
                self.rest = self.after(1);
                self.open = self.open.checked_sub(1).ok_or(LONE_PAREN)?;
                self.thing(|out| out.push(')'));
                Ok(())
            }
            '^' | '$' => {
                self.rest = self.after(1);
                self.thing(|out| out.push(c));
                Ok(())
            }
            '.' => {
                self.rest = self.after(1);
                self.one_of("");
                Ok(())
            }
            '[' => self.class(),
            '*' | '+' | '?' => {
                self.rest = self.after(1);
                // Behind another repetition a `?` would be a part of that one.
                let how = if c == '?' { "{0,1}".to_owned() } else { c.to_string() };
                self.repeat(was_repeated, how)
            }
            '{' => match count(self.rest) {
                Some((least, most, rest)) => {
                    self.rest = rest;
                    self.repeat_counted(was_repeated, least, most)
                }
                None => {
                    self.rest = self.after(1);
                    self.literal(c);
                    Ok(())
                }
            },
            '\\' => self.escape(),
            _ => {
                self.rest = self.after(c.len_utf8());
                self.literal(c);
                Ok(())
            }
        }
    }

    fn after(&self, bytes: usize) -> &'a str {
        self.rest.get(bytes..).unwrap_or_default()
    }

    fn thing(&mut self, write: impl FnOnce(&mut String)) {
        write(&mut self.out);
        self.last_end = Some(self.out.len());
    }

    fn literal(&mut self, c: char) {
        self.thing(|out| push_literal(out, c));
    }

    /// A character of ASCII, and of what stands before an intersection with that.
    fn one_of(&mut self, what: &str) {
        self.thing(|out| out.push_str(&format!(r"[{what}[\x{{0}}-\x{{7F}}]]")));
    }

    fn begin(&mut self, how: &str) {
        self.out.push_str(how);
        self.open += 1;
        self.last_end = None;
    }

    /// `(?flags)`, `(?flags:` or a named group.
    fn flags(&mut self) -> Result<(), &'static str> {
        if let Some(named) = self.rest.strip_prefix("(?P<").or_else(|| self.rest.strip_prefix("(?<")) {
            let (name, rest) = named.split_once('>').ok_or(BAD_NAME)?;
            let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            if !is_name {
                return Err(BAD_NAME);
            }
            if !self.names.insert(name) {
                return Err(NAME_TAKEN);
            }
            self.rest = rest;
            self.begin("(?:");
            return Ok(());
        }
        let end = self.rest.find([':', ')']).ok_or(BAD_FLAGS)?;
        let said = self.rest.get(2..end).ok_or(BAD_FLAGS)?;
        let (on, off) = said.split_once('-').map_or((said, None), |(on, off)| (on, Some(off)));
        let is_flags = |flags: &str| flags.chars().all(|c| "imsU".contains(c));
        if !is_flags(on) || off.is_some_and(|off| off.is_empty() || !is_flags(off)) {
            return Err(BAD_FLAGS);
        }
        let is_group = self.rest.get(end..).is_some_and(|rest| rest.starts_with(':'));
        self.rest = self.after(end + 1);
        // Said twice is said; the crate wants each once.
        let off = off.unwrap_or_default();
        let mut flags: String = "imsU".chars().filter(|c| on.contains(*c) && !off.contains(*c)).collect();
        if !off.is_empty() {
            flags.push('-');
            flags.extend("imsU".chars().filter(|c| off.contains(*c)));
        }
        match is_group {
            true => self.begin(&format!("(?{flags}:")),
            false if flags.is_empty() => {}
            false => self.out.push_str(&format!("(?{flags})")),
        }
        Ok(())
    }

    fn repeat_counted(&mut self, was_repeated: bool, least: u32, most: Option<u32>) -> Result<(), &'static str> {
        if least > REPEAT_MAX || most.is_some_and(|most| most > REPEAT_MAX || most < least) {
            return Err(BAD_COUNT);
        }
        let end = most.map_or_else(String::new, |most| most.to_string());
        self.repeat(was_repeated, format!("{{{least},{end}}}"))
    }

    fn repeat(&mut self, was_repeated: bool, mut how: String) -> Result<(), &'static str> {
        if let Some(rest) = self.rest.strip_prefix('?') {
            self.rest = rest;
            how.push('?');
        }
        if was_repeated {
            return Err(STACKED);
        }
        let end = self.last_end.ok_or(NOTHING_TO_REPEAT)?;
        self.out.insert_str(end, &how);
        self.last_end = Some(end + how.len());
        self.is_repeated = true;
        Ok(())
    }

    fn escape(&mut self) -> Result<(), &'static str> {
        let c = self.rest.chars().nth(1).ok_or(TRAILING)?;
        match c {
            'A' | 'b' | 'B' | 'z' => {
                self.rest = self.after(2);
                self.thing(|out| {
                    out.push('\\');
                    out.push(c);
                });
            }
            'Q' => {
                let quoted = self.after(2);
                let (literals, rest) = quoted.split_once(r"\E").unwrap_or((quoted, ""));
                self.rest = rest;
                literals.chars().for_each(|c| self.literal(c));
            }
            _ => match self.kind()? {
                Some(kind) => self.one_of(&format!("[{kind}]&&")),
                None => {
                    let literal = self.escaped()?;
                    self.literal(literal);
                }
            },
        }
        Ok(())
    }

    /// `\d`, `\pL` and their like, as what may stand in a class.
    fn kind(&mut self) -> Result<Option<String>, &'static str> {
        let Some(c) = self.rest.strip_prefix('\\').and_then(|rest| rest.chars().next()) else { return Ok(None) };
        let ascii = match c.to_ascii_lowercase() {
            'd' => "0-9",
            's' => r"\t\n\x{C}\r\x{20}",
            'w' => "0-9A-Za-z_",
            'p' => return self.unicode_kind(c == 'P').map(Some),
            _ => return Ok(None),
        };
        self.rest = self.after(2);
        Ok(Some(if c.is_ascii_lowercase() { ascii.to_owned() } else { format!("[^{ascii}]") }))
    }

    fn unicode_kind(&mut self, mut is_other: bool) -> Result<String, &'static str> {
        let named = self.after(2);
        let (mut name, rest) = match named.strip_prefix('{') {
            Some(named) => named.split_once('}').ok_or(BAD_RANGE)?,
            None => named.split_at(named.chars().next().map_or(0, char::len_utf8)),
        };
        if let Some(others) = name.strip_prefix('^') {
            is_other = !is_other;
            name = others;
        }
        self.rest = rest;
        let of_ascii = KINDS.iter().find(|(known, _)| *known == name).map(|(_, of_ascii)| *of_ascii);
        Ok(match of_ascii {
            Some(some) if is_other => format!("[^{some}]"),
            Some(some) => some.to_owned(),
            None if !FOREIGN.split(' ').any(|known| known == name) => return Err(BAD_RANGE),
            None if is_other => ALL.to_owned(),
            None => NOTHING.to_owned(),
        })
    }

    /// A character that a backslash stands before.
    fn escaped(&mut self) -> Result<char, &'static str> {
        let mut rest = self.after(1).chars();
        let c = rest.next().ok_or(TRAILING)?;
        let is_octal = |c: char| c.is_digit(8);
        let found = match c {
            // One digit alone is a reference to a group, which RE2 does not have.
            '1'..='7' if !rest.as_str().starts_with(is_octal) => return Err(BAD_ESCAPE),
            '0'..='7' => {
                let digits = self.after(1);
                let len = digits.chars().take(3).take_while(|c| is_octal(*c)).count();
                rest = digits.get(len..).unwrap_or_default().chars();
                u32::from_str_radix(digits.get(..len).unwrap_or_default(), 8).ok().and_then(char::from_u32)
            }
            'x' => {
                let (digits, after) = match rest.as_str().strip_prefix('{') {
                    Some(braced) => braced.split_once('}').ok_or(BAD_ESCAPE)?,
                    None => rest.as_str().split_at_checked(2).ok_or(BAD_ESCAPE)?,
                };
                rest = after.chars();
                let is_hex = !digits.is_empty() && digits.chars().all(|c| c.is_ascii_hexdigit());
                is_hex.then(|| u32::from_str_radix(digits, 16).ok().and_then(char::from_u32)).flatten()
            }
            'a' => Some('\x07'),
            'f' => Some('\x0c'),
            'n' => Some('\n'),
            'r' => Some('\r'),
            't' => Some('\t'),
            'v' => Some('\x0b'),
            other if !other.is_ascii_alphanumeric() => Some(other),
            _ => None,
        };
        self.rest = rest.as_str();
        found.ok_or(BAD_ESCAPE)
    }

    fn class(&mut self) -> Result<(), &'static str> {
        self.rest = self.after(1);
        let mut class = String::from("[");
        if let Some(rest) = self.rest.strip_prefix('^') {
            self.rest = rest;
            class.push('^');
        }
        let mut is_first = true;
        loop {
            if self.rest.starts_with(']') && !is_first {
                break;
            }
            is_first = false;
            let named = self.rest.strip_prefix('[').filter(|named| named.starts_with(':'));
            if let Some((name, rest)) = named.and_then(|named| named.split_once(":]")) {
                let name = name.strip_prefix(':').ok_or(BAD_RANGE)?;
                if !POSIX.contains(&name.strip_prefix('^').unwrap_or(name)) {
                    return Err(BAD_RANGE);
                }
                self.rest = rest;
                class.push_str(&format!("[:{name}:]"));
            } else if let Some(kind) = self.kind()? {
                class.push_str(&kind);
            } else {
                let low = self.class_char()?;
                let is_range = self.rest.starts_with('-') && self.rest.len() > 1 && !self.rest.starts_with("-]");
                let mut high = low;
                if is_range {
                    self.rest = self.after(1);
                    high = self.class_char()?;
                    if high < low {
                        return Err(BAD_RANGE);
                    }
                }
                push_range(&mut class, low, high);
            }
        }
        self.rest = self.after(1);
        class.push(']');
        class.push_str("&&");
        self.one_of(&class);
        Ok(())
    }

    fn class_char(&mut self) -> Result<char, &'static str> {
        let c = self.rest.chars().next().ok_or(NO_BRACKET)?;
        if c == '\\' {
            return self.escaped();
        }
        self.rest = self.after(c.len_utf8());
        Ok(c)
    }
}

/// `{2}`, `{2,}` or `{2,3}`, and what comes behind it; anything else is a brace and what it says.
fn count(from: &str) -> Option<(u32, Option<u32>, &str)> {
    let (least, rest) = number(from.strip_prefix('{')?)?;
    if let Some(rest) = rest.strip_prefix('}') {
        return Some((least, Some(least), rest));
    }
    let rest = rest.strip_prefix(',')?;
    if let Some(rest) = rest.strip_prefix('}') {
        return Some((least, None, rest));
    }
    let (most, rest) = number(rest)?;
    Some((least, Some(most), rest.strip_prefix('}')?))
}

/// A number without leading zeros; one that is too large is larger than any that is allowed.
fn number(from: &str) -> Option<(u32, &str)> {
    let digits = from.len() - from.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (digits, rest) = from.split_at_checked(digits)?;
    let is_number = !digits.is_empty() && (digits.len() == 1 || !digits.starts_with('0'));
    is_number.then(|| (digits.parse().unwrap_or(u32::MAX), rest))
}

/// What a range has of ASCII, and what is a letter of that in another case: the crate folds each character of a range.
fn push_range(class: &mut String, low: char, high: char) {
    const LAST: char = '\x7f';
    let folded: Vec<char> = FOLDED.into_iter().filter(|c| (low..=high).contains(c)).collect();
    if low <= LAST {
        push_literal(class, low);
        class.push('-');
        push_literal(class, high.min(LAST));
    } else if folded.is_empty() {
        class.push_str(NOTHING);
    }
    folded.into_iter().for_each(|c| push_literal(class, c));
}

/// So that nothing around it makes anything else of it, in a class or not.
fn push_literal(out: &mut String, c: char) {
    if c.is_ascii_alphanumeric() {
        out.push(c);
    } else {
        out.push_str(&format!(r"\x{{{:X}}}", u32::from(c)));
    }
}

#[cfg(test)]
mod tests {
    use super::super::subscription::compile;

    #[test]
    fn expressions_are_taken_refused_and_matched_as_by_re2j() {
        let mut lines = include_str!("re2j.tsv").lines().filter(|line| !line.starts_with('#'));
        let names: Vec<&str> = lines.next().expect("names").split('\t').collect();
        for line in lines {
            let (said, pattern) = line.split_once('\t').expect("what it says, and of what");
            match (compile(pattern), said.strip_prefix("E ")) {
                (Err(ours), Some(theirs)) => assert_eq!(ours, theirs, "{pattern}"),
                (Ok(ours), None) => {
                    let matched: String =
                        names.iter().map(|name| if ours.is_match(name) { '1' } else { '0' }).collect();
                    assert_eq!(matched, said, "{pattern}");
                }
                (ours, _) => panic!("{pattern}: {ours:?}, and {said} by RE2/J"),
            }
        }
    }

    #[test]
    fn what_would_be_too_large_is_refused() {
        for large in ["(a{1000}){1000}".to_owned(), "a".repeat(40_000)] {
            assert_eq!(compile(&large).map(drop), Err("it is too large".to_owned()));
        }
    }
}
