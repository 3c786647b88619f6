//! wrk, h2load and the instruments: started on the clients' cores, their answers read.

use std::collections::HashMap;
use std::process::{Command, Stdio};

use super::servers::{Running, Wire};
use super::stage::Stage;

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Client {
    /// wrk, HTTP/1.1 with keep-alive on this many connections.
    KeepAlive(usize),
    /// wrk, a new connection for each request.
    Close,
    /// h2load: 32 connections with 8 streams each.
    Http2,
}

/// What a run of a client brought.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Load {
    pub(super) requests: u64,
    pub(super) failed: u64,
    /// wrk alone tells it.
    pub(super) p99_us: Option<f64>,
}

/// Asks for `path` for `seconds`.
pub(super) fn drive(
    stage: &Stage<'_>,
    server: &Running<'_>,
    client: Client,
    path: &str,
    seconds: u64,
) -> Result<Load, String> {
    let scheme = if server.wire == Wire::Tls { "https" } else { "http" };
    let url = format!("{scheme}://127.0.0.1:{}{path}", server.port);
    let duration = seconds.to_string();
    let mut command = Command::new("taskset");
    command.args(["-c", &stage.machine.client_cores]);
    match client {
        Client::KeepAlive(connections) => {
            let connections = connections.to_string();
            command.args(["wrk", "-t", "1", "-c", &connections, "-d", &duration, "--latency"]);
            command.args(["-H", "Host: localhost"]);
        }
        Client::Close => {
            command.args(["wrk", "-t", "1", "-c", "32", "-d", &duration, "--latency"]);
            command.args(["-H", "Host: localhost", "-H", "Connection: close"]);
        }
        Client::Http2 => {
            command.args(["h2load", "-t", "1", "-c", "32", "-m", "8", "-D", &duration]);
            command.args(["-H", ":authority: localhost"]);
        }
    }
    let said = read(command.arg(&url))?;
    let load = match client {
        Client::Http2 => h2load(&said),
        Client::KeepAlive(_) | Client::Close => wrk(&said),
    };
    load.filter(|load| load.requests > 0).ok_or(format!("no requests were made:\n{said}"))
}

/// Runs an instrument and gives its `name=value` pairs.
pub(super) fn measure(stage: &Stage<'_>, args: &[&str]) -> Result<Answers, String> {
    read(&mut stage.instrument(args)).map(|said| Answers::read(&said))
}

/// Runs an instrument while `act` acts, and gives what both brought.
pub(super) fn measure_beside<T>(
    stage: &Stage<'_>,
    args: &[&str],
    act: impl FnOnce() -> Result<T, String>,
) -> Result<(Answers, T), String> {
    let child = stage
        .instrument(args)
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot start an instrument: {error}"))?;
    let outcome = act();
    let output = child.wait_with_output().map_err(|error| format!("an instrument: {error}"))?;
    Ok((Answers::read(&String::from_utf8_lossy(&output.stdout)), outcome?))
}

/// The pairs that an instrument prints.
pub(super) struct Answers(HashMap<String, f64>);

impl Answers {
    pub(super) fn read(said: &str) -> Answers {
        let pairs = said.split_whitespace().filter_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            Some((name.to_owned(), value.parse().ok()?))
        });
        Answers(pairs.collect())
    }

    pub(super) fn value(&self, name: &str) -> Result<f64, String> {
        self.0.get(name).copied().ok_or(format!("an instrument did not say `{name}`"))
    }

    /// An error when an answer failed.
    pub(super) fn all_well(self) -> Result<Answers, String> {
        match self.value("failed")? {
            0.0 => Ok(self),
            failed => Err(format!("{failed} of {} requests failed", self.value("requests")?)),
        }
    }
}

/// Runs a program to its end and gives what it said.
pub(super) fn read(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("cannot run {command:?}: {error}"))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(said);
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    Err(format!("{command:?} failed: {}{said}", complaint.trim()))
}

fn wrk(said: &str) -> Option<Load> {
    let line = |start: &str| said.lines().map(str::trim).find_map(|line| line.strip_prefix(start));
    let total = said.lines().find(|line| line.contains(" requests in "))?;
    let requests = total.split_whitespace().next()?.parse().ok()?;
    let statuses =
        line("Non-2xx or 3xx responses:").map_or(Some(0), |text| text.trim().parse().ok())?;
    // "connect 0, read 0, write 0, timeout 0"
    let sockets = line("Socket errors:")
        .map_or(0, |text| text.split([' ', ',']).filter_map(|word| word.parse::<u64>().ok()).sum());
    let p99_us = line("99%").and_then(micros);
    Some(Load { requests, failed: statuses + sockets, p99_us })
}

/// `1.25ms` to 1250.
fn micros(text: &str) -> Option<f64> {
    let text = text.trim();
    let units = [("us", 1.0), ("ms", 1e3), ("s", 1e6)];
    let (digits, unit) =
        units.iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, unit)))?;
    digits.parse::<f64>().ok().map(|number| (number * unit).round())
}

fn h2load(said: &str) -> Option<Load> {
    // "requests: 9 total, 9 started, 9 done, 9 succeeded, 0 failed, 0 errored, 0 timeout"
    let line = said.lines().find_map(|line| line.strip_prefix("requests:"))?;
    let count = |name: &str| {
        let part = line.split(',').find(|part| part.ends_with(name))?;
        part.split_whitespace().next()?.parse::<u64>().ok()
    };
    let failed = count(" failed")? + count(" errored")? + count(" timeout")?;
    let statuses = said.lines().find_map(|line| line.strip_prefix("status codes:"))?;
    let good: u64 = statuses.split_whitespace().next()?.parse().ok()?;
    let requests = count(" succeeded")?;
    Some(Load { requests, failed: failed.max(requests.saturating_sub(good)), p99_us: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_and_latency_of_wrk_are_read() {
        let said = "  Latency Distribution\n     50%  211.00us\n     99%    2.03ms\n  \
                    287096 requests in 2.00s, 350.46MB read\n  \
                    Socket errors: connect 1, read 2, write 0, timeout 4\n  \
                    Non-2xx or 3xx responses: 10\nRequests/sec: 143548.00\n";
        let load = Load { requests: 287_096, failed: 17, p99_us: Some(2030.0) };
        assert_eq!(wrk(said), Some(load));
    }

    #[test]
    fn h2load_counts_what_is_not_2xx_as_failed() {
        let said = "requests: 100 total, 100 started, 100 done, 90 succeeded, 10 failed, 10 errored, \
                    0 timeout\nstatus codes: 90 2xx, 0 3xx, 10 4xx, 0 5xx\n";
        assert_eq!(h2load(said), Some(Load { requests: 90, failed: 20, p99_us: None }));
    }
}
