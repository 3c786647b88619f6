//! What is wrong with the settings: place, value, remedy.

use std::fmt;

use super::Source;

/// One thing to mend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// `forebay.toml:3:7`, or ``flag `--listen` ``.
    pub place: String,
    /// What is wrong, with the value in backticks.
    pub text: String,
    /// What to do.
    pub hint: Option<String>,
}

/// Everything that is wrong, in the order of the file. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.place.is_empty() {
            write!(f, "{}", self.text)?;
        } else {
            write!(f, "{}: {}", self.place, self.text)?;
        }
        match &self.hint {
            Some(hint) => write!(f, "\n\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.0.iter().enumerate() {
            let gap = if at == 0 { "" } else { "\n\n" };
            write!(f, "{gap}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problem {}
impl std::error::Error for Problems {}

/// What is wrong with one value; the reader adds place and key.
#[derive(Debug)]
pub struct Wrong {
    /// Follows the key: ``is not a duration: `10` ``.
    pub(super) text: String,
    /// What to do.
    pub(super) hint: Option<String>,
    /// Where in the text, if narrower than the value.
    pub(super) at: Option<usize>,
    /// What is wrong besides, in other items of a list.
    pub(super) more: Vec<Wrong>,
}

impl Wrong {
    /// This is wrong.
    pub fn new(text: impl Into<String>) -> Wrong {
        Wrong { text: text.into(), hint: None, at: None, more: Vec::new() }
    }

    /// What to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Wrong {
        self.hint = Some(hint.into());
        self
    }

    /// Where in the text, if narrower than the value. What was said first stays.
    #[must_use]
    pub fn at(mut self, at: usize) -> Wrong {
        self.at = self.at.or(Some(at));
        self
    }
}

/// The place of byte `at` in a layer.
pub(super) fn place(source: &Source, text: &str, at: usize) -> String {
    match source {
        Source::Flag(flag) => format!("flag `{flag}`"),
        Source::Variable(name) => format!("environment `{name}`"),
        Source::File(file) => {
            let (line, column) = line_and_column(text, at);
            format!("{file}:{line}:{column}")
        }
    }
}

/// Both from 1; columns count characters.
pub(super) fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    (line, column)
}

/// Where the lines of a text begin: every value of a large file is asked for its line.
#[derive(Debug)]
pub(super) struct Lines(Vec<usize>);

impl Lines {
    pub(super) fn of(text: &str) -> Lines {
        Lines(memchr::memchr_iter(b'\n', text.as_bytes()).map(|end| end + 1).collect())
    }

    /// The line of byte `at`, from 1.
    pub(super) fn line(&self, at: usize) -> usize {
        self.0.partition_point(|start| *start <= at) + 1
    }
}

/// ``did you mean `x`?`` if one of `known` is near, else all of them.
pub fn suggest<'a>(word: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    let near = known.clone().map(|k| (distance(word, k), k)).min();
    match near {
        Some((far, k)) if far <= 1 + word.len() / 4 => format!("did you mean `{k}`?"),
        _ => format!("known are {}", list(known)),
    }
}

/// `` `a`, `b` and `c` ``.
pub(super) fn list<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let words: Vec<String> = words.map(|word| format!("`{word}`")).collect();
    match words.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
        None => "none".into(),
    }
}

/// Edits between two words (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (slot, y) in row.iter_mut().skip(1).zip(b.bytes()) {
            let best = (diagonal + usize::from(x != y)).min(*slot + 1).min(left + 1);
            diagonal = std::mem::replace(slot, best);
            left = best;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_suggested_and_a_far_one_lists_all() {
        let known = ["head_timeout", "idle_timeout"];
        assert_eq!(suggest("idel_timeout", known.into_iter()), "did you mean `idle_timeout`?");
        assert_eq!(
            suggest("colour", known.into_iter()),
            "known are `head_timeout` and `idle_timeout`"
        );
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
    }

    #[test]
    fn places_count_lines_and_characters_from_one() {
        assert_eq!(line_and_column("a\nbé = 1", 2), (2, 1));
        assert_eq!(line_and_column("a\nbé = 1", 5), (2, 3));
        assert_eq!(line_and_column("", 0), (1, 1));
        let text = "a\n\nb\r\nc";
        for at in 0..=text.len() {
            assert_eq!(Lines::of(text).line(at), line_and_column(text, at).0, "{at}");
        }
    }
}
