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

pub use problem::{Problem, Problems, Wrong, suggest};
pub use reader::{Entry, Given, Reader, Section};
pub use routes::FLAG_ORIGIN;
pub use setting::{Positive, Setting, text, within, word, written};

use super::Config;
use reference::Section as Doc;

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
    read_with(layers, machine, &[], |_| ()).map(|(loaded, ())| loaded)
}

/// The same for a file that speaks of others' rooms too: their sections, and what reads these.
pub fn read_with<T>(
    layers: &[Layer],
    machine: &Machine<'_>,
    beside: &[&'static Doc],
    also: impl FnOnce(&mut Reader<'_>) -> T,
) -> Result<(Loaded, T), Problems> {
    let documents = reader::parse(layers)?;
    let mut reader = Reader::new(&documents, machine);
    reader.check_sections(beside);
    let config = config(&mut reader);
    let also = also(&mut reader);
    let (problems, values) = reader.finish();
    if problems.is_empty() {
        Ok((Loaded { config, values }, also))
    } else {
        Err(Problems(problems))
    }
}

/// Reads others' sections alone. What is wrong elsewhere in the file is not looked at: whoever wants these
/// need not be able to read the certificates of the edge. With each value that was read, as in [`Loaded`].
pub fn read_only<T>(
    layers: &[Layer],
    machine: &Machine<'_>,
    these: impl FnOnce(&mut Reader<'_>) -> T,
) -> Result<(T, Vec<Value>), Problems> {
    let documents = reader::parse(layers)?;
    let mut reader = Reader::new(&documents, machine);
    let read = these(&mut reader);
    let (problems, values) = reader.finish();
    if problems.is_empty() { Ok((read, values)) } else { Err(Problems(problems)) }
}

fn config(reader: &mut Reader<'_>) -> Config {
    let listen = rooms::listen(reader);
    let acme = acme::read(reader, &listen.listeners);
    let admit = rooms::admit(reader);
    let maintenance = maintenance::read(reader);
    let geo = geo::read(reader);
    let cache = rooms::cache(reader);
    let purge = purge::read(reader);
    let compress = rooms::compress(reader);
    let log = rooms::log(reader);
    let statsd = statsd::read(reader);
    let admin = rooms::admin(reader);
    let policies = policies::read(reader);
    let rates = rates::read(reader);
    let origins = origins::read(reader);
    let forward_auths = forward_auth::read(reader, &origins);
    let known = routes::Known {
        policies: &policies,
        rates: &rates,
        forward_auths: &forward_auths,
        origins: &origins,
    };
    let routes = routes::read(reader, &known);
    rates::check_used(reader, &rates, &routes);
    forward_auth::check_used(reader, &forward_auths, &routes);
    geo::check_used(reader, &geo, &routes);
    let rates = rates.into_values().collect();
    let forward_auths = forward_auths.into_values().collect();
    Config {
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
    }
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
