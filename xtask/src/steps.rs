//! Named steps, each timed; all of them run, and the first failure is not the last thing seen.

use std::process::Command;
use std::time::{Duration, Instant};

use forebay_signals::clock;

use crate::Outcome;

/// Steps of one task.
#[derive(Debug)]
pub(crate) struct Steps {
    task: &'static str,
    began: Instant,
    lines: Vec<String>,
    failed: Vec<String>,
}

impl Steps {
    pub(crate) fn begin(task: &'static str) -> Steps {
        Steps { task, began: clock::now(), lines: Vec::new(), failed: Vec::new() }
    }

    /// Runs a step; what it returns on success is a remark for the summary.
    pub(crate) fn step(&mut self, name: &str, work: impl FnOnce() -> Result<String, String>) {
        say(&format!("{}: {name} …", self.task));
        let began = clock::now();
        let outcome = work();
        let took = seconds(clock::now() - began);
        let (word, remark) = match &outcome {
            Ok(remark) => ("ok", remark.as_str()),
            Err(reason) => {
                say(&format!("{reason}\n"));
                self.failed.push(name.to_owned());
                ("FAILED", "")
            }
        };
        let line = format!("  {name:<24} {word:<7} {took:>8}  {remark}");
        self.lines.push(line.trim_end().to_owned());
    }

    /// Notes a step that was not run, and why.
    pub(crate) fn skip(&mut self, name: &str, reason: &str) {
        self.lines.push(format!("  {name:<24} skipped {:>8}  {reason}", ""));
    }

    /// Prints the summary.
    pub(crate) fn end(self) -> Outcome {
        let took = seconds(clock::now() - self.began);
        say(&format!("\n{} in {took}\n{}\n", self.task, self.lines.join("\n")));
        if self.failed.is_empty() {
            return Ok(());
        }
        Err(format!("{} failed: {}", self.task, self.failed.join(", ")))
    }
}

/// Runs a command in the foreground; an error names it.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    let status =
        command.status().map_err(|error| format!("cannot run {}: {error}", words(command)))?;
    if status.success() { Ok(()) } else { Err(format!("{} ended with {status}", words(command))) }
}

/// What a command prints, if it succeeds.
pub(crate) fn output(command: &mut Command) -> Result<String, String> {
    let output =
        command.output().map_err(|error| format!("cannot run {}: {error}", words(command)))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{} ended with {}\n{said}", words(command), output.status))
}

/// The command as it would be typed.
fn words(command: &Command) -> String {
    let words: Vec<_> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect();
    format!("`{}`", words.join(" "))
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

/// Talk, to stderr.
#[expect(clippy::print_stderr, reason = "this is where the tasks talk")]
pub(crate) fn say(text: &str) {
    eprintln!("{text}");
}

/// Data, to stdout.
#[expect(clippy::print_stdout, reason = "this is where the tasks print")]
pub(crate) fn print(text: &str) {
    print!("{text}");
}
