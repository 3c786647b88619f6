//! Arguments: a Rust value as the list that Sidekiq calls `perform` with, and back.
//!
//! | a Rust type | on the wire | also read |
//! |---|---|---|
//! | `struct Welcome { user: u64, name: String }` | `[{"user":7,"name":"x"}]` | `[7,"x"]`, as Ruby pushes |
//! | `struct Welcome(u64, String)` | `[7,"x"]` | |
//! | `struct Welcome(u64)` | `[7]` | |
//! | `struct Welcome;` | `[]` | whatever: it takes none |
//! | an enum | `[{"User":7}]` | |
//!
//! Which one it is follows from the type alone and not from what came: a list is never taken for its first
//! element.

use serde::de::{DeserializeOwned, Deserializer, Error as _, Visitor};
use serde::{Serialize, forward_to_deserialize_any};
use serde_json::value::RawValue;

/// The list of arguments.
pub(crate) fn write(value: &(impl Serialize + ?Sized)) -> serde_json::Result<String> {
    let json = serde_json::to_string(value)?;
    Ok(match json.as_bytes().first() {
        Some(b'[') => json,
        _ if json == "null" => "[]".to_owned(),
        _ => format!("[{json}]"),
    })
}

/// Reads the list of arguments.
pub(crate) fn read<T: DeserializeOwned>(list: &[u8]) -> serde_json::Result<T> {
    T::deserialize(Args(list))
}

/// Asks the type what it is, and gives it the list or its only element.
struct Args<'de>(&'de [u8]);

impl<'de> Args<'de> {
    fn list(&self) -> serde_json::Result<Vec<&'de RawValue>> {
        serde_json::from_slice(self.0)
    }

    fn only(&self) -> serde_json::Result<&'de str> {
        match self.list()?[..] {
            [one] => Ok(one.get()),
            ref all => Err(serde_json::Error::custom(format_args!(
                "one argument is taken, and `{}` are given",
                all.len()
            ))),
        }
    }
}

/// Hands a call on to `serde_json`, with the whole list or its only element.
macro_rules! hand_on {
    ($($method:ident($($name:ident: $kind:ty),*) from $what:ident;)*) => {
        $(fn $method<V: Visitor<'de>>(self, $($name: $kind,)* visitor: V) -> serde_json::Result<V::Value> {
            hand_on!(@ $what self de => de.$method($($name,)* visitor))
        })*
    };
    (@ list $self:ident $de:ident => $call:expr) => {{
        let mut json = serde_json::Deserializer::from_slice($self.0);
        let $de = &mut json;
        $call
    }};
    (@ only $self:ident $de:ident => $call:expr) => {{
        let mut json = serde_json::Deserializer::from_str($self.only()?);
        let $de = &mut json;
        $call
    }};
}

impl<'de> Deserializer<'de> for Args<'de> {
    type Error = serde_json::Error;

    hand_on! {
        deserialize_any() from only;
        deserialize_seq() from list;
        deserialize_tuple(len: usize) from list;
        deserialize_tuple_struct(name: &'static str, len: usize) from list;
        deserialize_map() from only;
        deserialize_enum(name: &'static str, variants: &'static [&'static str]) from only;
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> serde_json::Result<V::Value> {
        // `[{…}]` is ours; `[7,"x"]` is a Ruby class of the same name with positional arguments.
        let json = match self.list()?[..] {
            [one] if one.get().starts_with('{') => one.get().as_bytes(),
            _ => self.0,
        };
        serde_json::Deserializer::from_slice(json).deserialize_struct(name, fields, visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> serde_json::Result<V::Value> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> serde_json::Result<V::Value> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> serde_json::Result<V::Value> {
        visitor.visit_unit()
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> serde_json::Result<V::Value> {
        match self.list()?[..] {
            [] => visitor.visit_none(),
            [one] if one.get() == "null" => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Named {
        user: u64,
        #[serde(default)]
        name: Option<String>,
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Positions(u64, String);
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Wraps<T>(T);
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Nothing;
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Choice {
        Plain,
        One(u8),
        Two { a: u8 },
    }

    #[track_caller]
    fn both_ways<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T, json: &str) {
        assert_eq!(write(value).unwrap(), json);
        assert_eq!(read::<T>(json.as_bytes()).unwrap(), *value);
    }

    #[test]
    fn each_kind_of_type_comes_back() {
        both_ways(&Named { user: 7, name: None }, r#"[{"user":7,"name":null}]"#);
        both_ways(&Positions(7, "x".into()), r#"[7,"x"]"#);
        both_ways(&Wraps(7_u64), "[7]");
        both_ways(&Wraps("x".to_owned()), r#"["x"]"#);
        both_ways(&Wraps(Named { user: 7, name: None }), r#"[{"user":7,"name":null}]"#);
        both_ways(&Nothing, "[]");
        both_ways(&Choice::Plain, r#"["Plain"]"#);
        both_ways(&Choice::One(1), r#"[{"One":1}]"#);
        both_ways(&Choice::Two { a: 1 }, r#"[{"Two":{"a":1}}]"#);
        both_ways(&(7_u8, true), "[7,true]");
    }

    #[test]
    fn a_list_is_never_taken_for_its_first_element() {
        both_ways(&Wraps(vec![1_u8]), "[1]");
        both_ways(&Wraps(vec![vec![1_u8]]), "[[1]]");
        both_ways(&Wraps(Vec::<u8>::new()), "[]");
        both_ways(&Wraps(vec![serde_json::json!([1])]), "[[1]]");
    }

    #[test]
    fn positions_of_ruby_are_read_as_fields_in_their_order() {
        let read = read::<Named>(br#"[7,"x"]"#).unwrap();
        assert_eq!(read, Named { user: 7, name: Some("x".into()) });
    }

    #[test]
    fn what_does_not_fit_is_said() {
        let error = |json: &str| read::<Wraps<u8>>(json.as_bytes()).unwrap_err().to_string();
        assert_eq!(error("[1,2]"), "one argument is taken, and `2` are given");
        assert!(error("[\"x\"]").contains("invalid type"), "{}", error("[\"x\"]"));
        assert!(read::<Positions>(b"[1]").is_err());
        assert!(read::<Named>(b"[]").is_err());
    }
}
