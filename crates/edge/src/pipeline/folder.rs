//! Answers from a folder: as a fill, whose files are answered from the store from then on, and past the
//! store for what is too large for it.

use std::sync::Arc;

use forebay_signals::clock;
use http::header::{
    ACCEPT_RANGES, ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG,
    HeaderMap, LOCATION, RANGE,
};
use http::{HeaderValue, Method, StatusCode, Uri};

use super::closing::{Notes, put_page};
use super::fetch::{Fill, clean};
use super::pour::hand_over;
use crate::cache::Head;
use crate::cache::fill::{FillLead, Keep};
use crate::cache::reply;
use crate::cache::rules::conditional::{Validators, is_not_modified, range_applies};
use crate::cache::rules::range::{self, Selection};
use crate::cache::rules::targeted::SURROGATE_CONTROL;
use crate::cache::rules::{AnswerView, Arrival, Grant, RequestView, may_store};
use crate::cache::store::{Object, Parts};
use crate::compress::{self, Preferences, Shared, encoded_fields};
use crate::edge::{Edge, Site};
use crate::error::Error;
use crate::exchange::{Answer, Body, Encoding, Exchange, Head as Request, Room};
use crate::files::{Contents, Folder, Found, Opened, tag_for_once};

/// For how long the store answers with a file unasked: whoever deploys expects to see it, and one look a
/// second costs nothing. Nothing is served stale meanwhile (`+0`).
const LOOKED_AT: HeaderValue = HeaderValue::from_static("max-age=1+0");

impl Fill {
    /// Looks a file up for everybody.
    pub(super) async fn look_up(mut self, folder: &Folder, path: &str, lead: FillLead<Head>) {
        let asked = clock::now();
        let found = match folder.find(path).await {
            Ok(found) => found,
            Err(error) => return lead.fail(&error),
        };
        let arrival = Arrival { asked, answered: clock::now(), wall: clock::wall() };
        let file = match found {
            Found::File(file) => file,
            other => {
                let answer = without_file(&self.site, other);
                return self.answered(lead, answer, &arrival).await;
            }
        };
        let mut answer = Answer::new(Body::Empty);
        answer.fields = file.fields.clone();
        answer.fields.insert(SURROGATE_CONTROL, LOOKED_AT);
        if let Some(object) = self.held.confirmed_by(&answer.fields) {
            return self.confirmed(lead, &object, &answer, &arrival);
        }
        if file.length() > self.edge.cache.memory.max_object_bytes() {
            answer.body = file.stream(0..file.length());
            return self.answered(lead, answer, &arrival).await;
        }
        let contents = match file.read().await {
            Ok(contents) => contents,
            Err(error) => return lead.fail(&error),
        };
        if !contents.is_as_found {
            answer.fields.insert(ETAG, tag_for_once(arrival.wall));
        }
        if let Some(object) = self.take_in(&answer.fields, &contents, &arrival) {
            let (status, ticket) = (StatusCode::OK, self.ticket);
            let head = Head::Stored { object, rule: None, status, ticket };
            return hand_over(lead, head, Keep::Share);
        }
        answer.body = contents.whole.into();
        self.answered(lead, answer, &arrival).await;
    }

    /// Stores a file with what lies beside it. Everybody is then answered from the store.
    fn take_in(
        &mut self,
        fields: &HeaderMap,
        contents: &Contents,
        arrival: &Arrival,
    ) -> Option<Arc<Object>> {
        let status = StatusCode::OK;
        let request = RequestView { method: &Method::GET, fields: &self.shown };
        let seen = AnswerView { status, fields };
        let grant: Grant =
            self.granted(may_store(request, seen, self.site.policy(), arrival)).ok()?;
        let mut fields = fields.clone();
        clean(&mut fields, &grant);
        self.edge.compressor().note_variants(status, &mut fields);
        if !contents.encoded.is_empty() {
            compress::add_vary(&mut fields);
        }
        let object = Object::build(&Parts {
            key: &self.key,
            secondary: b"",
            status,
            encoding: Encoding::Identity,
            stored_at_ms: self.edge.cache.ms(arrival.answered),
            freshness: grant.freshness,
            fields: &fields,
            tags: self.tags,
            body: std::slice::from_ref(&contents.whole),
        });
        let object = self.insert(object.ok()?, &grant)?;
        for (encoding, content) in &contents.encoded {
            let fields = encoded_fields(&fields, *encoding);
            let encoded = object.in_encoding(*encoding, &fields, std::slice::from_ref(content));
            let Ok(encoded) = encoded else { continue };
            if let Err(refused) = self.edge.cache.memory.insert_encoded(&object, encoded) {
                tracing::debug!(%refused, "encoding not stored");
            }
        }
        Some(object)
    }
}

/// Answers one request past the store.
pub(super) async fn through(
    edge: &Edge,
    site: &Site,
    folder: &Folder,
    exchange: &mut Exchange,
    target: &Uri,
    notes: &mut Notes,
) -> Result<Answer, Error> {
    let head = &exchange.head;
    let answer = if head.method == Method::GET || head.method == Method::HEAD {
        match folder.find(target.path()).await? {
            Found::File(file) => of_file(head, &file),
            other => without_file(site, other),
        }
    } else {
        let allowed = HeaderValue::from_static("GET, HEAD");
        text(StatusCode::METHOD_NOT_ALLOWED, "405 This can only be read.\n").with(ALLOW, allowed)
    };
    exchange.leave(Room::Origin);
    notes.status = notes.status.answered(answer.status);
    let answer = edge.compressor().on_the_way(&exchange.head, answer, Shared::No);
    exchange.leave(Room::Compress);
    Ok(answer)
}

/// The file as this request wants it: 200, 206, 304 or 416.
pub(super) fn of_file(asked: &Request, file: &Opened) -> Answer {
    let now = clock::wall();
    let mut conditions = asked.fields.clone();
    compress::toward_origin(&mut conditions);
    // RFC 9110 §13.1: of another method they say something else.
    let is_read = matches!(asked.method, Method::GET | Method::HEAD);
    if is_read && is_not_modified(&conditions, &Validators::of(&file.fields), now) {
        return reply::not_modified(Answer::new(Body::Empty), &file.fields);
    }
    let mut answer = Answer::new(Body::Empty);
    answer.fields = file.fields.clone();
    let is_ranged = asked.method == Method::GET && asked.fields.contains_key(RANGE);
    if is_ranged && range_applies(&asked.fields, &Validators::of(&file.fields), now) {
        return ranged(answer, range::select(&asked.fields, file.length()), file);
    }
    let beside: Vec<Encoding> = file.encodings().collect();
    if !beside.is_empty() {
        compress::add_vary(&mut answer.fields);
        let best = Preferences::of(&asked.fields).best(&beside, |_| true);
        if let Some(body) = file.stream_encoded(best) {
            answer.fields = encoded_fields(&answer.fields, best);
            return with_content(asked, answer, body);
        }
    }
    let body = file.stream(0..file.length());
    with_content(asked, answer, body)
}

fn with_content(asked: &Request, mut answer: Answer, body: Body) -> Answer {
    if asked.method == Method::HEAD {
        if let Some(length) = http_body::Body::size_hint(&body).exact() {
            answer.fields.insert(CONTENT_LENGTH, length.into());
        }
    } else {
        answer.body = body;
    }
    answer
}

fn ranged(mut answer: Answer, selection: Selection, file: &Opened) -> Answer {
    let length = file.length();
    match selection {
        Selection::One(part) => {
            answer.status = StatusCode::PARTIAL_CONTENT;
            answer.fields.insert(CONTENT_RANGE, range::content_range(&part, length));
            answer.body = file.stream(part);
        }
        Selection::Unsatisfiable => {
            answer = text(StatusCode::RANGE_NOT_SATISFIABLE, "");
            answer.fields.insert(CONTENT_RANGE, range::content_range_unsatisfied(length));
            answer.fields.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        }
        Selection::Several(parts) => {
            answer.status = StatusCode::PARTIAL_CONTENT;
            reply::several(&mut answer, &parts, length, |part| file.stream(part.clone()));
        }
        Selection::Whole => answer.body = file.stream(0..length),
    }
    answer
}

fn without_file(site: &Site, found: Found) -> Answer {
    if let Found::Elsewhere(to) = found {
        return text(StatusCode::PERMANENT_REDIRECT, "").with(LOCATION, to);
    }
    let mut answer = nothing_here();
    if let Some(page) = site.route.error_pages.get(&404) {
        put_page(&mut answer, page);
    }
    answer
}

pub(super) fn nothing_here() -> Answer {
    text(StatusCode::NOT_FOUND, "404 There is nothing here.\n")
}

fn text(status: StatusCode, text: &'static str) -> Answer {
    Answer::new(text)
        .with_status(status)
        .with(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"))
        .with(CACHE_CONTROL, HeaderValue::from_static("no-cache"))
}
