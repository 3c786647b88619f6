//! What the command line selects.

use std::path::PathBuf;

use super::super::options::{number, selects};

/// `--help`.
pub(super) const HELP: &str = "\
cargo xtask bench jobs [--only CASE[,CASE]] [--quick] [--write]

  --only CASES     cases whose names begin so: noop depth push start sqlite killed
                   kills full metrics memory
  --rounds N       rounds of each case, medians are taken over them (5)
  --seconds N      length of one measurement (2)
  --depth N        jobs of the deep queue in `depth` (5000000)
  --metrics N      jobs of the deep queue in `metrics` (1000000)
  --kills N        workers that are killed in `kills`, on each store (200)
  --seed N         what the moments of these kills are drawn from (1)
  --quick          two rounds of one second, 100,000 jobs, 10 kills: a look, not a result
  --binary PATH    a forebay that is built already, for `memory`
  --write          put the tables into BENCHMARKING.md";

/// The command line, checked.
#[derive(Debug)]
pub(super) struct Options {
    pub(super) only: Vec<String>,
    pub(super) rounds: usize,
    pub(super) seconds: u64,
    pub(super) depth: u64,
    pub(super) metrics: u64,
    pub(super) kills: u64,
    pub(super) seed: u64,
    pub(super) binary: Option<PathBuf>,
    pub(super) is_quick: bool,
    pub(super) writes: bool,
    pub(super) wants_help: bool,
}

impl Options {
    pub(super) fn read(args: &[String]) -> Result<Options, String> {
        let is_quick = args.iter().any(|arg| arg == "--quick");
        let pick = |quick: u64, usual: u64| if is_quick { quick } else { usual };
        let mut options = Options {
            only: Vec::new(),
            rounds: if is_quick { 2 } else { 5 },
            seconds: pick(1, 2),
            depth: pick(100_000, 5_000_000),
            metrics: pick(100_000, 1_000_000),
            kills: pick(10, 200),
            seed: 1,
            binary: None,
            is_quick,
            writes: false,
            wants_help: false,
        };
        let mut args = args.iter().map(String::as_str);
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or(format!("`{arg}` needs a value"));
            match arg {
                "--only" => options.only.extend(value()?.split(',').map(str::to_owned)),
                "--rounds" => options.rounds = number(value()?)?,
                "--seconds" => options.seconds = number(value()?)?,
                "--depth" => options.depth = number(value()?)?,
                "--metrics" => options.metrics = number(value()?)?,
                "--kills" => options.kills = number(value()?)?,
                "--seed" => options.seed = number(value()?)?,
                "--binary" => options.binary = Some(PathBuf::from(value()?)),
                "--quick" => {}
                "--write" => options.writes = true,
                "--help" | "-h" => options.wants_help = true,
                other => return Err(format!("unknown argument `{other}`\n\n{HELP}")),
            }
        }
        Ok(options)
    }

    /// Whether a case is to be run.
    pub(super) fn selects(&self, case: &str) -> bool {
        selects(&self.only, case)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Options, String> {
        Options::read(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn a_number_counts_whether_it_stands_before_or_after_quick() {
        for line in ["--depth 7 --quick", "--quick --depth 7"] {
            let options = read(line).unwrap();
            assert_eq!((options.depth, options.rounds, options.kills), (7, 2, 10), "{line}");
        }
    }

    #[test]
    fn what_is_unknown_is_refused() {
        assert!(read("--fast").is_err());
        assert!(read("--kills 0").is_err());
    }
}
