//! What a stored answer is recognised and chosen by, and what makes it invalid.

use std::time::UNIX_EPOCH;

use forebay_edge::cache::rules::conditional::{
    Validators, is_not_modified, is_strong, none_match_holds, range_applies,
};
use forebay_edge::cache::rules::dates::parse_date;
use forebay_edge::cache::rules::invalidate::{Target, invalidated};
use forebay_edge::cache::rules::vary::{MAX_NAMES, names, secondary_key};
use forebay_edge::cache::rules::{AnswerView, Refusal};
use forebay_edge::exchange::Scheme;
use http::header::{
    ACCEPT_ENCODING, HeaderMap, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, LOCATION, VARY,
};
use http::{HeaderValue, Method, StatusCode, Uri};

/// The first line is a stored tag, or date; the others are what clients ask with.
pub(crate) fn conditional(bytes: &[u8]) {
    let mut lines = super::values(bytes);
    let Some(stored) = lines.next() else { return };
    for line in lines {
        none_match(line.as_bytes(), stored.as_bytes());
        modified_since(&line, &stored);
        if_range(&line, &stored);
    }
}

/// Weakness does not matter, a list is all of its members, and nothing is found that is not there.
fn none_match(line: &[u8], stored: &[u8]) {
    let holds = none_match_holds(line, Some(stored));
    assert!(none_match_holds(b"*", Some(stored)));
    if none_match_holds(line, None) {
        assert!(holds && line.trim_ascii() == b"*", "where no tag is stored only `*` holds");
        return;
    }
    let opaque = stored.strip_prefix(b"W/").unwrap_or(stored);
    if !is_strong(opaque) {
        assert_eq!(holds, line.trim_ascii() == stored, "what is no tag is compared as a whole");
        return;
    }
    let weak = [b"W/", opaque].concat();
    assert_eq!(holds, none_match_holds(line, Some(opaque)), "weak comparison");
    assert_eq!(holds, none_match_holds(line, Some(&weak)), "weak comparison");
    assert!(!holds || line.windows(opaque.len()).any(|part| part == opaque));
    if let Some(tags) = tags_of(line) {
        let inner = &opaque[1..opaque.len() - 1];
        assert_eq!(holds, tags.contains(&inner), "a well-formed list");
    }
}

/// The grammar of a list once more: what stands between quotes is a tag, what does not separates.
fn tags_of(line: &[u8]) -> Option<Vec<&[u8]>> {
    let pieces: Vec<&[u8]> = line.split(|byte| *byte == b'"').collect();
    let last = pieces.len() - 1;
    for (at, piece) in pieces.iter().enumerate().step_by(2) {
        let weak = piece.strip_suffix(b"W/").filter(|_| at < last);
        let between = weak.unwrap_or(piece);
        let is_empty = between.iter().all(|byte| b", \t".contains(byte));
        let is_apart = at == 0 || at == last || between.contains(&b',');
        if !(is_empty && is_apart) {
            return None;
        }
    }
    last.is_multiple_of(2).then(|| pieces.into_iter().skip(1).step_by(2).collect())
}

/// A date answers for what is not younger, and an `If-None-Match` goes before it.
fn modified_since(since: &HeaderValue, modified: &HeaderValue) {
    let mut fields = HeaderMap::new();
    fields.insert(IF_MODIFIED_SINCE, since.clone());
    let stored = Validators { last_modified: Some(modified.as_bytes()), ..Validators::default() };
    let time = |value: &HeaderValue| parse_date(value.as_bytes(), UNIX_EPOCH);
    let is_older = time(since).zip(time(modified)).is_some_and(|(since, ours)| ours <= since);
    assert_eq!(is_not_modified(&fields, &stored, UNIX_EPOCH), is_older);
    fields.insert(IF_NONE_MATCH, HeaderValue::from_static("\"of no answer\""));
    assert!(!is_not_modified(&fields, &stored, UNIX_EPOCH));
}

/// Only what is strong and the same to the last byte lets a range be taken from what is stored.
fn if_range(condition: &HeaderValue, stored: &HeaderValue) {
    let mut fields = HeaderMap::new();
    fields.insert(IF_RANGE, condition.clone());
    let etag = stored.as_bytes();
    let tagged = Validators { etag: Some(etag), ..Validators::default() };
    let is_same = condition.as_bytes().trim_ascii() == etag;
    assert_eq!(range_applies(&fields, &tagged, UNIX_EPOCH), is_same && is_strong(etag));
    assert!(!range_applies(&fields, &Validators::default(), UNIX_EPOCH));
    // In the second of the answer itself a date is weak (RFC 9110 §8.8.2.2).
    let dated = Validators { etag: None, last_modified: Some(etag), date: Some(etag) };
    assert!(!range_applies(&fields, &dated, UNIX_EPOCH));
    fields.append(IF_RANGE, condition.clone());
    assert!(!range_applies(&fields, &tagged, UNIX_EPOCH), "two conditions are none");
}

/// The first line is `Vary`; the others are values of the fields that it names, in turn.
pub(crate) fn vary(bytes: &[u8]) {
    let mut lines = super::values(bytes);
    let mut answer = HeaderMap::new();
    if let Some(line) = lines.next() {
        answer.append(VARY, line);
    }
    let read = names(&answer);
    answer.append(VARY, HeaderValue::from_static("*"));
    let with_star = names(&answer);
    assert!(with_star == Err(Refusal::VaryStar) || (with_star.is_err() && with_star == read));
    let Ok(read) = read else { return };
    assert!(read.len() <= MAX_NAMES && !read.contains(&ACCEPT_ENCODING));
    assert!(read.windows(2).all(|pair| pair[0].as_str() < pair[1].as_str()), "sorted, each once");
    let mut anew = HeaderMap::new();
    for name in read.iter().rev() {
        anew.append(VARY, HeaderValue::from_str(name.as_str()).expect("a name is a value"));
    }
    assert_eq!(names(&anew).as_ref(), Ok(&read), "names do not read back");
    let mut request = HeaderMap::new();
    for (name, line) in read.iter().cycle().zip(lines) {
        request.append(name, line);
    }
    judge_key(&read, &request);
}

/// A part for each name, whatever the values; and of plain lists, their members.
fn judge_key(names: &[http::HeaderName], request: &HeaderMap) {
    let mut key = b"primary".to_vec();
    secondary_key(names, request, None, &mut key);
    assert_eq!(key.split(|byte| *byte == 0).count(), names.len() + 1, "values pass for fields");
    // Quotes keep commas together: not what is formulated here.
    if request.values().any(|value| value.as_bytes().contains(&b'"')) {
        return;
    }
    let mut expected = b"primary".to_vec();
    for name in names {
        expected.push(0);
        expected.extend_from_slice(name.as_str().as_bytes());
        if request.contains_key(name) {
            let lines: Vec<_> = request.get_all(name).iter().map(HeaderValue::as_bytes).collect();
            let list = lines.join(&b',');
            let members = list.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
            let members: Vec<_> = members.filter(|member| !member.is_empty()).collect();
            expected.push(b':');
            expected.extend_from_slice(&members.join(&b','));
        }
    }
    assert_eq!(key, expected);
}

/// Each line is a `Location` after a POST: it names something of our own origin, or nothing.
pub(crate) fn invalidate(bytes: &[u8]) {
    for line in super::values(bytes) {
        let found = gone(&line);
        let (target, rest) = found.split_first().expect("the target itself is gone");
        assert_eq!(target.to_string(), "/a/b?c=d");
        assert!(rest.len() <= 1 && rest.iter().all(|uri| uri != target));
        let Some(uri) = rest.first() else { continue };
        assert!(uri.authority().is_none() && uri.scheme().is_none());
        let path = uri.path();
        assert!(path.starts_with('/'), "{path}");
        assert!(!path.split('/').any(|segment| matches!(segment, "." | "..")), "{path}");
        let text = line.to_str().expect("it was resolved").trim_ascii();
        assert!(names_ours(text), "`{text}` is of another origin");
        // Written in full it names the same, and a fragment names nothing.
        for anew in [format!("HTTPS://Shop.Example:443{uri}"), format!("{text}#more")] {
            let anew = HeaderValue::from_str(&anew).expect("it is a value");
            assert_eq!(gone(&anew), found, "{anew:?}");
        }
    }
}

fn gone(location: &HeaderValue) -> Vec<Uri> {
    let uri = Uri::from_static("/a/b?c=d");
    let target = Target { scheme: Scheme::Https, authority: "shop.example", uri: &uri };
    let fields = HeaderMap::from_iter([(LOCATION, location.clone())]);
    let answer = AnswerView { status: StatusCode::SEE_OTHER, fields: &fields };
    let error = AnswerView { status: StatusCode::NOT_FOUND, fields: &fields };
    assert!(invalidated(&Method::POST, target, error).is_empty());
    assert!(invalidated(&Method::GET, target, answer).is_empty());
    invalidated(&Method::POST, target, answer)
}

/// After `//`, what stands up to the path is the whole of our authority.
fn names_ours(reference: &str) -> bool {
    let lower = reference.to_ascii_lowercase();
    let rest = lower.strip_prefix("https:").unwrap_or(&lower);
    match rest.strip_prefix("//") {
        Some(rest) => {
            let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
            ["shop.example", "shop.example:", "shop.example:443"].contains(&authority)
        }
        None => rest.len() == lower.len() && !lower.starts_with("http:"),
    }
}
