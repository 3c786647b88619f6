//! Lines of the access log.

use std::cell::RefCell;
use std::io::Write;
use std::time::UNIX_EPOCH;

use forebay_signals::clock;
use http::HeaderMap;
use http::header::{HeaderName, REFERER, USER_AGENT};

use super::Record;

/// Longest value of a client's field that is logged.
const MOST_OF_A_FIELD: usize = 512;

/// One object a line; times of the rooms in microseconds.
pub(super) fn json(out: &mut Vec<u8>, record: &Record<'_>) {
    let (head, client) = (&record.exchange.head, &record.exchange.client);
    out.extend_from_slice(b"{\"time\":\"");
    time(out, "%Y-%m-%dT%H:%M:%S", Form::WithMilliseconds);
    out.extend_from_slice(b"\",\"id\":\"");
    out.extend_from_slice(&record.exchange.id);
    out.extend_from_slice(b"\",\"client\":\"");
    put(out, client.address);
    out.extend_from_slice(b"\",\"scheme\":\"");
    out.extend_from_slice(client.scheme.as_str().as_bytes());
    out.extend_from_slice(b"\",\"method\":\"");
    out.extend_from_slice(head.method.as_str().as_bytes());
    out.extend_from_slice(b"\",\"host\":");
    quoted(out, head.authority.as_bytes());
    out.extend_from_slice(b",\"target\":");
    quoted(out, target(record).as_bytes());
    out.extend_from_slice(b",\"route\":");
    quoted(out, record.route.as_bytes());
    out.extend_from_slice(b",\"status\":");
    number(out, record.status.into());
    out.extend_from_slice(b",\"bytes\":");
    number(out, record.bytes);
    out.extend_from_slice(b",\"cache\":\"");
    out.extend_from_slice(record.outcome.label().as_bytes());
    out.extend_from_slice(b"\",\"total_us\":");
    number(out, micros(record.total));
    for (room, span) in record.exchange.stamps.spans() {
        out.extend_from_slice(b",\"");
        out.extend_from_slice(room.name().as_bytes());
        out.extend_from_slice(b"_us\":");
        number(out, micros(span));
    }
    if !record.is_whole {
        out.extend_from_slice(b",\"broke_off\":true");
    }
    for (label, name) in [("user_agent", &USER_AGENT), ("referer", &REFERER)] {
        if let Some(value) = field(&head.fields, name) {
            out.extend_from_slice(b",\"");
            out.extend_from_slice(label.as_bytes());
            out.extend_from_slice(b"\":");
            quoted(out, value);
        }
    }
    out.extend_from_slice(b"}\n");
}

/// The combined log format, with what the cache did and the total at the end.
pub(super) fn common(out: &mut Vec<u8>, record: &Record<'_>) {
    let head = &record.exchange.head;
    put(out, record.exchange.client.address);
    out.extend_from_slice(b" - - [");
    time(out, "%d/%b/%Y:%H:%M:%S +0000", Form::Seconds);
    out.extend_from_slice(b"] \"");
    out.extend_from_slice(head.method.as_str().as_bytes());
    out.push(b' ');
    escaped(out, target(record).as_bytes());
    out.push(b' ');
    put(out, format_args!("{:?}", head.version));
    out.extend_from_slice(b"\" ");
    number(out, record.status.into());
    out.push(b' ');
    number(out, record.bytes);
    for name in [&REFERER, &USER_AGENT] {
        out.extend_from_slice(b" \"");
        escaped(out, field(&head.fields, name).unwrap_or(b"-"));
        out.push(b'"');
    }
    out.push(b' ');
    out.extend_from_slice(record.outcome.label().as_bytes());
    out.push(b' ');
    number(out, micros(record.total));
    out.push(b'\n');
}

fn target<'a>(record: &Record<'a>) -> &'a str {
    record.exchange.head.uri.path_and_query().map_or("-", |target| target.as_str())
}

fn field<'a>(fields: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let value = fields.get(name)?.as_bytes();
    Some(&value[..value.len().min(MOST_OF_A_FIELD)])
}

fn micros(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn number(out: &mut Vec<u8>, n: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
}

fn put(out: &mut Vec<u8>, value: impl std::fmt::Display) {
    write!(out, "{value}").expect("writing to a Vec does not fail");
}

/// A JSON string; bytes that are not UTF-8 become the replacement character.
fn quoted(out: &mut Vec<u8>, bytes: &[u8]) {
    let is_plain = |b: &u8| matches!(b, b' '..=b'~') && *b != b'"' && *b != b'\\';
    if bytes.iter().all(is_plain) {
        out.push(b'"');
        out.extend_from_slice(bytes);
        out.push(b'"');
        return;
    }
    let text = String::from_utf8_lossy(bytes);
    serde_json::to_writer(out, &*text).expect("writing to a Vec does not fail");
}

/// Quotes, backslashes and everything unprintable as `\xNN`: a client cannot forge a line.
fn escaped(out: &mut Vec<u8>, bytes: &[u8]) {
    for byte in bytes {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            b' '..=b'~' => out.push(*byte),
            _ => put(out, format_args!("\\x{byte:02x}")),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Seconds,
    WithMilliseconds,
}

/// The wall clock, UTC. The text of a second is made once in that second.
fn time(out: &mut Vec<u8>, pattern: &'static str, form: Form) {
    thread_local! {
        static LAST: RefCell<(u64, &'static str, String)> = const { RefCell::new((0, "", String::new())) };
    }
    let since = clock::wall().duration_since(UNIX_EPOCH).unwrap_or_default();
    LAST.with_borrow_mut(|(second, of, text)| {
        if *second != since.as_secs() || *of != pattern {
            (*second, *of) = (since.as_secs(), pattern);
            let at = UNIX_EPOCH + std::time::Duration::from_secs(*second);
            *text = jiff::Timestamp::try_from(at)
                .map_or_else(|_| String::from("-"), |at| at.strftime(pattern).to_string());
        }
        out.extend_from_slice(text.as_bytes());
    });
    if form == Form::WithMilliseconds {
        put(out, format_args!(".{:03}Z", since.subsec_millis()));
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::time::Duration;

    use http::{HeaderValue, Method, Uri, Version};

    use super::*;
    use crate::exchange::{Body, Client, Exchange, Head, Room, Scheme, Stamps};
    use crate::traffic::Outcome;

    fn line(write: fn(&mut Vec<u8>, &Record<'_>)) -> String {
        let mut fields = HeaderMap::new();
        let agent = HeaderValue::from_bytes(b"a\"b\\c\xff").expect("a value");
        fields.insert(USER_AGENT, agent);
        let began = clock::now();
        let mut stamps = Stamps::new(began);
        stamps.leave_at(Room::Route, began + Duration::from_micros(7));
        stamps.leave_at(Room::Origin, began + Duration::from_micros(107));
        let exchange = Exchange {
            id: [b'a'; 32],
            client: Client {
                peer: None,
                address: IpAddr::from([192, 0, 2, 1]),
                scheme: Scheme::Https,
                server_name: None,
            },
            head: Head {
                method: Method::GET,
                uri: Uri::from_static("/a?b=c"),
                authority: "shop.example".into(),
                version: Version::HTTP_2,
                fields,
            },
            body: Body::Empty,
            upgrade: None,
            stamps,
        };
        let record = Record {
            exchange: &exchange,
            route: "pages",
            status: 200,
            bytes: 12,
            outcome: Outcome::Hit,
            total: Duration::from_micros(150),
            is_whole: false,
        };
        let mut out = Vec::new();
        write(&mut out, &record);
        String::from_utf8(out).expect("a line is text")
    }

    #[test]
    fn a_json_line_is_one_object_whatever_the_client_sends() {
        let text = line(json);
        let value: serde_json::Value = serde_json::from_str(&text).expect("valid JSON");
        assert_eq!(value["target"], "/a?b=c");
        assert_eq!(value["user_agent"], "a\"b\\c\u{fffd}");
        assert_eq!(value["route_us"], 7);
        assert_eq!(value["origin_us"], 100);
        assert_eq!(value["broke_off"], true);
        assert_eq!(text.matches('\n').count(), 1);
        assert!(value["time"].as_str().is_some_and(|time| time.ends_with('Z') && time.len() == 24));
    }

    #[test]
    fn a_common_line_cannot_be_forged() {
        let text = line(common);
        assert!(text.starts_with("192.0.2.1 - - ["), "{text}");
        assert!(
            text.contains(r#""GET /a?b=c HTTP/2.0" 200 12 "-" "a\"b\\c\xff" hit 150"#),
            "{text}"
        );
    }
}
