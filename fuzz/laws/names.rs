//! Names and dates that others send.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use forebay_edge::cache::rules::dates::parse_date;
use forebay_edge::identity::{self, Parent, TRACEPARENT};
use http::header::{HeaderMap, HeaderValue};

/// A valid trace goes on, anything else starts one named after the request; the parent is ours.
pub(crate) fn traceparent(bytes: &[u8]) {
    let id = [b'7'; 32];
    for value in super::values(bytes) {
        let mut fields = HeaderMap::new();
        fields.insert(TRACEPARENT, value.clone());
        let ours = identity::traceparent(&fields, &id, None);
        let (trace, _, flags) = trace_parts(&ours).expect("what we send is valid");
        match trace_parts(value.as_bytes()) {
            Some((theirs, parent, their_flags)) => {
                assert_eq!((trace, flags), (theirs, their_flags), "their trace is lost");
                assert_ne!(&ours[36..52], parent, "the parent is not ours");
            }
            None => assert_eq!((trace, flags), (&id[..], &b"01"[..]), "what is no trace goes on"),
        }
        let read = Parent::of(&fields).map(|parent| parent.is_sampled);
        let grammar =
            trace_parts(value.as_bytes()).map(|(.., flags)| b"13579bdf".contains(&flags[1]));
        assert_eq!(read, grammar, "whether it is a trace, and sampled");
        let own = HeaderValue::from_bytes(&ours).expect("it is a value");
        fields.insert(TRACEPARENT, own);
        let again = identity::traceparent(&fields, &[b'9'; 32], None);
        assert_eq!(again[..36], ours[..36], "we do not know our own");
    }
}

/// W3C Trace Context §3.2.2 once more, by its grammar: trace, parent, flags.
fn trace_parts(text: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let mut parts = text.split(|byte| *byte == b'-');
    let mut part = |digits: usize| {
        let part = parts.next().filter(|part| part.len() == digits)?;
        part.iter().all(|byte| b"0123456789abcdef".contains(byte)).then_some(part)
    };
    let (version, trace, parent, flags) = (part(2)?, part(32)?, part(16)?, part(2)?);
    let is_named = [trace, parent].iter().all(|part| part.iter().any(|digit| *digit != b'0'));
    (version == b"00" && is_named && parts.next().is_none()).then_some((trace, parent, flags))
}

/// A date lies in years of four digits and reads the same when written anew; whoever else reads it
/// reads the same one.
pub(crate) fn dates(bytes: &[u8]) {
    for now in [0, 1_767_225_600, 3_500_000_000] {
        date(bytes, UNIX_EPOCH + Duration::from_secs(now));
    }
}

fn date(bytes: &[u8], now: SystemTime) {
    let read = parse_date(bytes, now);
    let text = std::str::from_utf8(bytes).unwrap_or_default().trim_ascii();
    let theirs = httpdate::parse_http_date(text).ok();
    if let Some(time) = theirs {
        // The form that everybody writes is read by everybody.
        assert!(httpdate::fmt_http_date(time) != text || read == Some(time), "`{text}` is a date");
    }
    let Some(read) = read else { return };
    assert!(read >= UNIX_EPOCH && read < UNIX_EPOCH + Duration::from_secs(253_402_300_800));
    let anew = httpdate::fmt_http_date(read);
    assert_eq!(parse_date(anew.as_bytes(), now), Some(read), "`{anew}` is not read back");
    if text.contains('-') {
        // A year of two digits lies at most fifty years ahead (RFC 9110 §5.6.7).
        let most = now + Duration::from_secs(51 * 366 * 86_400);
        assert!(read < most, "`{anew}` lies too far ahead");
    } else if let Some(time) = theirs {
        assert_eq!(read, time, "`{text}` is read as `{anew}`");
    }
    let weekday = text.get(..3).unwrap_or_default().to_ascii_lowercase();
    let days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    assert!(days.contains(&weekday.as_str()), "`{text}` begins with no day of the week");
}
