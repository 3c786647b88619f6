//! Flags, environment and file to one checked config; each value knows where it came from.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::net::{Ipv6Addr, UdpSocket};
use std::path::Path;

use forebay_edge::config::Config;
use forebay_edge::config::file::{
    self, FLAG_ORIGIN, Layer, Machine, Problem, Problems, Source, Value,
};
use serde_json::{Value as Json, json};

use crate::cli::Settings;
use crate::jobs::config::{self, Around};
use crate::jobs::{self, Jobs};
use crate::otel;

/// A config file, a certificate or an error page above this size is a mistake.
const MOST_BYTES: u64 = 16 << 20;

/// Why there is no config: what is wrong, one after the other, each with its place and what to do.
#[derive(Debug)]
pub(crate) struct Trouble(Vec<Problem>);

/// Settings that passed every check.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// The edge's.
    pub(crate) config: Config,
    /// Those of jobs, if the file speaks of them.
    pub(crate) jobs: Option<Jobs>,
    /// Each value with its origin.
    pub(crate) values: Vec<Value>,
}

/// Reads everything and checks it whole. `app` is the port of the application that `forebay run -- CMD`
/// starts. What is wrong with variables that are not ours is told and ignored.
pub(crate) fn load(settings: &Settings, app: Option<u16>) -> Result<Loaded, Trouble> {
    let (loaded, ignored) = read_all(settings, app)?;
    for Problem { place, text, .. } in ignored {
        tracing::warn!(
            problem = format!("{place}: {text}"),
            "a variable of OpenTelemetry is ignored"
        );
    }
    Ok(loaded)
}

/// The same for somebody who asks whether all is good: what [`load`] ignores is wrong too.
pub(crate) fn check(settings: &Settings, app: Option<u16>) -> Result<Loaded, Trouble> {
    let (loaded, ignored) = read_all(settings, app)?;
    if ignored.is_empty() { Ok(loaded) } else { Err(Trouble(ignored)) }
}

fn read_all(settings: &Settings, app: Option<u16>) -> Result<(Loaded, Vec<Problem>), Trouble> {
    let mut layers = layers(settings, app)?;
    let mut around = Around::read();
    layers.extend(around.layers());
    if let Some(path) = &settings.config {
        let text = read_config(path)?;
        layers.push(Layer { source: Source::File(path.display().to_string()), text });
    }
    let folder = settings.config.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
    let machine = Machine { read: &read, is_folder: &Path::is_dir, folder, has_ipv6: has_ipv6() };
    let read = file::read_with(&layers, &machine, &jobs::reference::SECTIONS, |reader| {
        around.of_file(reader)
    });
    let (file::Loaded { config, values }, jobs) =
        read.map_err(|Problems(problems)| Trouble(problems))?;
    let mut loaded = Loaded { config, jobs, values };
    let (otlp, ignored) = otel::of_process();
    loaded.config.otlp = otlp;
    check_the_application_is_used(settings, app, &loaded)?;
    Ok((loaded, ignored))
}

/// The settings of jobs for verbs that need nothing else: of what the file says besides, nothing is checked.
pub(crate) fn jobs(store: Option<&str>, config: Option<&Path>) -> Result<Jobs, Trouble> {
    let file = config.map(|path| Ok((path, read_config(path)?))).transpose()?;
    config::for_verbs(store, file.as_ref(), &read).map_err(|Problems(problems)| Trouble(problems))
}

/// Each flag is a layer of one key, flags before variables.
fn layers(settings: &Settings, app: Option<u16>) -> Result<Vec<Layer>, Trouble> {
    let mut layers = Layers { settings, flags: Vec::new(), variables: Vec::new() };
    if let Some(port) = app {
        let text = origin(&[format!("http://127.0.0.1:{port}")]);
        layers.flags.push(Layer { source: Source::Flag("-- CMD"), text });
    } else if !settings.origin.is_empty() {
        layers.add(&ORIGIN, origin(&settings.origin));
    }
    if !settings.listen.is_empty() {
        layers.add(&LISTEN, key("listen", "on", &json!(settings.listen)));
    }
    if !settings.tls_cert.is_empty() || !settings.tls_key.is_empty() {
        layers.add(&TLS_CERT, certificates(settings)?);
    }
    if let Some(admin) = &settings.admin {
        layers.add(&ADMIN, key("admin", "listen", &json!(admin)));
    }
    if let Some(format) = &settings.log {
        layers.add(&LOG, key("log", "format", &json!(format)));
    }
    if let Some(cores) = settings.cores {
        layers.add(&CORES, key("listen", "cores", &json!(cores)));
    }
    layers.flags.append(&mut layers.variables);
    Ok(layers.flags)
}

/// How an option is called by the parser, on the command line and in the environment.
struct Called {
    id: &'static str,
    flag: &'static str,
    variable: &'static str,
}

const ORIGIN: Called = Called { id: "origin", flag: "--origin", variable: "FOREBAY_ORIGIN" };
const LISTEN: Called = Called { id: "listen", flag: "--listen", variable: "FOREBAY_LISTEN" };
const TLS_CERT: Called =
    Called { id: "tls_cert", flag: "--tls-cert", variable: "FOREBAY_TLS_CERT" };
const ADMIN: Called = Called { id: "admin", flag: "--admin", variable: "FOREBAY_ADMIN" };
const LOG: Called = Called { id: "log", flag: "--log", variable: "FOREBAY_LOG" };
const CORES: Called = Called { id: "cores", flag: "--cores", variable: "FOREBAY_CORES" };

struct Layers<'s> {
    settings: &'s Settings,
    flags: Vec<Layer>,
    variables: Vec<Layer>,
}

impl Layers<'_> {
    fn add(&mut self, called: &Called, text: String) {
        if self.settings.from_environment.iter().any(|id| id == called.id) {
            self.variables.push(Layer { source: Source::Variable(called.variable), text });
        } else {
            self.flags.push(Layer { source: Source::Flag(called.flag), text });
        }
    }
}

/// JSON's texts, numbers and lists of texts are TOML's too.
fn key(section: &str, key: &str, value: &Json) -> String {
    format!("[{section}]\n{key} = {value}\n")
}

fn origin(servers: &[String]) -> String {
    format!("[[origin]]\nname = \"{FLAG_ORIGIN}\"\nservers = {}\n", json!(servers))
}

fn certificates(settings: &Settings) -> Result<String, Trouble> {
    let (chains, keys) = (&settings.tls_cert, &settings.tls_key);
    if chains.len() != keys.len() {
        return Err(trouble(
            format!("there are {} of `--tls-cert` and {} of `--tls-key`", chains.len(), keys.len()),
            "give both for each certificate, in the same order",
        ));
    }
    let pair = |(chain, key): (&std::path::PathBuf, &std::path::PathBuf)| {
        format!(
            "{{ chain = {}, key = {} }}",
            json!(chain.display().to_string()),
            json!(key.display().to_string())
        )
    };
    let pairs: Vec<String> = chains.iter().zip(keys).map(pair).collect();
    Ok(format!("[listen]\ncertificates = [{}]\n", pairs.join(", ")))
}

/// An application that no route asks would be a silent mistake.
fn check_the_application_is_used(
    settings: &Settings,
    app: Option<u16>,
    loaded: &Loaded,
) -> Result<(), Trouble> {
    if app.is_none() && settings.origin.is_empty() {
        return Ok(());
    }
    if loaded.config.routes.iter().any(|route| route.asks(FLAG_ORIGIN)) {
        return Ok(());
    }
    let what = if app.is_some() { "the command" } else { "`--origin`" };
    Err(trouble(
        format!("no route asks the application of {what}: it is the origin `{FLAG_ORIGIN}`"),
        format!("write `origin = \"{FLAG_ORIGIN}\"` in a route of the config file"),
    ))
}

fn read_config(path: &Path) -> Result<String, Trouble> {
    let text = read(path).and_then(|bytes| {
        String::from_utf8(bytes).map_err(|_| io::Error::other("it is not UTF-8 text"))
    });
    text.map_err(|error| {
        trouble(
            format!("cannot read the config file `{}`: {error}", path.display()),
            "check the path given by `--config` or `FOREBAY_CONFIG`",
        )
    })
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = File::open(path)?.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
    if read as u64 > MOST_BYTES {
        return Err(io::Error::other("it is larger than 16 MiB"));
    }
    Ok(bytes)
}

/// Containers often have no IPv6; then `:80` is one listener.
fn has_ipv6() -> bool {
    UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}

fn trouble(text: impl Into<String>, hint: impl Into<String>) -> Trouble {
    let (text, hint) = (text.into(), Some(hint.into()));
    Trouble(vec![Problem { place: String::new(), text, hint }])
}

impl Trouble {
    /// All of it.
    pub(crate) fn problems(&self) -> &[Problem] {
        &self.0
    }
}

impl fmt::Display for Trouble {
    /// For printing after `error: `, which is repeated before each further problem.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.0.iter().enumerate() {
            let gap = if at == 0 { "" } else { "\n\nerror: " };
            write!(f, "{gap}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Trouble {}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
