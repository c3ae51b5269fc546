//! One notation for a message, made of our `Debug`, of the crate's, or of Kafka's JSON: keys without case and
//! underscores, no names of structs and newtypes, error codes as numbers.

use std::iter::Peekable;
use std::vec::IntoIter;

use corelog::wire::ErrorCode;

#[derive(Debug, PartialEq)]
enum Token {
    /// A quoted text with its quotes and, for bytes, its `b`.
    Quoted(String),
    /// A name, a number or a UUID.
    Word(String),
    Sign(char),
}

/// The common notation of `text`: tokens, joined by blanks.
pub fn canon(text: &str) -> String {
    let mut tokens = tokens(text).into_iter().peekable();
    let mut out: Vec<String> = Vec::new();
    let mut key = String::new();
    while let Some(token) = tokens.next() {
        let next = tokens.peek();
        match token {
            Token::Quoted(name) | Token::Word(name) if next == Some(&Token::Sign(':')) => {
                tokens.next();
                key = name.replace(['_', '"'], "").to_lowercase();
                match key.as_str() {
                    "unknowntaggedfields" => tokens.by_ref().take(2).for_each(drop),
                    "replicadirectoryid" => out.extend(["replicadirectoryid:".into(), uuid(&mut tokens)]),
                    _ => out.push(format!("{key}:")),
                }
            }
            // Several pieces, written as one field.
            Token::Word(name) if name == "RecordParts" => {
                let parts: Vec<_> = tokens.by_ref().take_while(|token| *token != Token::Sign(')')).collect();
                let bytes = parts.into_iter().find_map(|token| match token {
                    Token::Quoted(bytes) => Some(bytes),
                    _ => None,
                });
                out.push(bytes.unwrap_or("b\"\"".into()));
            }
            Token::Word(_) if matches!(next, Some(Token::Sign('{' | '('))) => {}
            Token::Word(value) if key.ends_with("errorcode") => out.push(error_code(value)),
            Token::Word(value) if value == "None" => out.push("null".into()),
            Token::Word(value) | Token::Quoted(value) => out.push(value),
            Token::Sign(',' | '(' | ')') => {}
            Token::Sign(sign) => out.push(sign.into()),
        }
    }
    out.join(" ")
}

fn error_code(value: String) -> String {
    let named = ErrorCode::NAMED.iter().find(|error| format!("{error:?}") == value);
    named.map_or(value, |error| error.code().to_string())
}

/// A UUID that may be written as sixteen numbers.
fn uuid(tokens: &mut Peekable<IntoIter<Token>>) -> String {
    match tokens.next() {
        Some(Token::Word(uuid)) => uuid.replace('-', ""),
        _ => tokens
            .take_while(|token| *token != Token::Sign(']'))
            .filter_map(|token| match token {
                Token::Word(number) => number.parse::<u8>().ok(),
                _ => None,
            })
            .map(|byte| format!("{byte:02x}"))
            .collect(),
    }
}

fn tokens(text: &str) -> Vec<Token> {
    let mut chars = text.chars().peekable();
    let mut tokens = Vec::new();
    while let Some(char) = chars.next() {
        if char == '"' || (char == 'b' && chars.peek() == Some(&'"')) {
            let mut quoted = String::from(char);
            if char == 'b' {
                quoted.extend(chars.next());
            }
            while let Some(char) = chars.next() {
                quoted.push(char);
                match char {
                    '\\' => quoted.extend(chars.next()),
                    '"' => break,
                    _ => {}
                }
            }
            tokens.push(Token::Quoted(quoted));
        } else if is_word(char) {
            let mut word = String::from(char);
            while let Some(char) = chars.next_if(|char| is_word(*char)) {
                word.push(char);
            }
            tokens.push(Token::Word(word));
        } else if !char.is_whitespace() {
            tokens.push(Token::Sign(char));
        }
    }
    tokens
}

fn is_word(char: char) -> bool {
    char.is_alphanumeric() || char == '_' || char == '-'
}

#[test]
fn the_three_notations_of_a_message_become_one() {
    let ours = r#"Fetch(R { error_code: None, name: Some("a b"), topic_id: None, rows: [Row { n: -1, records: RecordParts([b"x"]) }] })"#;
    let theirs = r#"R { error_code: 0, name: Some(TopicName("a b")), topic_id: None, rows: [Row { n: -1, records: b"x", unknown_tagged_fields: {} }], unknown_tagged_fields: {} }"#;
    let json = r#"{"errorCode":0,"name":"a b","topicId":null,"rows":[{"n":-1,"records":b"x"}]}"#;
    assert_eq!(canon(ours), canon(json));
    assert_eq!(canon(theirs), canon(json));
    assert_eq!(canon(json), r#"{ errorcode: 0 name: "a b" topicid: null rows: [ { n: -1 records: b"x" } ] }"#);
}
