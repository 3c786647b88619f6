//! What the environment says of jobs, as layers above the file.

use forebay_edge::config::file::{Layer, Setting, Source};
use forebay_redis::connect::{Settings, SettingsError};
use serde_json::{Value as Json, json};

/// A variable of the environment, by name; what is empty is not set.
pub(super) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.trim().is_empty())
}

type Read = fn(&Settings) -> String;

/// Variables of Redis, their keys, and how a value is written as TOML.
const REDIS: [(&str, &str, Read); 7] = [
    ("REDIS_TIMEOUT", "timeout", |it| it.timeout.show()),
    ("REDIS_RECONNECT_ATTEMPTS", "reconnect_attempts", |it| it.reconnect_attempts.show()),
    ("REDIS_RECONNECT_DELAY", "reconnect_delay", |it| it.reconnect_delay.show()),
    ("REDIS_RECONNECT_DELAY_MAX", "reconnect_delay_max", |it| it.reconnect_delay_max.show()),
    ("REDIS_POOL_SIZE", "pool_size", |it| it.pool_size.show()),
    ("REDIS_POOL_TIMEOUT", "pool_timeout", |it| it.pool_timeout.show()),
    ("REDIS_CA_FILE", "authorities", |it| it.authorities.show()),
];
const THREADS: &str = "RAILS_MAX_THREADS";

/// What is wrong with a variable.
pub(super) struct Wrong {
    /// Why it cannot be followed.
    pub(super) error: SettingsError,
    /// True if it matters only to whoever speaks to a Redis server.
    pub(super) is_of_redis: bool,
}

/// One layer a variable. Those that cannot be followed are told only to whoever has jobs.
pub(super) fn layers() -> (Vec<Layer>, Vec<Wrong>) {
    let (mut layers, mut wrongs) = (Vec::new(), Vec::new());
    let mut add = |name, text| layers.push(Layer { source: Source::Variable(name), text });
    for (name, section, key) in [
        ("FOREBAY_JOBS_STORE", "jobs", "store"),
        ("FOREBAY_JOBS_HTTP", "jobs.http", "url"),
        ("FOREBAY_JOBS_SECRET_FILE", "jobs.http", "secret_file"),
    ] {
        if let Some(text) = variable(name) {
            add(name, line(section, key, &json!(text).to_string()));
        }
    }
    for (name, key, read) in REDIS {
        match alone(name) {
            Ok(Some(settings)) => add(name, line("jobs.redis", key, &read(&settings))),
            Ok(None) => {}
            Err(error) => wrongs.push(Wrong { error, is_of_redis: true }),
        }
    }
    match alone(THREADS) {
        Ok(Some(settings)) => {
            let threads = Json::from(settings.pool_size).to_string();
            // Its own variable is the stronger one, and stands before it.
            add(THREADS, line("jobs.redis", "pool_size", &threads));
            add(THREADS, line("jobs", "concurrency", &threads));
        }
        Ok(None) => {}
        Err(error) => wrongs.push(Wrong { error, is_of_redis: false }),
    }
    (layers, wrongs)
}

/// The settings with this variable alone.
fn alone(name: &str) -> Result<Option<Settings>, SettingsError> {
    let Some(text) = variable(name) else { return Ok(None) };
    Settings::from_env(|it| (it == name).then(|| text.clone())).map(Some)
}

fn line(section: &str, key: &str, value: &str) -> String {
    format!("[{section}]\n{key} = {value}\n")
}
