//! Licence expressions (SPDX), as far as crates write them.

/// True when the expression can be met with the allowed licences.
///
/// `None` when it does not parse, which nobody may take for a yes.
pub(super) fn is_met(expression: &str, allowed: &[String]) -> Option<bool> {
    // Before SPDX, crates wrote `MIT/Apache-2.0` for "or".
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut words = Words { rest: spaced.split_whitespace().collect(), at: 0 };
    let met = words.any_of(allowed)?;
    (words.at == words.rest.len()).then_some(met)
}

struct Words<'a> {
    rest: Vec<&'a str>,
    at: usize,
}

impl<'a> Words<'a> {
    fn any_of(&mut self, allowed: &[String]) -> Option<bool> {
        let mut met = self.all_of(allowed)?;
        while self.takes("OR") {
            met |= self.all_of(allowed)?;
        }
        Some(met)
    }

    fn all_of(&mut self, allowed: &[String]) -> Option<bool> {
        let mut met = self.one(allowed)?;
        while self.takes("AND") {
            met &= self.one(allowed)?;
        }
        Some(met)
    }

    fn one(&mut self, allowed: &[String]) -> Option<bool> {
        if self.takes("(") {
            let met = self.any_of(allowed)?;
            return self.takes(")").then_some(met);
        }
        let name = self.next()?;
        let name = if self.takes("WITH") {
            format!("{name} WITH {}", self.next()?)
        } else {
            name.to_owned()
        };
        Some(allowed.contains(&name))
    }

    fn next(&mut self) -> Option<&'a str> {
        let word = *self.rest.get(self.at)?;
        self.at += 1;
        (!["AND", "OR", "WITH", ")"].contains(&word)).then_some(word)
    }

    fn takes(&mut self, word: &str) -> bool {
        let is_next = self.rest.get(self.at) == Some(&word);
        self.at += usize::from(is_next);
        is_next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_met_by_what_they_ask_for() {
        let allowed: Vec<String> =
            ["MIT", "ISC", "Apache-2.0"].iter().map(|name| (*name).to_owned()).collect();
        for (expression, met) in [
            ("MIT", Some(true)),
            ("GPL-3.0-only", Some(false)),
            ("MIT/GPL-3.0-only", Some(true)),
            ("ISC AND (GPL-3.0-only OR MIT)", Some(true)),
            ("ISC AND GPL-3.0-only OR GPL-2.0-only", Some(false)),
            ("Apache-2.0 WITH LLVM-exception OR MIT", Some(true)),
            ("Apache-2.0 WITH LLVM-exception", Some(false)),
            ("", None),
            ("MIT OR", None),
            ("(MIT", None),
            ("MIT ISC", None),
        ] {
            assert_eq!(is_met(expression, &allowed), met, "{expression}");
        }
    }
}
