//! The machine: which cores serve and which ask, and what a tree of processes has used.

use std::collections::HashMap;
use std::fs;
use std::process::Command;
use std::time::Duration;

/// Cores and units.
#[derive(Debug, Clone)]
pub(super) struct Machine {
    /// The core of the server under test.
    pub(super) server_core: usize,
    /// All other cores, for the clients and the origin, as `taskset` reads them.
    pub(super) client_cores: String,
    /// A second core for the server; a client core too on a machine with two.
    pub(super) second_core: usize,
    ticks_per_second: u64,
}

/// Processor time.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cpu {
    pub(super) user: Duration,
    pub(super) system: Duration,
}

impl Machine {
    pub(super) fn look() -> Result<Machine, String> {
        let status = read("/proc/self/status")?;
        let allowed = status
            .lines()
            .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))
            .map(|list| cores(list.trim()))
            .unwrap_or_default();
        let [server_core, second_core, ..] = allowed[..] else {
            return Err("two cores are needed: one serves, the other asks".to_owned());
        };
        let clients: Vec<String> = allowed.iter().skip(1).map(ToString::to_string).collect();
        raise_descriptors()?;
        Ok(Machine {
            server_core,
            client_cores: clients.join(","),
            second_core,
            ticks_per_second: output("getconf", &["CLK_TCK"])?.trim().parse().unwrap_or(100),
        })
    }

    /// What the process and all below it have used, the dead children included.
    pub(super) fn cpu_of_tree(&self, root: u32) -> Result<Cpu, String> {
        let processes = processes()?;
        let mut ticks = [0; 2];
        for process in tree(root, &processes) {
            ticks[0] += process.user_ticks;
            ticks[1] += process.system_ticks;
        }
        let time = |ticks: u64| Duration::from_micros(ticks * 1_000_000 / self.ticks_per_second);
        Ok(Cpu { user: time(ticks[0]), system: time(ticks[1]) })
    }
}

/// Proportional set size in bytes of the process and all below it: shared pages count once.
pub(super) fn memory_of_tree(root: u32) -> Result<u64, String> {
    let mut total = 0;
    for process in tree(root, &processes()?) {
        let rollup = read(&format!("/proc/{}/smaps_rollup", process.pid))?;
        let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap_or_default();
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap_or_default();
        total += kib * 1024;
    }
    Ok(total)
}

/// A line on what this machine is.
pub(super) fn describe() -> String {
    let cpu = read("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown processor", |(_, model)| model);
    let count = cpu.lines().filter(|line| line.starts_with("processor")).count();
    let kernel = read("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{model}, {count} logical cores, Linux {}", kernel.trim())
}

/// Runs a program and gives its standard output and error.
pub(super) fn output(program: &str, args: &[&str]) -> Result<String, String> {
    let output = Command::new(program)
        .args(args)
        .output()
        .map_err(|error| format!("cannot run `{program}`: {error}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let both = text(&output.stdout) + &text(&output.stderr);
    if output.status.success() {
        Ok(both)
    } else {
        Err(format!("`{program} {}` failed: {}", args.join(" "), both.trim()))
    }
}

/// Ten thousand connections need more descriptors than the usual soft limit; what we start
/// inherits ours.
fn raise_descriptors() -> Result<(), String> {
    let limits = read("/proc/self/limits")?;
    let line = limits.lines().find(|line| line.starts_with("Max open files"));
    let Some(hard) = line.and_then(|line| line.split_whitespace().nth(4)) else {
        return Err("no limit of open files in `/proc/self/limits`".to_owned());
    };
    let pid = std::process::id().to_string();
    output("prlimit", &["--pid", &pid, &format!("--nofile={hard}:{hard}")]).map(drop)
}

#[derive(Debug)]
struct Process {
    pid: u32,
    parent: u32,
    user_ticks: u64,
    system_ticks: u64,
}

impl Process {
    /// From `/proc/PID/stat`; the name in brackets may hold anything, so fields count from its end.
    fn read(stat: &str) -> Option<Process> {
        let pid = stat.split(' ').next()?.parse().ok()?;
        let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
        let number = |place: usize| fields.get(place)?.parse::<u64>().ok();
        Some(Process {
            pid,
            parent: u32::try_from(number(1)?).ok()?,
            user_ticks: number(11)? + number(13)?,
            system_ticks: number(12)? + number(14)?,
        })
    }
}

fn processes() -> Result<Vec<Process>, String> {
    let folder = fs::read_dir("/proc").map_err(|error| format!("cannot read `/proc`: {error}"))?;
    let stats = folder.filter_map(|entry| fs::read_to_string(entry.ok()?.path().join("stat")).ok());
    Ok(stats.filter_map(|stat| Process::read(&stat)).collect())
}

fn tree(root: u32, processes: &[Process]) -> Vec<&Process> {
    let parents: HashMap<u32, u32> = processes.iter().map(|p| (p.pid, p.parent)).collect();
    let is_below = |process: &&Process| {
        std::iter::successors(Some(process.pid), |pid| parents.get(pid).copied())
            .take(64)
            .any(|pid| pid == root)
    };
    processes.iter().filter(is_below).collect()
}

/// `0-2,5` to numbers.
fn cores(list: &str) -> Vec<usize> {
    let range = |part: &str| {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        Some(from.parse::<usize>().ok()?..=to.parse().ok()?)
    };
    list.split(',').filter_map(range).flatten().collect()
}

fn read(path: &str) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("cannot read `{path}`: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_blanks_does_not_shift_the_fields() {
        let process = Process::read("12 (a ) b) S 7 1 1 0 -1 0 0 0 0 0 5 6 1 2 20 0 1 0").unwrap();
        let ticks = (process.user_ticks, process.system_ticks);
        assert_eq!((process.pid, process.parent, ticks), (12, 7, (6, 8)));
    }

    #[test]
    fn lists_of_cores_are_read() {
        assert_eq!(cores("0-2,5"), [0, 1, 2, 5]);
    }

    #[test]
    fn a_tree_holds_grandchildren_and_nobody_else() {
        let process = |pid, parent| Process { pid, parent, user_ticks: 0, system_ticks: 0 };
        let all = [process(1, 0), process(5, 1), process(6, 5), process(7, 6), process(8, 1)];
        let found: Vec<u32> = tree(5, &all).iter().map(|process| process.pid).collect();
        assert_eq!(found, [5, 6, 7]);
    }
}
