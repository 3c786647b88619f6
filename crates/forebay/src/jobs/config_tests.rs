//! `[jobs]`: golden cases of `tests/jobs/*.txt`, and the reference against what is read.
//!
//! A case is a file, a line of dashes, and what comes of it, as in `tests/config`. `FOREBAY_GOLDEN=write` writes
//! the second half anew; read the difference before keeping it.

use std::fs;
use std::io;

use forebay_edge::config::file::reference::Key;
use forebay_edge::config::file::{Value, explain};
use forebay_jobs::fetch::Order;

use super::super::reference::SECTIONS;
use super::*;

const DASHES: &str = "----\n";

fn load(text: &str) -> Result<(Jobs, Vec<Value>), Problems> {
    let read = |path: &Path| match path.file_name().and_then(|name| name.to_str()) {
        Some(name) if name.starts_with("missing") => Err(io::ErrorKind::NotFound.into()),
        Some(name) if name.ends_with("secret") => {
            Ok(b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n".to_vec())
        }
        Some(name) if name.ends_with("pem") => Ok(authority().into_bytes()),
        _ => Ok(b"content".to_vec()),
    };
    let folder = Path::new("/etc/forebay");
    let machine = file::Machine { read: &read, is_folder: &|_| true, folder, has_ipv6: true };
    let layers = [Layer { source: Source::File("forebay.toml".into()), text: text.to_owned() }];
    file::read_only(&layers, &machine, jobs)
}

fn authority() -> String {
    let names = vec!["app.example".to_owned()];
    rcgen::generate_simple_self_signed(names).expect("it is made").cert.pem()
}

fn outcome(text: &str) -> String {
    match load(text) {
        Ok((_, values)) => {
            let told = |value: &Value| value.set_by != SetBy::Default;
            let told: Vec<Value> = values.into_iter().filter(told).collect();
            explain(&told).join("\n") + "\n"
        }
        Err(problems) => format!("{problems}\n"),
    }
}

#[test]
fn every_golden_case_comes_out_as_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/jobs");
    let cases = fs::read_dir(&folder).expect("the cases are there");
    let mut count = 0;
    for case in cases {
        let path = case.expect("readable").path();
        let text = fs::read_to_string(&path).expect("text");
        let (input, expected) = text.split_once(DASHES).unwrap_or((&text, ""));
        let got = outcome(input);
        if std::env::var_os("FOREBAY_GOLDEN").is_some() {
            fs::write(&path, format!("{input}{DASHES}{got}")).expect("writable");
            continue;
        }
        assert_eq!(got, expected, "{}", path.display());
        count += 1;
    }
    assert!(count > 0 || std::env::var_os("FOREBAY_GOLDEN").is_some());
}

/// A file that has this key as it is in `line`.
fn alone(section: &str, key: &Key, line: &str) -> String {
    let needed = |all: &[(&str, &str)]| -> String {
        let others = all.iter().filter(|(name, _)| *name != key.name);
        others.flat_map(|(name, value)| [*name, " = ", *value, "\n"]).collect()
    };
    let more = match section {
        "jobs.http" => needed(&[("url", "\"http://a/\"")]),
        "jobs.exec" => needed(&[("command", "[\"a\"]")]),
        "jobs.timetable" => {
            let header =
                needed(&[("name", "\"a\""), ("cron", "\"* * * * *\""), ("class", "\"A\"")]);
            return format!("[[jobs.timetable]]\n{header}{line}");
        }
        "jobs.redis" => return format!("[jobs]\nstore = \"redis://h\"\n[jobs.redis]\n{line}"),
        _ => String::new(),
    };
    format!("[{section}]\n{more}{line}")
}

#[test]
fn every_key_of_the_reference_is_read_with_its_example() {
    for section in SECTIONS {
        for key in section.keys {
            let text = alone(section.name, key, &format!("{} = {}\n", key.name, key.example));
            let (jobs, values) = load(&text).unwrap_or_else(|why| panic!("{why}\n{text}"));
            let is_table = matches!(key.name, "http" | "exec" | "redis" | "timetable");
            let path = match section.name {
                "jobs.timetable" => format!("jobs.timetable[0].{}", key.name),
                name => format!("{name}.{}", key.name),
            };
            let is_it = |value: &&Value| {
                (value.key == path || is_table && value.key.starts_with(&path))
                    && matches!(value.set_by, SetBy::File(..))
            };
            assert!(values.iter().any(|value| is_it(&value)), "`{path}` is not read");
            // Examples differ from defaults: what is read has an effect.
            let usual = load(&alone(section.name, key, ""));
            if let (Ok((usual, _)), false) = (usual, key.name == "redis") {
                assert_ne!(jobs, usual, "`{path}` changes nothing");
            }
        }
    }
}

#[test]
fn defaults_of_the_reference_are_the_defaults_in_force() {
    let text = "[jobs.http]\nurl = \"http://a/\"\n[jobs.exec]\nclasses = { A = [\"a\"] }\n\
                [[jobs.timetable]]\nname = \"a\"\ncron = \"@daily\"\nclass = \"A\"\n";
    let (jobs, values) = load(text).expect("valid");
    for section in SECTIONS {
        for key in section.keys.iter().filter(|key| !key.default.is_empty()) {
            let path = match section.name {
                "jobs.timetable" => format!("jobs.timetable[0].{}", key.name),
                name => format!("{name}.{}", key.name),
            };
            let Some(value) = values.iter().find(|value| value.key == path) else {
                assert!(key.kind.contains("table") || key.name == "authorities", "`{path}`");
                continue;
            };
            let is_special =
                key.default.starts_with("that of") || matches!(value.set_by, SetBy::File(..));
            assert!(is_special || value.text == key.default, "{path}: {}", value.text);
        }
    }
    assert_eq!(jobs.http.expect("there").deadline, DEADLINE);
    let (jobs, _) = load("").expect("valid");
    assert_eq!((jobs.store, jobs.concurrency), (Place::File(STORE.into()), CONCURRENCY));
    assert!(jobs.http.is_none() && jobs.is_beside && jobs.timetables.is_empty());
}

#[test]
fn what_is_written_is_what_is_in_force() {
    let text = "[jobs]\nstore = \"jobs.db\"\nqueues = { mail = 5, low = 1 }\ntime_stamps = \"milliseconds\"\n\
                dead_most = 7\ndead_age = \"1d\"\n[jobs.exec]\ncommand = [\"bin/job\", \"-x\"]\n";
    let (jobs, _) = load(text).expect("valid");
    assert_eq!(jobs.store, Place::File("/etc/forebay/jobs.db".into()));
    assert_eq!(jobs.order, Order::weighted([("low", 1), ("mail", 5)]));
    assert_eq!(jobs.form, Form::IntegerMilliseconds);
    assert_eq!((jobs.retention.dead_most, jobs.retention.dead_age.as_secs()), (7, 86_400));
    assert_eq!(jobs.command, ["bin/job", "-x"]);
    assert!(jobs.wants_worker());
    let (jobs, _) = load(
        &format!("{text}[jobs.redis]\ntimeout = \"2s\"\n").replace("jobs.db", "redis://h:1/2"),
    )
    .expect("valid");
    let Place::Server(settings) = &jobs.store else { panic!("{:?}", jobs.store) };
    assert_eq!((settings.timeout.as_secs(), settings.target.to_string()), (2, "h:1".into()));
}

#[test]
fn a_password_in_a_url_is_not_explained() {
    let (_, values) = load("[jobs]\nstore = \"redis://:geheim@h/0\"\n").expect("valid");
    assert!(!explain(&values).join("\n").contains("geheim"));
    let said = load("[jobs]\nstore = \"http://:geheim@h/0\"\n").expect_err("no Redis").to_string();
    assert!(!said.contains("geheim"), "{said}");
}
