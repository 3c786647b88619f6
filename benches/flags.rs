//! What the instruments of every benchmark are told, and what they say: `--name value` pairs, and a line.

use std::collections::HashMap;
use std::str::FromStr;

/// `--name value` pairs.
pub(crate) struct Flags(HashMap<String, String>);

impl Flags {
    pub(crate) fn read(mut args: impl Iterator<Item = String>) -> Result<Flags, String> {
        let mut pairs = HashMap::new();
        while let Some(name) = args.next() {
            let name = name.strip_prefix("--").ok_or(format!("expected a flag, got `{name}`"))?;
            let value = args.next().ok_or(format!("`--{name}` needs a value"))?;
            pairs.insert(name.to_owned(), value);
        }
        Ok(Flags(pairs))
    }

    /// The value of a flag that must be there.
    pub(crate) fn value<T: FromStr>(&self, name: &str) -> Result<T, String> {
        let text = self.0.get(name).ok_or(format!("`--{name}` is missing"))?;
        text.parse().map_err(|_| format!("`--{name}` cannot be `{text}`"))
    }

    /// The value of a flag, or `default`.
    pub(crate) fn value_or<T: FromStr>(&self, name: &str, default: T) -> Result<T, String> {
        if self.0.contains_key(name) { self.value(name) } else { Ok(default) }
    }
}

/// Prints a result: what the caller reads.
#[expect(clippy::print_stdout, reason = "the answer to the caller is data on stdout")]
pub(crate) fn say(line: &str) {
    println!("{line}");
}
