//! `early_hints` of a route: what clients are told before the answer.

use toml::Spanned;
use toml::de::DeValue;

use super::problem::Wrong;
use super::reader::{Reader, Section};
use super::setting::{Setting, word};
use crate::config::route::{Action, EarlyHints};

const KEY: &str = "early_hints";
const WORDS: [(&str, EarlyHints); 3] =
    [("pass", EarlyHints::Pass), ("make", EarlyHints::Make), ("off", EarlyHints::Off)];

impl Setting for EarlyHints {
    fn read(value: &Spanned<DeValue<'_>>) -> Result<EarlyHints, Wrong> {
        word(value, &WORDS)
    }

    fn show(&self) -> String {
        let word = WORDS.iter().find(|(_, meaning)| meaning == self).map_or("", |(word, _)| word);
        format!("\"{word}\"")
    }
}

pub(super) fn read<'t>(
    reader: &mut Reader<'t>,
    section: &Section<'t>,
    action: &Action,
) -> EarlyHints {
    let hints = reader.get(section, KEY, EarlyHints::default());
    if let Some(given) = section.given(KEY)
        && !matches!(action, Action::Forward(_))
    {
        let wrong = Wrong::new("has no effect on a route that asks no origin");
        reader.refuse(section, KEY, given, wrong.hint("leave it out, or write `origin`"));
    }
    hints
}
