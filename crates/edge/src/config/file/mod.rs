//! The config file: raw TOML in, one checked [`Config`] out, or every problem at once.
//!
//! In: layers of TOML text, the strongest first. A flag and a variable of the environment are layers of
//! one key each, so that they are read, checked and complained about by the same code as the file.
//! Out: the settings and, for each value, where it came from; or [`Problems`], each with its place, the
//! value and what to do. Key by key over the spanned document and not through derived structs, because
//! those stop at the first unknown key and forget where it stood. It opens no file by itself: the caller's
//! [`Machine`] does.

mod acme;
mod early_hints;
mod forward_auth;
mod geo;
mod listeners;
mod maintenance;
mod mirror;
mod origins;
mod policies;
mod problem;
mod purge;
mod rates;
mod reader;
pub mod reference;
mod rooms;
mod route_files;
mod routes;
mod setting;
mod shadow;
mod splits;
mod statsd;
mod terms;
mod users;

use std::fmt;
use std::io;
use std::path::Path;

pub use problem::{Problem, Problems};
pub use routes::FLAG_ORIGIN;

use super::Config;
use reader::Reader;

/// Where a layer comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A flag, with its dashes.
    Flag(&'static str),
    /// A variable of the environment.
    Variable(&'static str),
    /// The file, by the name it was given.
    File(String),
}

/// One layer of settings.
#[derive(Debug, Clone)]
pub struct Layer {
    /// From where.
    pub source: Source,
    /// TOML.
    pub text: String,
}

/// What the checks may ask of the machine. The binary answers; tests answer what they like.
pub struct Machine<'a> {
    /// Reads a file: certificates are checked for being readable, error pages are taken in.
    pub read: &'a dyn Fn(&Path) -> io::Result<Vec<u8>>,
    /// Whether there is such a folder: files are served from it.
    pub is_folder: &'a dyn Fn(&Path) -> bool,
    /// Relative paths of the file start here.
    pub folder: &'a Path,
    /// Whether `:80` is one listener or two.
    pub has_ipv6: bool,
}

/// Settings that passed every check.
#[derive(Debug)]
pub struct Loaded {
    /// What the rooms read.
    pub config: Config,
    /// Each value with its origin, in the order of the reference.
    pub values: Vec<Value>,
}

/// A value and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// `section.key`, `route.NAME.key`.
    pub key: String,
    /// As it was written, or the default as one would write it.
    pub text: String,
    /// From where.
    pub set_by: SetBy,
}

/// Origin of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetBy {
    /// A flag, with its dashes.
    Flag(&'static str),
    /// A variable of the environment.
    Variable(&'static str),
    /// File and line.
    File(String, usize),
    /// Nobody said anything.
    Default,
    /// The ready policy of this name.
    Policy(&'static str),
}

/// Reads and checks all layers; the first one that has a key decides on it.
pub fn read(layers: &[Layer], machine: &Machine<'_>) -> Result<Loaded, Problems> {
    let documents = reader::parse(layers)?;
    let mut reader = Reader::new(&documents, machine);
    reader.check_sections();
    let listen = rooms::listen(&mut reader);
    let acme = acme::read(&mut reader, &listen.listeners);
    let admit = rooms::admit(&mut reader);
    let maintenance = maintenance::read(&mut reader);
    let geo = geo::read(&mut reader);
    let cache = rooms::cache(&mut reader);
    let purge = purge::read(&mut reader);
    let compress = rooms::compress(&mut reader);
    let log = rooms::log(&mut reader);
    let statsd = statsd::read(&mut reader);
    let admin = rooms::admin(&mut reader);
    let policies = policies::read(&mut reader);
    let rates = rates::read(&mut reader);
    let origins = origins::read(&mut reader);
    let forward_auths = forward_auth::read(&mut reader, &origins);
    let known = routes::Known {
        policies: &policies,
        rates: &rates,
        forward_auths: &forward_auths,
        origins: &origins,
    };
    let routes = routes::read(&mut reader, &known);
    rates::check_used(&mut reader, &rates, &routes);
    forward_auth::check_used(&mut reader, &forward_auths, &routes);
    geo::check_used(&mut reader, &geo, &routes);
    let (problems, values) = reader.finish();
    if !problems.is_empty() {
        return Err(Problems(problems));
    }
    let rates = rates.into_values().collect();
    let forward_auths = forward_auths.into_values().collect();
    let config = Config {
        listen,
        acme,
        admit,
        routes,
        rates,
        forward_auths,
        maintenance,
        geo,
        cache,
        purge,
        compress,
        origins,
        log,
        otlp: None,
        statsd,
        admin,
    };
    Ok(Loaded { config, values })
}

impl fmt::Display for SetBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SetBy::Flag(flag) => write!(f, "flag {flag}"),
            SetBy::Variable(name) => write!(f, "environment {name}"),
            SetBy::File(file, line) => write!(f, "{file}:{line}"),
            SetBy::Default => f.write_str("default"),
            SetBy::Policy(name) => write!(f, "policy {name}"),
        }
    }
}

/// Lines for `forebay check --explain`: key, value, origin.
pub fn explain(values: &[Value]) -> Vec<String> {
    let width = |of: fn(&Value) -> usize| values.iter().map(of).max().unwrap_or(0).min(48);
    let (keys, texts) = (width(|v| v.key.len()), width(|v| v.text.len()));
    let line = |v: &Value| format!("{:keys$}  {:texts$}  # {}", v.key, v.text, v.set_by);
    values.iter().map(line).collect()
}
