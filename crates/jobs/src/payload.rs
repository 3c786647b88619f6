//! The text of a job, changed where it must be and nowhere else.
//!
//! In: the bytes that some client of some version pushed. Out: the same bytes with some fields set or gone.
//! What is not named stays as it was written, byte for byte: numbers that no float holds, escapes, order,
//! fields that nobody here knows. Whoever removes a job by its value must find it.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use serde::Deserializer;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

/// Fields of a job in the order in which they stand there.
///
/// ```
/// use forebay_jobs::payload::Fields;
/// let mut fields = Fields::read(br#"{"retry":3, "big":12345678901234567890123, "f":1.50}"#)?;
/// fields.set("retry", "false");
/// assert_eq!(fields.write(), r#"{"retry":false,"big":12345678901234567890123,"f":1.50}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug)]
pub struct Fields<'a>(Vec<(Cow<'a, str>, Text<'a>)>);

/// The value of a field as JSON: as it was written, or as it is set.
type Text<'a> = Cow<'a, str>;

impl<'a> Fields<'a> {
    /// Reads the fields of a JSON object.
    ///
    /// ```
    /// # use forebay_jobs::payload::Fields;
    /// assert!(Fields::read(br#"{"class":"A"}"#).is_ok());
    /// assert!(Fields::read(b"[1]").is_err());
    /// ```
    ///
    /// # Errors
    /// It is no JSON, or no object.
    pub fn read(bytes: &'a [u8]) -> serde_json::Result<Fields<'a>> {
        let mut json = serde_json::Deserializer::from_slice(bytes);
        let fields = json.deserialize_map(Reader)?;
        json.end()?;
        Ok(fields)
    }

    /// The JSON of a field. Of one that is there twice the last counts, as for Ruby.
    ///
    /// ```
    /// # use forebay_jobs::payload::Fields;
    /// let fields = Fields::read(br#"{"a":"x","a":[1]}"#)?;
    /// assert_eq!((fields.find("a"), fields.find("b")), (Some("[1]"), None));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn find(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(it, _)| it == name).map(|(_, text)| &**text)
    }

    /// Names of the fields, in the order in which they stand there.
    ///
    /// ```
    /// # use forebay_jobs::payload::Fields;
    /// let fields = Fields::read(br#"{"b":1,"a":2}"#)?;
    /// assert_eq!(fields.names().collect::<Vec<_>>(), ["b", "a"]);
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| &**name)
    }

    /// Sets a field to this JSON, where it stood, or at the end. It is not looked at whether that is JSON.
    ///
    /// ```
    /// # use forebay_jobs::payload::Fields;
    /// let mut fields = Fields::read(br#"{"a":1,"b":2}"#)?;
    /// fields.set("a", "[3]");
    /// fields.set("c", "null");
    /// assert_eq!(fields.write(), r#"{"a":[3],"b":2,"c":null}"#);
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn set(&mut self, name: &'a str, json: impl Into<Cow<'a, str>>) {
        let json = json.into();
        match self.0.iter().rposition(|(it, _)| it == name) {
            Some(at) => {
                if let Some((_, text)) = self.0.get_mut(at) {
                    *text = json;
                }
            }
            None => self.0.push((name.into(), json)),
        }
    }

    /// Sets a field to a text.
    ///
    /// ```
    /// # use forebay_jobs::payload::Fields;
    /// let mut fields = Fields::read(b"{}")?;
    /// fields.set_text("error_message", "said \"421\"");
    /// assert_eq!(fields.write(), r#"{"error_message":"said \"421\""}"#);
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn set_text(&mut self, name: &'a str, text: &str) {
        self.set(name, serde_json::Value::from(text).to_string());
    }

    /// Takes a field out, however often it is there.
    ///
    /// ```
    /// # use forebay_jobs::payload::Fields;
    /// let mut fields = Fields::read(br#"{"a":1,"b":2,"a":3}"#)?;
    /// fields.remove("a");
    /// assert_eq!(fields.write(), r#"{"b":2}"#);
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(it, _)| it != name);
    }

    /// As a JSON object.
    ///
    /// ```
    /// # use forebay_jobs::payload::Fields;
    /// let fields = Fields::read(br#"{ "a": [1,  2] }"#)?;
    /// assert_eq!(fields.write(), r#"{"a":[1,  2]}"#); // blanks within a value stay
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn write(&self) -> Bytes {
        let len: usize = self.0.iter().map(|(name, text)| name.len() + text.len() + 4).sum();
        let mut json = String::with_capacity(len + 2);
        json.push('{');
        for (n, (name, text)) in self.0.iter().enumerate() {
            if n > 0 {
                json.push(',');
            }
            json.push_str(&serde_json::Value::from(&**name).to_string());
            json.push(':');
            json.push_str(text);
        }
        json.push('}');
        json.into()
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a job: an object of JSON")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Fields<'de>, M::Error> {
        let mut fields = Vec::with_capacity(12);
        while let Some(name) = map.next_key::<Name<'de>>()? {
            let text: &'de RawValue = map.next_value()?;
            fields.push((name.0, Cow::Borrowed(text.get())));
        }
        Ok(Fields(fields))
    }
}

/// A name that is borrowed where it has no escapes.
#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn changed(json: &str, change: impl FnOnce(&mut Fields<'_>)) -> String {
        let mut fields = Fields::read(json.as_bytes()).unwrap();
        change(&mut fields);
        String::from_utf8(fields.write().to_vec()).unwrap()
    }

    #[test]
    fn what_is_not_named_stays_as_it_was_written() {
        let json = r#"{"retry":3,"big":123456789012345678901234567890,"f":1.50e+3,"\u0061\"":"\u00e9\/","args":[1, {"z":1,"a":2}]}"#;
        let after = changed(json, |fields| fields.set("retry_count", "0"));
        assert_eq!(
            after,
            r#"{"retry":3,"big":123456789012345678901234567890,"f":1.50e+3,"a\"":"\u00e9\/","args":[1, {"z":1,"a":2}],"retry_count":0}"#
        );
    }

    #[test]
    fn a_field_is_set_where_it_stands_and_removed_wherever_it_is() {
        assert_eq!(
            changed(r#"{"a":1,"b":2}"#, |it| it.set_text("a", "x\"y")),
            r#"{"a":"x\"y","b":2}"#
        );
        assert_eq!(changed(r#"{"a":1,"b":2,"a":3}"#, |it| it.remove("a")), r#"{"b":2}"#);
        assert_eq!(changed(r#"{"a":1,"a":3}"#, |it| it.set("a", "4")), r#"{"a":1,"a":4}"#);
        assert_eq!(changed("{}", |it| it.set("a", "null")), r#"{"a":null}"#);
    }

    #[test]
    fn of_a_field_that_is_there_twice_the_last_counts() {
        let fields = Fields::read(br#"{"a":1,"a":3}"#).unwrap();
        assert_eq!((fields.find("a"), fields.find("b")), (Some("3"), None));
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for json in ["", "[]", "1", "{", r#"{"a":}"#, "{} x", "\u{feff}{}", r#"{"a":1"#] {
            assert!(Fields::read(json.as_bytes()).is_err(), "{json}");
        }
        assert!(Fields::read(b"{\"a\":\"\xff\"}").is_err());
    }

    #[test]
    fn depth_costs_no_stack() {
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(1_000_000), "]".repeat(1_000_000));
        assert_eq!(changed(&deep, |_| ()), deep);
    }

    proptest! {
        #[test]
        fn reading_never_panics_and_writing_is_read_again(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(fields) = Fields::read(&bytes) {
                prop_assert!(Fields::read(&fields.write()).is_ok());
            }
        }
    }
}
