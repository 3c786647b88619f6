use std::time::Duration;

use proptest::prelude::*;

use super::*;

const NOW: Moment = Moment::from_micros(1_795_436_293_750_000);

fn job(fields: &str) -> Job {
    let json = format!(r#"{{"class":"A","args":[1],"jid":"j1","queue":"q"{fields}}}"#);
    Job::parse(json.into()).unwrap()
}

fn decided(job: &Job, failure: &Failure) -> Fate {
    decide(job, "q", failure, &Policy::default(), NOW, 0.0)
}

fn text(payload: &Bytes) -> &str {
    std::str::from_utf8(payload).unwrap()
}

#[test]
fn the_first_failure_writes_what_sidekiq_writes() {
    let failure = Failure::new("SmtpError", "said \"421\"");
    let Fate::Again { at, payload } = decided(&job(r#","mine":1.50"#), &failure) else { panic!() };
    assert_eq!(at, NOW.after(Duration::from_secs(15)));
    assert_eq!(
        text(&payload),
        r#"{"class":"A","args":[1],"jid":"j1","queue":"q","mine":1.50,"error_message":"said \"421\"","error_class":"SmtpError","failed_at":1795436293.75,"retry_count":0}"#
    );
}

#[test]
fn later_failures_count_on_and_keep_the_first_time() {
    let job = job(r#","retry":5,"failed_at":1795436000.5,"retry_count":2,"error_message":"old""#);
    let Fate::Again { at, payload } = decided(&job, &Failure::new("E", "new")) else { panic!() };
    assert_eq!(at, NOW.after(Duration::from_secs(81 + 15)));
    assert_eq!(
        text(&payload),
        r#"{"class":"A","args":[1],"jid":"j1","queue":"q","retry":5,"failed_at":1795436000.5,"retry_count":3,"error_message":"new","error_class":"E","retried_at":1795436293.75}"#
    );
}

#[test]
fn a_retry_goes_to_the_queue_for_retries_or_back_where_it_came_from() {
    let failure = Failure::new("E", "e");
    for (fields, queue) in
        [("", r#""queue":"q""#), (r#","retry_queue":"slow""#, r#""queue":"slow""#)]
    {
        let Fate::Again { payload, .. } = decided(&job(fields), &failure) else { panic!() };
        assert!(text(&payload).contains(queue), "{}", text(&payload));
    }
}

#[test]
fn retry_null_false_and_zero() {
    let failure = Failure::new("E", "e");
    let never = Policy { retry: Retry::Never, ..Policy::default() };
    let of =
        |fields: &str, policy: &Policy| match decide(&job(fields), "q", &failure, policy, NOW, 0.0)
        {
            Fate::Back => "back",
            Fate::Again { .. } => "again",
            Fate::Later { .. } => "later",
            Fate::Dead { .. } => "dead",
            Fate::Gone { .. } => "gone",
        };
    assert_eq!(of(r#","retry":null"#, &Policy::default()), "again");
    assert_eq!(of(r#","retry":null"#, &never), "gone");
    assert_eq!(of(r#","retry":true"#, &never), "again");
    assert_eq!(of(r#","retry":false"#, &Policy::default()), "gone");
    assert_eq!(of(r#","retry":0"#, &Policy::default()), "dead");
    assert_eq!(of(r#","retry":0,"dead":false"#, &Policy::default()), "gone");
    assert_eq!(of(r#","retry":3,"retry_count":1"#, &Policy::default()), "again");
    assert_eq!(of(r#","retry":3,"retry_count":2"#, &Policy::default()), "dead");
}

#[test]
fn a_window_stands_in_place_of_a_number() {
    let failure = Failure::new("E", "e");
    let late = r#","retry":1,"retry_for":3600,"retry_count":40,"failed_at":1795436000.0"#;
    assert!(matches!(decided(&job(late), &failure), Fate::Again { .. }));
    let over = r#","retry":true,"retry_for":293,"retry_count":0,"failed_at":1795436000.0"#;
    let why = Exhausted::Window;
    assert!(matches!(decided(&job(over), &failure), Fate::Dead { why: it, .. } if it == why));
    assert!(matches!(decided(&job(r#","retry_for":1"#), &failure), Fate::Again { .. }));
}

#[test]
fn handlers_decide() {
    let of = |verdict| Failure { verdict, ..Failure::new("E", "e") };
    let job = job(r#","retry":true"#);
    assert!(matches!(decided(&job, &of(Verdict::Kill)), Fate::Dead { why: Exhausted::Killed, .. }));
    assert!(matches!(decided(&job, &of(Verdict::Discard)), Fate::Gone { .. }));
    let minute = Duration::from_secs(60);
    let Fate::Later { at, payload } = decided(&job, &of(Verdict::Snooze(minute))) else { panic!() };
    assert_eq!((at, &payload), (NOW.after(minute), job.bytes()));
    let Fate::Again { at, .. } = decided(&job, &of(Verdict::RetryAfter(minute))) else { panic!() };
    assert_eq!(at, NOW.after(minute));
}

#[test]
fn an_error_is_a_failure_that_names_its_type_and_causes() {
    #[derive(Debug, thiserror::Error)]
    #[error("cannot greet")]
    struct Greeting(#[source] std::num::ParseIntError);
    let failure: Failure = Greeting("x".parse::<u8>().unwrap_err()).into();
    assert!(failure.class.ends_with("Greeting"), "{}", failure.class);
    assert_eq!(failure.message, "cannot greet: invalid digit found in string");
    assert_eq!(decided(&job(""), &Failure::interrupted()), Fate::Back);
}

#[test]
fn messages_and_backtraces_are_bounded_and_read_back_in_each_form() {
    let mut failure = Failure::new("E", "é".repeat(20_000));
    failure.backtrace = (0..2_000).map(|n| format!("line {n}")).collect();
    let Fate::Again { payload, .. } = decided(&job(r#","backtrace":3"#), &failure) else {
        panic!()
    };
    let failed = Job::parse(payload).unwrap();
    let message: String = serde_json::from_str(&failed.field("error_message").unwrap()).unwrap();
    assert_eq!(message.chars().count(), MAX_MESSAGE_CHARS);
    assert_eq!(backtrace_of(&failed).unwrap(), ["line 0", "line 1", "line 2"]);
    // Ruby's `Base64.encode64` breaks lines.
    let strict: String = serde_json::from_str(&failed.field("error_backtrace").unwrap()).unwrap();
    let wrapped = format!("{}\\n{}\\n", &strict[..8], &strict[8..]);
    let wrapped = job(&format!(r#","error_backtrace":"{wrapped}""#));
    assert_eq!(backtrace_of(&wrapped).unwrap().len(), 3);
    assert_eq!(backtrace_of(&job(r#","error_backtrace":["x"]"#)).unwrap(), ["x"]);
    assert_eq!(backtrace_of(&job(r#","error_backtrace":"%%""#)), None);
}

#[test]
fn milliseconds_are_written_where_that_is_asked_for() {
    let policy = Policy { form: Form::IntegerMilliseconds, ..Policy::default() };
    let fate = decide(&job(""), "q", &Failure::new("E", "e"), &policy, NOW, 0.0);
    let Fate::Again { payload, .. } = fate else { panic!() };
    assert!(text(&payload).contains(r#""failed_at":1795436293750,"#));
}

proptest! {
    #[test]
    fn a_job_ends_after_as_many_failures_as_it_says(times in 0_u32..40, queue in "[a-z]{1,9}") {
        let json = format!(r#"{{"class":"A","args":[1],"jid":"j1","retry":{times},"big":12345678901234567890123}}"#);
        let mut job = Job::parse(json.into()).unwrap();
        let mut now = NOW;
        for n in 0..=times {
            prop_assert!(job.field("big").unwrap() == "12345678901234567890123");
            match decide(&job, &queue, &Failure::new("E", "e"), &Policy::default(), now, 0.5) {
                Fate::Again { at, payload } => {
                    prop_assert!(n < times && at > now);
                    now = at;
                    job = Job::parse(payload).unwrap();
                }
                Fate::Dead { why, .. } => prop_assert!(n == times && why == Exhausted::Times),
                fate => prop_assert!(false, "{fate:?}"),
            }
        }
    }
}
