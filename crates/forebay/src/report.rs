//! Everything the binary prints: data to standard output, talk and problems to standard error.

use std::error::Error as StdError;
use std::fmt;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use forebay_edge::error::with_causes;

/// A number of things, as a person says it.
pub(crate) fn counted(count: usize, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}

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
        say(&self.to_string());
        ExitCode::from(self.code)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.sentence())
    }
}

impl Problem {
    /// The same without the word in front, for somebody else to report.
    pub(crate) fn sentence(&self) -> String {
        let mut text = self.what.clone();
        if let Some(why) = &self.why {
            text = text + ": " + &with_causes(&**why);
        }
        match &self.hint {
            Some(hint) => text + "\n\nhint: " + hint,
            None => text,
        }
    }
}

/// Data. A reader that goes away is not an error; a disk that is full is.
pub(crate) fn data(text: &str) {
    let mut out = std::io::stdout().lock();
    if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        let is_reader_gone = error.kind() == std::io::ErrorKind::BrokenPipe;
        if !is_reader_gone {
            say(&format!("error: cannot write the answer: {error}"));
        }
        std::process::exit(if is_reader_gone { 0 } else { 2 });
    }
}

/// Talk. Whoever does not listen, or has no room for it, does not end a server.
pub(crate) fn say(text: &str) {
    drop(writeln!(std::io::stderr().lock(), "{text}"));
}

/// A question with a yes or no; no without a terminal.
pub(crate) fn confirm(question: &str) -> bool {
    drop(write!(std::io::stderr().lock(), "{question} [y/N] "));
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
}

/// Events of the process go to standard error; `RUST_LOG` chooses more or fewer.
pub(crate) fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    let is_plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && !is_plain)
        // It would panic where standard error is closed or full.
        .log_internal_errors(false);
    // A second call, in a test, finds one in place and leaves it.
    drop(subscriber.try_init());
}
