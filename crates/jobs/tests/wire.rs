//! Payloads of every version of Sidekiq and of others that write its format: all are read, nothing of them is lost, and
//! what is written has the form that was chosen.
//!
//! The files of `fixtures` are made after what these versions write, as their sources and documents say; 7 and 8 and
//! Pro cannot be installed beside the tests. What Sidekiq 6.4 really writes and reads is tried in `tests/peers/sidekiq`.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use forebay_jobs::act::{self, What};
use forebay_jobs::job::{Job, Retry};
use forebay_jobs::payload::Fields;
use forebay_jobs::retry::{Exhausted, Failure, Fate, Policy, backtrace_of, decide};
use forebay_jobs::store::memory::Memory;
use forebay_jobs::store::{From, Push, Retention, Set, Store};
use forebay_jobs::time::{Clock, Form, Moment};
use serde_json::Value;

const NOW: Moment = Moment::from_micros(1_795_436_293_750_000);
const FORMS: [Form; 2] = [Form::FloatSeconds, Form::IntegerMilliseconds];
/// What a failure writes.
const WRITTEN: [&str; 7] = [
    "queue",
    "error_message",
    "error_class",
    "error_backtrace",
    "failed_at",
    "retried_at",
    "retry_count",
];

fn fixture(name: &str) -> Bytes {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    fs::read(folder.join(format!("{name}.json"))).expect("the fixture is there").into()
}

fn job(name: &str) -> Job {
    Job::parse(fixture(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn all() -> Vec<(String, Job)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut all: Vec<(String, Job)> = fs::read_dir(folder)
        .expect("the folder is there")
        .map(|file| file.expect("a file").path())
        .map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned())
        .map(|name| (name.clone(), job(&name)))
        .collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(all.len(), 13);
    all
}

fn at(micros: i64) -> Moment {
    Moment::from_micros(micros)
}

fn failed(job: &Job, form: Form) -> Bytes {
    let policy = Policy { form, ..Policy::default() };
    let mut failure = Failure::new("SmtpError", "said \"421\" — again");
    failure.backtrace = vec!["here".into(), "there".into()];
    match decide(job, "default", &failure, &policy, NOW, 0.0) {
        Fate::Again { payload, .. } | Fate::Dead { payload, .. } => payload,
        fate => panic!("{fate:?}"),
    }
}

#[test]
fn every_time_stamp_is_read_whoever_wrote_it() {
    // A float of seconds is true to a microsecond: `.8823354` is the one that is nearest.
    for (name, created, enqueued) in [
        ("sidekiq-6.4", at(1_795_435_768_882_283), Some(at(1_795_435_768_882_336))),
        ("sidekiq-6.5-failed", at(1_795_435_768_500_000), Some(at(1_795_435_999_250_000))),
        ("sidekiq-7.3", at(1_795_435_768_882_283), Some(at(1_795_435_768_882_336))),
        ("sidekiq-8.1", at(1_795_435_768_745_000), Some(at(1_795_435_768_745_000))),
        ("sidekiq-8.1-failed", at(1_795_435_768_745_000), Some(at(1_795_435_999_250_000))),
        ("sidekiq-8.1-scheduled", at(1_795_435_768_745_000), None),
        ("sidekiq-5-failed", at(1_795_435_768_500_000), Some(at(1_795_435_999_250_000))),
        ("sidekiq-pro-7.1-text", at(1_795_435_768_500_000), Some(at(1_795_435_999_250_000))),
        ("active-job-iso", at(1_795_435_768_745_000), Some(at(1_795_435_999_250_000))),
        ("rusty-sidekiq-0.15", at(1_795_435_768_745_000), Some(at(1_795_435_999_250_000))),
    ] {
        let job = job(name);
        assert_eq!((job.created_at(), job.enqueued_at()), (Some(created), enqueued), "{name}");
    }
    // When they are no longer tried counts from the first failure, in either form.
    for name in ["sidekiq-7.3-failed", "sidekiq-8.1-failed"] {
        assert_eq!(job(name).failed_at(), Some(at(1_795_435_770_500_000)), "{name}");
    }
}

#[test]
fn what_decides_of_retries_is_read() {
    for (name, retry, failures) in [
        ("sidekiq-6.4", Retry::Times(25), 0),
        ("sidekiq-6.5-failed", Retry::Times(5), 3),
        ("sidekiq-7.3", Retry::Times(3), 0),
        ("sidekiq-8.1-failed", Retry::Times(25), 2),
        ("rusty-sidekiq-0.15", Retry::Times(25), 0),
    ] {
        let job = job(name);
        assert_eq!((job.retry(), job.failures()), (retry, failures), "{name}");
    }
    let job = job("sidekiq-8.1-failed");
    assert_eq!(job.retry_for(), Some(Duration::from_secs(86_400)));
    let decided =
        |now| decide(&job, "default", &Failure::new("E", "e"), &Policy::default(), now, 0.0);
    assert!(matches!(decided(NOW), Fate::Again { .. }));
    // A day after the first failure, which is told in milliseconds.
    let first = Moment::from_micros(1_795_435_770_500_000);
    let last = first.after(Duration::from_secs(86_399));
    assert!(matches!(decided(last), Fate::Again { .. }));
    let fate = decided(first.after(Duration::from_secs(86_400)));
    assert!(matches!(fate, Fate::Dead { why: Exhausted::Window, .. }), "{fate:?}");
}

#[test]
fn backtraces_are_read_in_lines_of_base64_in_one_and_as_a_list() {
    let lines = backtrace_of(&job("sidekiq-5-failed")).expect("a list");
    assert_eq!((lines.len(), &*lines[0]), (14, "app/jobs/mail_job.rb:7:in `deliver'"));
    for name in ["sidekiq-6.5-failed", "sidekiq-7.3-failed", "sidekiq-8.1-failed"] {
        assert_eq!(backtrace_of(&job(name)).as_ref(), Some(&lines), "{name}");
    }
    assert!(job("sidekiq-6.5-failed").field("error_backtrace").unwrap().contains("\\n"));
    assert_eq!(backtrace_of(&job("sidekiq-8.1-discarded")), None);
}

#[test]
fn jobs_of_rails_are_shown_as_what_they_wrap() {
    for name in ["sidekiq-6.5-failed", "sidekiq-8.1-active-job", "active-job-iso", "sidekiq-8.1"] {
        assert_eq!(job(name).shown_class(), "MailJob", "{name}");
    }
    assert_eq!(job("sidekiq-8.1-active-job").class(), "Sidekiq::ActiveJob::Wrapper");
}

#[test]
fn a_failure_changes_what_it_says_and_nothing_else() {
    for (name, job) in all() {
        for form in FORMS {
            let payload = failed(&job, form);
            let (before, after) = (job.fields(), Fields::read(&payload).expect("an object"));
            let text = std::str::from_utf8(&payload).expect("a text");
            let mut place = 0;
            let was: serde_json::Map<String, Value> = serde_json::from_slice(job.bytes()).unwrap();
            for (field, _) in was.iter().filter(|(field, _)| !WRITTEN.contains(&&***field)) {
                assert_eq!(after.find(field), before.find(field), "{name}: {field}");
            }
            // In the order in which they stood.
            for field in keys(job.bytes()).iter().filter(|it| *it != "error_backtrace") {
                let found = text[place..].find(&format!("\"{field}\":"));
                place += found.unwrap_or_else(|| panic!("{name}: {field} moved in {text}"));
            }
            let stamp = if job.failures() == 0 { "failed_at" } else { "retried_at" };
            let json = after.find(stamp).expect("a stamp");
            let expected = match form {
                Form::FloatSeconds => "1795436293.75",
                Form::IntegerMilliseconds => "1795436293750",
            };
            assert_eq!(json, expected, "{name}: {stamp}");
            assert_eq!(after.find("retry_count"), Some(&*job.failures().to_string()), "{name}");
            let again = Job::parse(payload.clone()).unwrap();
            assert_eq!(again.failures(), job.failures() + 1, "{name}");
            let has_backtrace = job.field("backtrace").is_some();
            let expected = has_backtrace.then(|| vec!["here".to_owned(), "there".to_owned()]);
            assert_eq!(backtrace_of(&again), expected, "{name}");
        }
    }
}

/// Names of fields in the order in which they stand: no fixture has one of them in a value.
fn keys(payload: &[u8]) -> Vec<String> {
    let value: Value = serde_json::from_slice(payload).expect("JSON");
    let text = std::str::from_utf8(payload).expect("a text");
    let mut keys: Vec<String> = value.as_object().expect("an object").keys().cloned().collect();
    keys.sort_by_key(|key| text.find(&format!("\"{key}\":")));
    keys
}

#[test]
fn a_job_that_is_retried_by_hand_keeps_its_bytes_and_the_form_of_its_times() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        for (name, job) in all() {
            let store = Arc::new(Memory::new(Clock::manual(NOW), Retention::default()));
            let at = Some(NOW.after(Duration::from_secs(60)));
            let push = Push { queue: "q".into(), payload: job.bytes().clone(), at, unique: None };
            store.push(&[push]).await.unwrap();
            let entry = store.entries(Set::Schedule, From::Oldest, 0, 1).await.unwrap().remove(0);
            assert_eq!(entry.payload, job.bytes(), "{name}");
            assert!(act::on(&*store, Set::Schedule, &entry, What::Retry).await.unwrap());
            let queue = job.queue().unwrap();
            let payload = store.page(queue, From::Oldest, 0, 1).await.unwrap().remove(0);
            let (before, after) = (job.fields(), Fields::read(&payload).unwrap());
            for field in keys(job.bytes()) {
                if !["enqueued_at", "retry_count"].contains(&&*field) {
                    assert_eq!(after.find(&field), before.find(&field), "{name}: {field}");
                }
            }
            let is_of_8 = name.starts_with("sidekiq-8");
            let expected = if is_of_8 { "1795436293750" } else { "1795436293.75" };
            assert_eq!(after.find("enqueued_at"), Some(expected), "{name}");
        }
    });
}
