//! How a server is reached, and for how long one waits for it.

use std::path::PathBuf;
use std::time::Duration;

use super::target::{Target, UrlError};

/// Where a server is when nobody says.
pub const URL: &str = "redis://localhost:6379/0";
/// Jobs that a process runs at once when nobody says.
const POOL_SIZE: usize = 10;
/// Longest time that may be asked for: what is longer is a mistake in the unit.
const LONGEST_SECONDS: f64 = 3_600.0;
/// Most connections or attempts that may be asked for.
const MOST: usize = 10_000;

/// How a server is reached.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Where it is.
    pub target: Target,
    /// Longest time for a connection to be made, and for an answer to come. `REDIS_TIMEOUT`
    pub timeout: Duration,
    /// How often a connection is tried again before a call is given up. `REDIS_RECONNECT_ATTEMPTS`
    pub reconnect_attempts: usize,
    /// Pause before the first of these; each further one is twice as long. `REDIS_RECONNECT_DELAY`
    pub reconnect_delay: Duration,
    /// Longest pause. `REDIS_RECONNECT_DELAY_MAX`
    pub reconnect_delay_max: Duration,
    /// Connections for what waits at the server, at most. `REDIS_POOL_SIZE`
    pub pool_size: usize,
    /// Longest time that a caller waits for its turn. `REDIS_POOL_TIMEOUT`
    pub pool_timeout: Duration,
    /// Certificates in PEM of the authorities that vouch for servers with TLS; those of the system if nobody
    /// says. Read with each connection, so that a new one is taken without a restart. `REDIS_CA_FILE`
    pub authorities: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            target: Target::parse(URL).expect("it is written above"),
            timeout: Duration::from_secs(1),
            reconnect_attempts: 3,
            reconnect_delay: Duration::from_millis(500),
            reconnect_delay_max: Duration::from_secs(5),
            pool_size: POOL_SIZE,
            pool_timeout: Duration::from_secs(6),
            authorities: None,
        }
    }
}

/// A setting that cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// Not where a server could be.
    #[error("`{name}` names no Redis server")]
    Url {
        /// Which setting.
        name: &'static str,
        /// What is wrong with it.
        #[source]
        source: UrlError,
    },
    /// Not a time.
    #[error("`{name}` is `{found}` and not a number of seconds from 0.001 to 3600")]
    Seconds {
        /// Which setting.
        name: &'static str,
        /// What it is.
        found: String,
    },
    /// Not a number.
    #[error("`{name}` is `{found}` and not a whole number from {least} to 10000")]
    Number {
        /// Which setting.
        name: &'static str,
        /// What it is.
        found: String,
        /// What it is at least.
        least: usize,
    },
}

impl Settings {
    /// The settings that somebody gave by name, as `REDIS_URL` in the environment, and defaults for the others.
    /// The pool is as large as `RAILS_MAX_THREADS` says, unless `REDIS_POOL_SIZE` says otherwise.
    ///
    /// ```
    /// use forebay_redis::connect::Settings;
    /// let given = |name: &str| (name == "REDIS_TIMEOUT").then(|| "2.5".to_owned());
    /// assert_eq!(Settings::from_env(given)?.timeout.as_millis(), 2_500);
    /// # Ok::<(), forebay_redis::connect::SettingsError>(())
    /// ```
    ///
    /// # Errors
    /// One of them cannot be followed.
    pub fn from_env(lookup: impl Fn(&str) -> Option<String>) -> Result<Settings, SettingsError> {
        // What is empty is not set: that is how a variable is taken back in many places.
        let given = |name: &str| lookup(name).filter(|text| !text.trim().is_empty());
        let base = Settings::default();
        let target = match given("REDIS_URL") {
            None => base.target,
            Some(url) => Target::parse(url.trim())
                .map_err(|source| SettingsError::Url { name: "REDIS_URL", source })?,
        };
        let seconds = |name, default| given(name).map_or(Ok(default), |text| seconds(name, text));
        let number = |name, least, default| {
            given(name).map_or(Ok(default), |text| number(name, text, least))
        };
        let threads = number("RAILS_MAX_THREADS", 1, base.pool_size)?;
        Ok(Settings {
            target,
            timeout: seconds("REDIS_TIMEOUT", base.timeout)?,
            reconnect_attempts: number("REDIS_RECONNECT_ATTEMPTS", 0, base.reconnect_attempts)?,
            reconnect_delay: seconds("REDIS_RECONNECT_DELAY", base.reconnect_delay)?,
            reconnect_delay_max: seconds("REDIS_RECONNECT_DELAY_MAX", base.reconnect_delay_max)?,
            pool_size: number("REDIS_POOL_SIZE", 1, threads)?,
            pool_timeout: seconds("REDIS_POOL_TIMEOUT", base.pool_timeout)?,
            authorities: given("REDIS_CA_FILE").map(PathBuf::from),
        })
    }

    /// Pause before the next attempt, of which so many were made.
    pub(super) fn delay(&self, attempts: usize) -> Duration {
        let doublings = u32::try_from(attempts).unwrap_or(u32::MAX).min(20);
        self.reconnect_delay.saturating_mul(1 << doublings).min(self.reconnect_delay_max)
    }
}

fn seconds(name: &'static str, found: String) -> Result<Duration, SettingsError> {
    match found.trim().parse::<f64>() {
        Ok(seconds) if (0.001..=LONGEST_SECONDS).contains(&seconds) => {
            Ok(Duration::from_secs_f64(seconds))
        }
        _ => Err(SettingsError::Seconds { name, found }),
    }
}

fn number(name: &'static str, found: String, least: usize) -> Result<usize, SettingsError> {
    match found.trim().parse::<usize>() {
        Ok(number) if (least..=MOST).contains(&number) => Ok(number),
        _ => Err(SettingsError::Number { name, found, least }),
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;

    fn given<'a>(all: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
        move |name| all.iter().find(|(it, _)| *it == name).map(|(_, text)| (*text).to_owned())
    }

    #[test]
    fn nothing_given_is_the_defaults() {
        assert_eq!(Settings::from_env(|_| None).unwrap(), Settings::default());
        let empty = Settings::from_env(|_| Some(" ".into())).unwrap();
        assert_eq!(empty, Settings::default());
    }

    #[test]
    fn each_is_followed() {
        let settings = Settings::from_env(given(&[
            ("REDIS_URL", "redis://:secret@host:7000/3"),
            ("REDIS_TIMEOUT", "0.25"),
            ("REDIS_RECONNECT_ATTEMPTS", "0"),
            ("REDIS_RECONNECT_DELAY", "0.1"),
            ("REDIS_RECONNECT_DELAY_MAX", "1"),
            ("RAILS_MAX_THREADS", "7"),
            ("REDIS_POOL_TIMEOUT", "9"),
            ("REDIS_CA_FILE", "/etc/redis/ca.pem"),
        ]))
        .unwrap();
        assert_eq!(settings.timeout, Duration::from_millis(250));
        assert_eq!((settings.reconnect_attempts, settings.pool_size), (0, 7));
        assert_eq!(settings.pool_timeout, Duration::from_secs(9));
        assert_eq!(settings.authorities, Some(PathBuf::from("/etc/redis/ca.pem")));
        assert_eq!(settings.delay(0), Duration::from_millis(100));
        assert_eq!(settings.delay(2), Duration::from_millis(400));
        assert_eq!(settings.delay(60), Duration::from_secs(1));
        let both = [("RAILS_MAX_THREADS", "7"), ("REDIS_POOL_SIZE", "3")];
        assert_eq!(Settings::from_env(given(&both)).unwrap().pool_size, 3);
    }

    #[test]
    fn what_cannot_be_followed_is_one_sentence() {
        for (name, text, says) in [
            (
                "REDIS_TIMEOUT",
                "1s",
                "`REDIS_TIMEOUT` is `1s` and not a number of seconds from 0.001 to 3600",
            ),
            (
                "REDIS_TIMEOUT",
                "0",
                "`REDIS_TIMEOUT` is `0` and not a number of seconds from 0.001 to 3600",
            ),
            (
                "REDIS_TIMEOUT",
                "NaN",
                "`REDIS_TIMEOUT` is `NaN` and not a number of seconds from 0.001 to 3600",
            ),
            (
                "REDIS_POOL_SIZE",
                "0",
                "`REDIS_POOL_SIZE` is `0` and not a whole number from 1 to 10000",
            ),
            (
                "REDIS_RECONNECT_ATTEMPTS",
                "-1",
                "`REDIS_RECONNECT_ATTEMPTS` is `-1` and not a whole number from 0 to 10000",
            ),
            (
                "REDIS_URL",
                "http://x",
                "`REDIS_URL` names no Redis server: the scheme is none of `redis`, `rediss`, `unix`, `redis+unix`, `redis+sentinel` and `rediss+sentinel`",
            ),
        ] {
            let error = Settings::from_env(given(&[(name, text)])).unwrap_err();
            let source = error.source().map(|it| format!(": {it}")).unwrap_or_default();
            assert_eq!(format!("{error}{source}"), says);
        }
    }
}
