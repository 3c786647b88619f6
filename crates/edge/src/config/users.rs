//! `basic_auth` of a route: users and the hashes of their passwords.

use std::collections::BTreeMap;
use std::fmt;

/// Realm, where the settings have none.
pub const REALM: &str = "restricted";

/// Who may use a route, by name and password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BasicAuth {
    /// Users.
    pub users: Users,
    /// What a browser shows when it asks.
    pub realm: String,
    /// The origin is shown the credentials too.
    pub forwards: bool,
}

/// Names and hashes. Not shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Users(BTreeMap<String, String>);

impl Users {
    /// Reads a file as `htpasswd -B` writes it: `name:hash` a line, hashes of bcrypt. Says which line is wrong.
    pub fn parse(text: &str) -> Result<Users, (usize, &'static str)> {
        let mut users = BTreeMap::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let Some((name, hash)) = line.split_once(':') else {
                return Err((number, "is not `name:hash`"));
            };
            let is_hash = hash.starts_with("$2") && hash.parse::<bcrypt::HashParts>().is_ok();
            if name.is_empty() || !is_hash {
                return Err((number, "has no hash of bcrypt"));
            }
            users.insert(name.to_owned(), hash.to_owned());
        }
        if users.is_empty() { Err((0, "has no user")) } else { Ok(Users(users)) }
    }

    /// The hash of a user.
    pub fn hash(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A hash that takes as long to check as another.
    pub fn any_hash(&self) -> &str {
        self.0.values().next().map_or("", String::as_str)
    }
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Users({})", self.0.len())
    }
}
