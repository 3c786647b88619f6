//! Dictionaries of Structured Fields (RFC 9651 §4.2.2), as targeted cache fields are written.
//!
//! Strict as that RFC demands: one character out of place and there is no dictionary at all.

/// A value, as far as cache directives care.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// An integer of at most 15 digits.
    Integer(i64),
    /// `?0`, `?1`, or a key alone.
    Boolean(bool),
    /// A string, unescaped.
    String(String),
    /// A token.
    Token(String),
    /// Decimal, byte sequence, date, display string or inner list: well formed, but no directive
    /// uses it.
    Other,
}

/// Members in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Dictionary(Vec<(String, Value)>);

impl Dictionary {
    /// The value of a key: of equal ones the last counts (§4.2.2).
    pub fn value(&self, key: &str) -> Option<&Value> {
        self.0.iter().rev().find(|(known, _)| known == key).map(|(_, value)| value)
    }

    /// True if there is no member.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Parses a dictionary; several lines are joined by a comma first. `None` if it does not parse.
pub fn parse(text: &[u8]) -> Option<Dictionary> {
    let mut input = Input { text, at: 0 };
    let mut members: Vec<(String, Value)> = Vec::new();
    input.skip(b" ");
    while !input.is_done() {
        let key = input.key()?;
        let value = if input.take(b'=') { input.member()? } else { Value::Boolean(true) };
        input.parameters()?;
        members.push((key, value));
        input.skip(b" \t");
        if input.is_done() {
            break;
        }
        if !input.take(b',') {
            return None;
        }
        input.skip(b" \t");
        if input.is_done() {
            return None; // a comma at the end
        }
    }
    Some(Dictionary(members))
}

struct Input<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Input<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn is_done(&self) -> bool {
        self.at >= self.text.len()
    }

    fn take(&mut self, byte: u8) -> bool {
        let is_there = self.peek() == Some(byte);
        self.at += usize::from(is_there);
        is_there
    }

    fn skip(&mut self, any_of: &[u8]) {
        self.take_while(|byte| any_of.contains(&byte));
    }

    fn take_while(&mut self, is_part: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let length = rest.iter().position(|byte| !is_part(*byte)).unwrap_or(rest.len());
        self.at += length;
        rest.get(..length).unwrap_or_default()
    }

    fn key(&mut self) -> Option<String> {
        self.peek().filter(|byte| byte.is_ascii_lowercase() || *byte == b'*')?;
        let key = self.take_while(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.*".contains(&byte)
        });
        text(key)
    }

    fn member(&mut self) -> Option<Value> {
        if self.take(b'(') { self.inner_list() } else { self.item() }
    }

    fn inner_list(&mut self) -> Option<Value> {
        loop {
            self.skip(b" ");
            if self.take(b')') {
                return Some(Value::Other);
            }
            self.item()?;
            self.parameters()?;
            if !matches!(self.peek()?, b' ' | b')') {
                return None;
            }
        }
    }

    fn parameters(&mut self) -> Option<()> {
        while self.take(b';') {
            self.skip(b" ");
            self.key()?;
            if self.take(b'=') {
                self.item()?;
            }
        }
        Some(())
    }

    fn item(&mut self) -> Option<Value> {
        match self.peek()? {
            b'-' | b'0'..=b'9' => self.number(),
            b'"' => self.string(),
            b'?' => self.boolean(),
            b':' => self.bytes(),
            b'@' => {
                self.at += 1;
                matches!(self.number()?, Value::Integer(_)).then_some(Value::Other)
            }
            b'%' => self.display_string(),
            byte if byte.is_ascii_alphabetic() || byte == b'*' => {
                let is_part =
                    |byte: u8| byte.is_ascii_alphanumeric() || b":/!#$%&'*+-.^_`|~".contains(&byte);
                text(self.take_while(is_part)).map(Value::Token)
            }
            _ => None,
        }
    }

    fn number(&mut self) -> Option<Value> {
        let is_negative = self.take(b'-');
        let whole = self.take_while(|byte| byte.is_ascii_digit());
        if whole.is_empty() {
            return None;
        }
        if self.take(b'.') {
            let part = self.take_while(|byte| byte.is_ascii_digit());
            let is_decimal = whole.len() <= 12 && (1..=3).contains(&part.len());
            return is_decimal.then_some(Value::Other);
        }
        if whole.len() > 15 {
            return None;
        }
        let value = whole.iter().fold(0i64, |sum, digit| sum * 10 + i64::from(digit - b'0'));
        Some(Value::Integer(if is_negative { -value } else { value }))
    }

    fn string(&mut self) -> Option<Value> {
        self.at += 1;
        let mut out = String::new();
        loop {
            let mut byte = self.peek()?;
            self.at += 1;
            match byte {
                b'"' => return Some(Value::String(out)),
                b'\\' => {
                    byte = self.peek().filter(|byte| matches!(byte, b'"' | b'\\'))?;
                    self.at += 1;
                }
                0x20..=0x7e => {}
                _ => return None,
            }
            out.push(char::from(byte));
        }
    }

    fn boolean(&mut self) -> Option<Value> {
        self.at += 1;
        match self.peek()? {
            digit @ (b'0' | b'1') => {
                self.at += 1;
                Some(Value::Boolean(digit == b'1'))
            }
            _ => None,
        }
    }

    fn bytes(&mut self) -> Option<Value> {
        self.at += 1;
        self.take_while(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte));
        self.take(b':').then_some(Value::Other)
    }

    fn display_string(&mut self) -> Option<Value> {
        self.at += 1;
        if !self.take(b'"') {
            return None;
        }
        self.take_while(|byte| matches!(byte, 0x20..=0x7e) && byte != b'"');
        self.take(b'"').then_some(Value::Other)
    }
}

fn text(bytes: &[u8]) -> Option<String> {
    std::str::from_utf8(bytes).ok().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn well_formed_dictionaries_are_read() {
        let read =
            parse(b" max-age=60;x=1, private=?0,a=(1 \"b\");c,  no-store, max-age=-5, s=\"a\\\"\"");
        let read = read.expect("well formed");
        let value = |key: &str| read.value(key).cloned();
        assert_eq!(value("max-age"), Some(Value::Integer(-5)), "the last one");
        assert_eq!(value("private"), Some(Value::Boolean(false)));
        assert_eq!(value("a"), Some(Value::Other));
        assert_eq!(value("no-store"), Some(Value::Boolean(true)));
        assert_eq!(value("s"), Some(Value::String("a\"".to_owned())));
        assert_eq!(value("c"), None, "a parameter is no member");
        assert_eq!(parse(b""), Some(Dictionary::default()));
        for other in ["a=1.5", "a=:aGk=:", "a=@1659578233", "a=%\"f%c3%bc\"", "a=()"] {
            let read = parse(other.as_bytes()).expect("well formed");
            assert_eq!(read.value("a"), Some(&Value::Other), "`{other}`");
        }
    }

    #[test]
    fn one_character_out_of_place_is_no_dictionary() {
        for text in [
            "max-age=10000, &&&&&",
            "MaX-aGe=3600",
            "max-age =1",
            "max-age= 1",
            "max-age=",
            "max-age=60,",
            ",max-age=60",
            "max-age=60 no-store",
            "a=1.",
            "a=1.2345",
            "a=1234567890123456",
            "a=\"open",
            "a=\"\\x\"",
            "a=(1",
            "a=?2",
            "a=:b",
            "a=@1.5",
            "a;",
            "a=\"\u{e9}\"",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "`{text}`");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(text in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&text);
        }

        #[test]
        fn integers_are_read_back(number in -999_999_999_999_999i64..=999_999_999_999_999) {
            let read = parse(format!("a={number}").as_bytes());
            prop_assert_eq!(read.unwrap().value("a").cloned(), Some(Value::Integer(number)));
        }
    }
}
