//! Everything the binary prints: data to standard output, talk and problems to standard error.

#![expect(clippy::print_stderr, reason = "this is where printing lives")]

use std::error::Error as StdError;
use std::fmt;
use std::io::Write;
use std::process::ExitCode;

/// A problem as a person reads it: what, why, and what to do.
#[derive(Debug)]
pub(crate) struct Problem {
    what: String,
    why: Option<Box<dyn StdError + Send + Sync>>,
    hint: Option<String>,
    code: u8,
}

impl Problem {
    /// A problem that the user can mend: exit code 1.
    pub(crate) fn new(what: impl Into<String>) -> Problem {
        Problem { what: what.into(), why: None, hint: None, code: 1 }
    }

    /// A failure of ours: exit code 2.
    pub(crate) fn ours(what: impl Into<String>) -> Problem {
        Problem { code: 2, ..Problem::new(what) }
    }

    /// A problem that brings its own reasons and hints.
    pub(crate) fn complete(trouble: &dyn fmt::Display) -> Problem {
        Problem::new(trouble.to_string())
    }

    /// Adds the reason.
    #[must_use]
    pub(crate) fn because(mut self, why: impl Into<Box<dyn StdError + Send + Sync>>) -> Problem {
        self.why = Some(why.into());
        self
    }

    /// Adds the reason, if there is one, as text.
    #[must_use]
    pub(crate) fn because_of(self, why: Option<String>) -> Problem {
        match why {
            Some(why) => self.because(why),
            None => self,
        }
    }

    /// Adds what to do.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Problem {
        self.hint = Some(hint.into());
        self
    }

    /// Prints the problem and says how to exit.
    pub(crate) fn report(&self) -> ExitCode {
        eprintln!("{self}");
        ExitCode::from(self.code)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.what)?;
        let mut why = self.why.as_deref().map(|why| why as &dyn StdError);
        while let Some(level) = why {
            write!(f, ": {level}")?;
            why = level.source();
        }
        match &self.hint {
            Some(hint) => write!(f, "\n\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

/// Data. A reader that goes away is not an error.
pub(crate) fn data(text: &str) {
    let mut out = std::io::stdout().lock();
    if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
        std::process::exit(0);
    }
}

/// Talk.
pub(crate) fn say(text: &str) {
    eprintln!("{text}");
}

/// A question with a yes or no; no without a terminal.
pub(crate) fn confirm(question: &str) -> bool {
    eprint!("{question} [y/N] ");
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
}

/// Events of the process go to standard error; `RUST_LOG` chooses more or fewer.
pub(crate) fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second call, in a test, finds one in place and leaves it.
    drop(subscriber.try_init());
}
