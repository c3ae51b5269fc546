//! Java's `.properties` files: lines of a key and a value. Pure.
//!
//! Invariant: as in Java, a line that ends with a lone backslash goes on in the next, `#` and `!` begin comments, and key
//! and value are parted by `=`, `:` or blanks.

/// A key and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Property {
    /// From 1; the first line, where there are several.
    pub line: usize,
    pub key: String,
    pub value: String,
}

/// `Err`: the line, from 1, and what is wrong with it.
pub fn parse(text: &str) -> Result<Vec<Property>, (usize, String)> {
    let mut properties = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((at, first)) = lines.next() {
        let mut logical = first.trim_start().to_owned();
        if logical.is_empty() || logical.starts_with(['#', '!']) {
            continue;
        }
        while goes_on(&logical) {
            logical.pop();
            match lines.next() {
                Some((_, more)) => logical.push_str(more.trim_start()),
                None => break,
            }
        }
        let line = at + 1;
        let (key, value) = part(&logical);
        let plain = |text: &str| unescaped(text).ok_or_else(|| (line, format!("a broken \\u in {text:?}")));
        properties.push(Property { line, key: plain(key)?, value: plain(value)? });
    }
    Ok(properties)
}

/// It ends with an odd number of backslashes: two of them are one that is meant.
fn goes_on(line: &str) -> bool {
    line.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1
}

/// Parts a line at the first `=`, `:` or blank that is not escaped.
fn part(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = line.char_indices().find(|(_, c)| {
        let ends = !escaped && (*c == '=' || *c == ':' || c.is_whitespace());
        escaped = *c == '\\' && !escaped;
        ends
    });
    let Some((end, _)) = end else { return (line, "") };
    let rest = line[end..].trim_start();
    (&line[..end], rest.strip_prefix(['=', ':']).unwrap_or(rest).trim_start())
}

fn unescaped(text: &str) -> Option<String> {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            plain.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => plain.push('\n'),
            Some('t') => plain.push('\t'),
            Some('r') => plain.push('\r'),
            Some('f') => plain.push('\u{c}'),
            Some('u') => {
                let digits: String = chars.by_ref().take(4).collect();
                let code = u32::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 4)?;
                plain.push(char::from_u32(code)?);
            }
            Some(other) => plain.push(other),
            None => {}
        }
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(usize, String, String)> {
        parse(text).expect("properties").into_iter().map(|p| (p.line, p.key, p.value)).collect()
    }

    #[test]
    fn keys_and_values_are_parted_as_java_does() {
        let text = "# a comment\n! another\n\n a = b\nc:d\ne f g\nh\ni==j\n\\=k\\ l = m\nempty=\n";
        let pair = |line, key: &str, value: &str| (line, key.to_owned(), value.to_owned());
        let wanted = [
            pair(4, "a", "b"),
            pair(5, "c", "d"),
            pair(6, "e", "f g"),
            pair(7, "h", ""),
            pair(8, "i", "=j"),
            pair(9, "=k l", "m"),
            pair(10, "empty", ""),
        ];
        assert_eq!(pairs(text), wanted);
    }

    #[test]
    fn a_line_goes_on_after_a_lone_backslash() {
        let text = "listeners=A://:1,\\\n    B://:2\npath=C:\\\\data\\\\\nlast=x\\";
        let values: Vec<_> = pairs(text).into_iter().map(|(line, _, value)| (line, value)).collect();
        assert_eq!(values, [(1, "A://:1,B://:2".to_owned()), (3, "C:\\data\\".to_owned()), (4, "x".to_owned())]);
    }

    #[test]
    fn escapes_are_read_and_broken_ones_told_with_their_line() {
        assert_eq!(pairs("a=\\u00e9\\t\\z")[0].2, "é\tz");
        assert_eq!(parse("a=b\nc=\\u00g0").expect_err("broken").0, 2);
        assert_eq!(parse("c=\\ud800").expect_err("half of a pair").0, 1);
    }
}
