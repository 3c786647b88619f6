//! What the command line selects.

use std::path::PathBuf;

use super::servers::Kind;

/// `--help`.
pub(super) const HELP: &str = "\
cargo xtask bench edge [--only CASE[,CASE]] [--quick] [--write]

  --only CASES     cases whose names begin so: hit-1k hit-16k hit-100k hit-1m tls-1k tls-100k
                   tls-new h2-1k h2-100k pass-1k pass-100k file-100k cores memory idle herd misses
                   reload routes purge attack overload instructions configured
  --rounds N       rounds of each case, medians are taken over them (5)
  --seconds N      length of one measurement (2)
  --quick          two rounds of one second and a tenth of the objects: a look, not a result
  --full           also the memory of Varnish (adds some minutes)
  --subject NAME   measure another server in forebay's place: nginx, nginx-nopush, varnish, h2o
  --binary PATH    a forebay that is built already
  --write          put the tables into BENCHMARKING.md";

/// How thorough the run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    Quick,
    Usual,
    Full,
}

/// The command line, checked.
#[derive(Debug)]
pub(super) struct Options {
    pub(super) only: Vec<String>,
    pub(super) rounds: usize,
    pub(super) seconds: u64,
    pub(super) depth: Depth,
    pub(super) subject: Kind,
    pub(super) binary: Option<PathBuf>,
    pub(super) writes: bool,
    pub(super) wants_help: bool,
}

impl Options {
    pub(super) fn read(args: &[String]) -> Result<Options, String> {
        let mut options = Options {
            only: Vec::new(),
            rounds: 0,
            seconds: 0,
            depth: Depth::Usual,
            subject: Kind::Forebay,
            binary: None,
            writes: false,
            wants_help: false,
        };
        let mut args = args.iter().map(String::as_str).skip_while(|arg| *arg == "edge");
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or(format!("`{arg}` needs a value"));
            match arg {
                "--only" => options.only.extend(value()?.split(',').map(str::to_owned)),
                "--rounds" => options.rounds = number(value()?)?,
                "--seconds" => options.seconds = number(value()?)?,
                "--subject" => options.subject = Kind::named(value()?)?,
                "--binary" => options.binary = Some(PathBuf::from(value()?)),
                "--quick" => options.depth = Depth::Quick,
                "--full" => options.depth = Depth::Full,
                "--write" => options.writes = true,
                "--help" | "-h" => options.wants_help = true,
                other => return Err(format!("unknown argument `{other}`\n\n{HELP}")),
            }
        }
        let (rounds, seconds) = if options.depth == Depth::Quick { (2, 1) } else { (5, 2) };
        options.rounds = if options.rounds == 0 { rounds } else { options.rounds };
        options.seconds = if options.seconds == 0 { seconds } else { options.seconds };
        Ok(options)
    }

    /// Whether a case is to be run.
    pub(super) fn selects(&self, case: &str) -> bool {
        selects(&self.only, case)
    }
}

/// Whether a case is among those that are named by their beginnings; all are if none is named.
pub(super) fn selects(only: &[String], case: &str) -> bool {
    only.is_empty() || only.iter().any(|only| case.starts_with(only.as_str()))
}

/// A number that must be given and cannot be 0.
pub(super) fn number<N: std::str::FromStr + PartialOrd + From<u8>>(
    text: &str,
) -> Result<N, String> {
    text.parse()
        .ok()
        .filter(|n| *n > N::from(0))
        .ok_or(format!("`{text}` is not a positive number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Options, String> {
        Options::read(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn only_selects_by_the_beginning_of_a_name() {
        let options = read("edge --only hit,tls-new --quick").unwrap();
        assert!(options.selects("hit-100k") && options.selects("tls-new"));
        assert!(!options.selects("tls-1k"));
        assert_eq!((options.rounds, options.seconds), (2, 1));
    }

    #[test]
    fn what_is_unknown_is_refused() {
        assert!(read("--fast").is_err());
        assert!(read("--rounds 0").is_err());
        assert!(read("--subject apache").is_err());
    }
}
