//! The command line: one declaration for parser, help, man page and completions.

#![expect(clippy::doc_markdown, reason = "these docs are help texts for a terminal")]
#![expect(clippy::struct_excessive_bools, reason = "a flag is true or false")]

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

/// Where client verbs look for a running forebay, and where one opens its admin listener.
pub(crate) const ADMIN: &str = "127.0.0.1:7400";

/// The delivery layer of a web application in one binary.
#[derive(Debug, Parser)]
#[command(
    name = "forebay",
    version,
    disable_help_subcommand = true,
    arg_required_else_help = true,
    max_term_width = 100,
    before_long_help = EXAMPLES,
    after_help = "`forebay VERB --help` teaches a verb, examples first."
)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

const EXAMPLES: &str = "\
Examples:
  forebay run -- bin/rails server                          start an application and stand before it
  forebay run --origin http://10.0.0.5:3000 --listen :80   stand before one that runs already
  forebay run --config forebay.toml                        with routes, policies and certificates
  forebay demo                                             a shop, visitors, and one failing server
  forebay cache why http://shop.example/                   why is this page stored, or not?";

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Stand before an application and answer for it
    Run(Run),
    /// Show a shop behind the edge, with visitors and a server that fails and returns
    Demo(Demo),
    /// Check the settings without running; exit 1 if something is wrong
    Check(Check),
    /// Let the running forebay read its settings again
    Reload(Reload),
    /// Close a route, or all of them, while an application is worked on
    Maintenance(Maintenance),
    /// Mark this moment in the journal: a deploy, a change of something else
    Mark(Mark),
    /// Is it serving, what does the cache do, which origin is sick?
    Status(Status),
    /// What is asked for most, and by whom?
    Top(crate::verbs::top::Top),
    /// Ask about stored answers, and drop them
    #[command(subcommand)]
    Cache(Cache),
    /// Push background jobs, look at them, run them
    #[command(subcommand)]
    Jobs(crate::verbs::jobs::args::Jobs),
    /// Print completions for a shell
    Completions(Completions),
    /// Print the man page
    Man,
    /// Print the version
    Version(Version),
    /// Write the reference
    #[command(hide = true)]
    GenerateDocs(GenerateDocs),
}

/// `forebay run`.
#[derive(Debug, Clone, Args)]
#[command(before_long_help = "\
Examples:
  forebay run -- bin/rails server
      Starts the command with PORT in its environment, waits until it answers, and serves on :8080.
  forebay run --origin http://10.0.0.5:3000 --origin http://10.0.0.6:3000 --listen :80
      Two servers of one application.
  forebay run --origin unix:/run/app.sock --listen https://:443 --tls-cert a.pem --tls-key a.key
      TLS; HTTP/2 comes with it.
  FOREBAY_LISTEN=:80,https://:443 forebay run --config /etc/forebay.toml
      Every option has a variable; a flag beats a variable, and that beats the file.")]
pub(crate) struct Run {
    /// Settings.
    #[command(flatten)]
    pub(crate) settings: Settings,
    /// Command that starts the application; it is told its port in PORT
    #[arg(last = true, value_name = "CMD", conflicts_with = "origin")]
    pub(crate) command: Vec<OsString>,
}

/// Options that are settings.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Settings {
    /// A server of the application: http://host:port, https://host, h2c://host:port or unix:/path;
    /// several are balanced
    #[arg(
        long,
        value_name = "URL",
        env = "FOREBAY_ORIGIN",
        value_delimiter = ',',
        hide_env_values = true
    )]
    pub(crate) origin: Vec<String>,
    /// Where clients connect: :80, 127.0.0.1:8080, https://:443, unix:/path or systemd:NAME [default: :8080]
    #[arg(
        long,
        value_name = "ADDR",
        env = "FOREBAY_LISTEN",
        value_delimiter = ',',
        hide_env_values = true
    )]
    pub(crate) listen: Vec<String>,
    /// Read settings from this TOML file
    #[arg(long, value_name = "FILE", env = "FOREBAY_CONFIG", hide_env_values = true)]
    pub(crate) config: Option<PathBuf>,
    /// A certificate chain in PEM; the listener https://:8443 comes with it unless --listen says else
    #[arg(
        long,
        value_name = "FILE",
        env = "FOREBAY_TLS_CERT",
        value_delimiter = ',',
        hide_env_values = true
    )]
    pub(crate) tls_cert: Vec<PathBuf>,
    /// The private key of the chain at the same position
    #[arg(
        long,
        value_name = "FILE",
        env = "FOREBAY_TLS_KEY",
        value_delimiter = ',',
        hide_env_values = true
    )]
    pub(crate) tls_key: Vec<PathBuf>,
    /// Where operators connect: status, metrics, reload, purge [default: 127.0.0.1:7400]
    #[arg(long, value_name = "ADDR", env = "FOREBAY_ADMIN", hide_env_values = true)]
    pub(crate) admin: Option<String>,
    /// Form of the access log: json, common or off [default: json]
    #[arg(long, value_name = "FORMAT", env = "FOREBAY_LOG", hide_env_values = true)]
    pub(crate) log: Option<String>,
    /// Threads that serve requests [default: one a core]
    #[arg(long, value_name = "N", env = "FOREBAY_CORES", hide_env_values = true)]
    pub(crate) cores: Option<usize>,
    /// Which of them came from the environment.
    #[arg(skip)]
    pub(crate) from_environment: Vec<String>,
}

/// `forebay demo`.
#[derive(Debug, Args)]
#[command(before_long_help = "\
Examples:
  forebay demo                 two servers of a small shop, the edge before them, and visitors
  forebay demo --no-traffic    the same without visitors: you are the only one")]
pub(crate) struct Demo {
    /// Leave it quiet: no visitors but you
    #[arg(long)]
    pub(crate) no_traffic: bool,
    /// Where clients connect [default: :8080]
    #[arg(
        long,
        value_name = "ADDR",
        env = "FOREBAY_LISTEN",
        value_delimiter = ',',
        hide_env_values = true
    )]
    pub(crate) listen: Vec<String>,
    /// Where operators connect
    #[arg(long, value_name = "ADDR", env = "FOREBAY_ADMIN", hide_env_values = true)]
    pub(crate) admin: Option<String>,
}

/// `forebay check`.
#[derive(Debug, Args)]
#[command(before_long_help = "\
Examples:
  forebay check --config forebay.toml             every problem with its place and what to do
  forebay check --config forebay.toml --explain   each value with its origin: flag, file, default
  forebay check --config forebay.toml -- bin/rails server
      The same for `forebay run` with a command, which is not started.")]
pub(crate) struct Check {
    /// Settings.
    #[command(flatten)]
    pub(crate) settings: Settings,
    /// Print each value with its origin
    #[arg(long)]
    pub(crate) explain: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Command that `forebay run` would start
    #[arg(last = true, value_name = "CMD", conflicts_with = "origin")]
    pub(crate) command: Vec<OsString>,
}

/// Where the running forebay is.
#[derive(Debug, Args)]
pub(crate) struct Client {
    /// Admin listener of the running forebay: 127.0.0.1:7400 or unix:/path
    #[arg(long, value_name = "ADDR", env = "FOREBAY_ADMIN", default_value = ADMIN, hide_env_values = true)]
    pub(crate) admin: String,
}

/// `forebay reload`.
#[derive(Debug, Args)]
#[command(before_long_help = "\
Examples:
  forebay reload    reads file, flags and environment of the running forebay again

The new settings are checked whole and taken whole. If something is wrong with them, nothing changes,
the problem is printed and the exit code is 1. No connection is dropped.")]
pub(crate) struct Reload {
    /// Where.
    #[command(flatten)]
    pub(crate) client: Client,
}

/// `forebay maintenance`.
#[derive(Debug, Args)]
#[command(before_long_help = "\
Examples:
  forebay maintenance on                   clients of all routes get 503 and the page of [maintenance]
  forebay maintenance on --route checkout  those of one route
  forebay maintenance off                  as before

It holds until it is ended or forebay is started anew; a reload leaves it as it is. Who passes
meanwhile stands in the settings: `maintenance.allow`.")]
pub(crate) struct Maintenance {
    /// Begin it or end it
    #[arg(value_name = "on|off")]
    pub(crate) state: Switch,
    /// One route, by its name; without it all of them
    #[arg(long, value_name = "NAME")]
    pub(crate) route: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Where.
    #[command(flatten)]
    pub(crate) client: Client,
}

/// `forebay mark`.
#[derive(Debug, Args)]
#[command(before_long_help = "\
Examples:
  forebay mark 'v42 deployed'                 the status shows it until the next mark
  forebay mark 'v42 deployed' --by deploy-bot

Nothing changes by it. Whoever looks later sees in the journal what came before and after.")]
pub(crate) struct Mark {
    /// What happened, in a line
    #[arg(value_name = "TEXT")]
    pub(crate) what: String,
    /// Who did it
    #[arg(long = "by", value_name = "NAME", default_value = "operator")]
    pub(crate) who: String,
    /// Where.
    #[command(flatten)]
    pub(crate) client: Client,
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Switch {
    /// Begin it.
    On,
    /// End it.
    Off,
}

/// `forebay status`.
#[derive(Debug, Args)]
#[command(before_long_help = "\
Examples:
  forebay status          a live view; ends with Ctrl-C
  forebay status --once   the same, once
  forebay status --json   for programs")]
pub(crate) struct Status {
    /// Where.
    #[command(flatten)]
    pub(crate) client: Client,
    /// Print once and end
    #[arg(long)]
    pub(crate) once: bool,
    /// Print JSON, once
    #[arg(long)]
    pub(crate) json: bool,
}

/// `forebay cache`.
#[derive(Debug, Subcommand)]
pub(crate) enum Cache {
    /// Say how a request would be answered: key, what is stripped, decision, and the rule behind it
    Why(Why),
    /// Drop stored answers
    Purge(Purge),
}

/// `forebay cache why`.
#[derive(Debug, Args)]
#[command(before_long_help = "\
Examples:
  forebay cache why http://shop.example/
  forebay cache why https://shop.example/cart -H 'Cookie: session=1' -H 'Accept-Language: de'")]
pub(crate) struct Why {
    /// Address, as a client asks for it
    #[arg(value_name = "URL")]
    pub(crate) url: String,
    /// A field of the request: `Name: value`
    #[arg(short = 'H', long = "header", value_name = "FIELD", value_parser = field)]
    pub(crate) headers: Vec<(String, String)>,
    /// Address of the client; without it, this machine
    #[arg(long, value_name = "IP")]
    pub(crate) from: Option<IpAddr>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Where.
    #[command(flatten)]
    pub(crate) client: Client,
}

/// `forebay cache purge`.
#[derive(Debug, Args)]
#[command(before_long_help = "\
Examples:
  forebay cache purge https://shop.example/products/7            every stored variant of one address
  forebay cache purge --prefix https://shop.example/products/    every address that begins so
  forebay cache purge --tag product-7 --tag shelf --soft         stale from now on, not gone
  forebay cache purge --all --dry-run                            how many would that be?
  forebay cache purge --all --yes                                without asking")]
#[group(id = "what", required = true, multiple = true, args = ["urls", "prefixes", "hosts", "tags", "everything"])]
pub(crate) struct Purge {
    /// Addresses whose answers are dropped, every variant of each
    #[arg(value_name = "URL")]
    pub(crate) urls: Vec<String>,
    /// Drop every address that begins so; may be repeated
    #[arg(long = "prefix", value_name = "URL")]
    pub(crate) prefixes: Vec<String>,
    /// Drop all addresses of a host, over http and https; may be repeated
    #[arg(long = "host", value_name = "HOST")]
    pub(crate) hosts: Vec<String>,
    /// Drop the answers that bear this tag (Surrogate-Key, Cache-Tag); may be repeated
    #[arg(long = "tag", value_name = "TAG")]
    pub(crate) tags: Vec<String>,
    /// Drop all stored answers
    #[arg(long = "all", alias = "everything", conflicts_with_all = ["urls", "prefixes", "hosts", "tags"])]
    pub(crate) everything: bool,
    /// Make answers stale in place of dropping them: used only as stale ones may be
    #[arg(long)]
    pub(crate) soft: bool,
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
    /// Say how many answers would be dropped, and drop none
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Where.
    #[command(flatten)]
    pub(crate) client: Client,
}

/// `forebay completions`.
#[derive(Debug, Args)]
#[command(before_long_help = "\
Examples:
  forebay completions bash > ~/.local/share/bash-completion/completions/forebay
  forebay completions zsh > ~/.zfunc/_forebay
  forebay completions fish > ~/.config/fish/completions/forebay.fish")]
pub(crate) struct Completions {
    /// Shell
    #[arg(value_enum, value_name = "SHELL")]
    pub(crate) shell: Shell,
}

/// A shell that completions are made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    /// GNU Bash
    Bash,
    /// Z shell
    Zsh,
    /// fish
    Fish,
}

/// `forebay version`.
#[derive(Debug, Args)]
pub(crate) struct Version {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `forebay generate-docs`, for the project's own use.
#[derive(Debug, Args)]
pub(crate) struct GenerateDocs {
    /// Folder to write to
    pub(crate) folder: PathBuf,
}

/// Parses arguments, the program's name first, and the environment.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let matches = Cli::command().try_get_matches_from(arguments)?;
    let mut cli = Cli::from_arg_matches(&matches)?;
    let settings = match &mut cli.verb {
        Verb::Run(run) => &mut run.settings,
        Verb::Check(check) => &mut check.settings,
        _ => return Ok(cli),
    };
    if let Some((_, matches)) = matches.subcommand() {
        settings.from_environment = from_environment(matches);
    }
    Ok(cli)
}

fn from_environment(matches: &ArgMatches) -> Vec<String> {
    let is_variable = |id: &&str| matches.value_source(id) == Some(ValueSource::EnvVariable);
    matches.ids().map(clap::Id::as_str).filter(is_variable).map(str::to_owned).collect()
}

fn field(text: &str) -> Result<(String, String), String> {
    match text.split_once(':') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        }
        _ => Err("write `Name: value`".into()),
    }
}

/// Completions for a shell.
pub(crate) fn completions(shell: Shell) -> Vec<u8> {
    let shell = match shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "forebay", &mut text);
    text
}
