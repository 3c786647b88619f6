//! The payload of a job, as any client of any version may have pushed it.

use std::time::Duration;

use bytes::Bytes;
use forebay_jobs::job::Job;
use forebay_jobs::payload::Fields;
use forebay_jobs::retry::{Failure, Fate, Policy, Verdict, backtrace_of, decide};
use forebay_jobs::time::{Form, Moment};

/// Fields that a failure writes.
const WRITTEN: [&str; 7] = [
    "queue",
    "error_message",
    "error_class",
    "failed_at",
    "retried_at",
    "retry_count",
    "error_backtrace",
];

/// A job is kept byte for byte; what a failure writes is read again, counts up, and leaves every other field
/// as it was.
pub(crate) fn job(bytes: &[u8]) {
    let Ok(job) = Job::parse(Bytes::copy_from_slice(bytes)) else { return };
    assert_eq!(&job.bytes()[..], bytes);
    assert!(backtrace_of(&job).is_none_or(|lines| lines.len() <= bytes.len() << 10));
    let mut failure = Failure::new("Fuzz::Error", "it \"failed\"\n\u{0}");
    failure.backtrace = vec!["a.rb:1:in `x'".into(); 3];
    let now = Moment::from_micros(1_795_436_293_752_779);
    let verdicts = [
        Verdict::Retry,
        Verdict::RetryAfter(Duration::MAX),
        Verdict::Snooze(Duration::from_secs(1)),
        Verdict::Back,
        Verdict::Kill,
        Verdict::Discard,
    ];
    for verdict in verdicts {
        for form in [Form::FloatSeconds, Form::IntegerMilliseconds] {
            failure.verdict = verdict;
            let policy = Policy { form, ..Policy::default() };
            match decide(&job, "low", &failure, &policy, now, 0.5) {
                Fate::Back => assert_eq!(verdict, Verdict::Back),
                Fate::Later { payload, .. } => assert_kept(&job, &payload, 0),
                Fate::Again { payload, at } => {
                    assert!(at >= now);
                    assert_kept(&job, &payload, 1);
                }
                Fate::Dead { payload, .. } | Fate::Gone { payload, .. } => {
                    assert_kept(&job, &payload, 1);
                }
            }
        }
    }
}

fn assert_kept(job: &Job, payload: &Bytes, failures: u32) {
    let again = Job::parse(payload.clone()).expect("what we write we read");
    assert_eq!((again.id(), again.class()), (job.id(), job.class()));
    assert_eq!(again.args_json(), job.args_json());
    assert_eq!(again.failures(), job.failures().saturating_add(failures));
    let (before, after) = (job.fields(), again.fields());
    for name in before.names().filter(|name| !WRITTEN.contains(name)) {
        assert_eq!(before.find(name), after.find(name), "{name}");
    }
    let written = after.write();
    assert_eq!(Fields::read(&written).expect("it is an object").write(), written);
}
