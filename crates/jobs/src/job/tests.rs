use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::time::Moment;

fn parse(json: &str) -> Result<Job, Malformed> {
    Job::parse(Bytes::copy_from_slice(json.as_bytes()))
}

fn with(fields: &str) -> Result<Job, Malformed> {
    parse(&format!(r#"{{"class":"A","args":[],"jid":"1"{fields}}}"#))
}

#[test]
fn payloads_of_each_version_are_read() {
    let job = parse(r#"{"retry":3,"queue":"default","tags":["a"],"args":[1,"x"],"class":"J","jid":"73be174b8b6c448481692f0c","created_at":1795435768745,"enqueued_at":1795435768745}"#).unwrap();
    assert_eq!(job.enqueued_at(), Some(Moment::from_micros(1_795_435_768_745_000)));
    let job = parse(r#"{"retry":true,"queue":"low","args":[],"class":"J","jid":"a","created_at":1795435768.8822832,"enqueued_at":1795435768.8823354,"retry_count":2,"failed_at":1795435769.1}"#).unwrap();
    assert_eq!((job.retry(), job.failures()), (Retry::Times(25), 3));
    assert_eq!(job.created_at(), Some(Moment::from_micros(1_795_435_768_882_283)));
}

#[test]
fn retry_says_what_the_reference_says() {
    for (json, retry) in [
        ("", Retry::AsClass),
        (r#","retry":null"#, Retry::AsClass),
        (r#","retry":true"#, Retry::Times(25)),
        (r#","retry":false"#, Retry::Never),
        (r#","retry":0"#, Retry::Times(0)),
        (r#","retry":7"#, Retry::Times(7)),
    ] {
        assert_eq!(with(json).unwrap().retry(), retry, "{json}");
    }
}

#[test]
fn what_cannot_be_a_job_says_why() {
    for (json, why) in [
        ("nonsense", "the payload is no JSON object: expected ident at line 1 column 2"),
        (
            "[1]",
            "the payload is no JSON object: invalid type: sequence, expected a job: an object of JSON at line 1 column 0",
        ),
        (r#"{"args":[],"jid":"1"}"#, "the payload has no `class`"),
        (r#"{"class":"A","jid":"1"}"#, "the payload has no `args`"),
        (r#"{"class":"A","args":[]}"#, "the payload has no `jid`"),
        (r#"{"class":7,"args":[],"jid":"1"}"#, "`class` is `7` and not a text of 1 to 255 bytes"),
        (r#"{"class":"A","args":{"a":1},"jid":"1"}"#, "`args` is `{\"a\":1}` and not a list"),
        (
            r#"{"class":"A","args":[],"jid":"1","retry":"yes"}"#,
            "`retry` is `\"yes\"` and not true, false, null or a number of times",
        ),
        (
            r#"{"class":"A","args":[],"jid":"1","retry":-1}"#,
            "`retry` is `-1` and not true, false, null or a number of times",
        ),
    ] {
        assert_eq!(parse(json).unwrap_err().to_string(), why, "{json}");
    }
}

#[test]
fn a_try_that_was_given_back_is_no_failure() {
    assert_eq!(with(r#","retry_count":-1"#).unwrap().failures(), 0);
    assert_eq!(with(r#","retry_count":0"#).unwrap().failures(), 1);
}

#[test]
fn a_time_that_says_nothing_harms_nothing() {
    assert_eq!(with(r#","enqueued_at":"soon""#).unwrap().enqueued_at(), None);
}

#[test]
fn arguments_are_read_from_where_they_lie() {
    let job = parse(r#"{"args":[1],"class":"A","jid":"1","args": [ {"a":2} , "x" ] }"#).unwrap();
    assert_eq!(job.args_json(), br#"[ {"a":2} , "x" ]"#);
    assert!(job.args::<(u8,)>().is_err());
}

proptest! {
    #[test]
    fn parsing_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        drop(Job::parse(bytes.into()));
    }

    #[test]
    fn parsing_never_panics_on_what_looks_like_a_job(value in r#"(-?[0-9]{1,40}(\.[0-9]{1,9})?(e[0-9]{1,5})?|"[a-z\\"]{0,5}|\[\]|null|true)"#, field in "(retry|retry_for|retry_count|backtrace|dead|created_at|expires_in|queue)") {
        drop(with(&format!(r#","{field}":{value}"#)));
    }
}
