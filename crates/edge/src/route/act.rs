//! What a route does by itself: answers and edited fields.

use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION};

use super::Matched;
use crate::config::route::{Action, FieldEdit};
use crate::error::{Error, ErrorKind};
use crate::exchange::{Answer, Exchange, Head};

impl Matched<'_> {
    /// The route's own answer; `None` if it asks an origin.
    pub fn own_answer(&self, exchange: &Exchange) -> Option<Result<Answer, Error>> {
        self.own_answer_to(&exchange.head)
    }

    pub(super) fn own_answer_to(&self, head: &Head) -> Option<Result<Answer, Error>> {
        match &self.route().action {
            Action::Forward(_) | Action::Files(_) => None,
            Action::Redirect(status, _) => {
                let location = self.location(head).and_then(|to| HeaderValue::try_from(to).ok());
                let answer = |to| Answer::new("").with_status(*status).with(LOCATION, to);
                let invalid = || Error::new(ErrorKind::BadMessage, "the redirect is not valid");
                Some(location.map(answer).ok_or_else(invalid))
            }
            Action::Fixed(status, text) => {
                let plain = HeaderValue::from_static("text/plain; charset=utf-8");
                let answer = Answer::new(text.clone()).with_status(*status);
                Some(Ok(answer.with(CONTENT_TYPE, plain)))
            }
        }
    }
}

/// Edits fields, in the order of the settings.
pub fn edit(edits: &[FieldEdit], fields: &mut HeaderMap) {
    for edit in edits {
        match edit {
            FieldEdit::Set(name, value) => {
                fields.insert(name, value.clone());
            }
            FieldEdit::Add(name, value) => {
                fields.append(name, value.clone());
            }
            FieldEdit::Remove(name) => {
                fields.remove(name);
            }
        }
    }
}

/// Edits what goes to the client. Stored lines are turned into a map only if one of them changes, so that
/// a hit on a route that adds a field stays cheap.
pub fn edit_answer(edits: &[FieldEdit], answer: &mut Answer) {
    let touches = |edit| {
        let name = name(edit);
        holds(&answer.lines, name) || holds(answer.own.as_bytes(), name)
    };
    if edits.iter().any(touches) {
        answer.fields_mut();
    }
    edit(edits, &mut answer.fields);
}

fn name(edit: &FieldEdit) -> &HeaderName {
    match edit {
        FieldEdit::Set(name, _) | FieldEdit::Add(name, _) | FieldEdit::Remove(name) => name,
    }
}

fn holds(lines: &[u8], name: &HeaderName) -> bool {
    let name = name.as_str().as_bytes();
    let mut lines = lines.split(|byte| *byte == b'\n');
    lines.any(|line| line.strip_prefix(name).is_some_and(|rest| rest.first() == Some(&b':')))
}
