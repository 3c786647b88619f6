//! `[jobs]`, checked.

use std::path::{Path, PathBuf};
use std::time::Duration;

use forebay_edge::config::file::{
    self, Given, Layer, Positive, Problems, Reader, Section, SetBy, Setting, Source, Wrong, within,
    word, written,
};
use forebay_jobs::fetch::Order;
use forebay_jobs::store::{Metrics, Retention};
use forebay_jobs::time::Form;
use forebay_redis::connect::{Settings as Redis, Target};

use super::environment::{self, variable};
use super::reference::{JOBS, REDIS};
use super::runners::{self, Command, Http};
use super::timetables::{self, Listed};

/// Where jobs are, unless it is said.
pub(crate) const STORE: &str = "./forebay.db";
/// What stands for the server of `REDIS_URL`.
const NAMED: &str = "redis";
/// Jobs at once, as Sidekiq's default before 7; a job mostly waits.
pub(crate) const CONCURRENCY: usize = 10;
/// Most of them: each may hold a connection and a process.
const MOST_CONCURRENCY: usize = 10_000;
/// How long a job may take: long enough for what is called a job, and an end for what hangs.
pub(crate) const DEADLINE: Duration = Duration::from_secs(600);
/// As Sidekiq's: what a process manager waits for before it kills is mostly 30 s.
pub(crate) const GRACE: Duration = Duration::from_secs(25);
const STORE_HINT: &str = "write the path of a file, `redis://host:6379/0`, `rediss://host`, \
                          `unix:///path`, or `redis` for the server of `REDIS_URL`";
const QUEUES_HINT: &str =
    "write a list, `[\"mail\", \"low\"]`, or a table of weights, `{ mail = 5, low = 1 }`";

/// What is said of jobs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Jobs {
    /// Where they are.
    pub(crate) store: Place,
    /// How often they are kept, and for how long.
    pub(crate) retention: Retention,
    /// How moments are written.
    pub(crate) form: Form,
    /// How runs by class are written.
    pub(crate) metrics: Metrics,
    /// Which are run, and in which order.
    pub(crate) order: Order,
    /// How many at once.
    pub(crate) concurrency: usize,
    /// How long one may take.
    pub(crate) deadline: Duration,
    /// How long they may go on when the worker ends.
    pub(crate) grace: Duration,
    /// Whether `forebay run` runs them.
    pub(crate) is_beside: bool,
    /// Where they are delivered.
    pub(crate) http: Option<Http>,
    /// The command for all classes without one of their own; empty if there is none.
    pub(crate) command: Command,
    /// Commands by class.
    pub(crate) commands: Vec<(String, Command)>,
    /// What comes again and again.
    pub(crate) timetables: Vec<Listed>,
}

/// A place for jobs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Place {
    /// A file.
    File(PathBuf),
    /// A server.
    Server(Box<Redis>),
}

impl Jobs {
    /// True if something is said of who runs them.
    pub(crate) fn has_runner(&self) -> bool {
        self.http.is_some() || !self.command.is_empty() || !self.commands.is_empty()
    }

    /// True if `forebay run` has something to do.
    pub(crate) fn wants_worker(&self) -> bool {
        self.is_beside && self.has_runner()
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Place::File(path) => write!(f, "{}", path.display()),
            Place::Server(settings) => write!(f, "{}", settings.target),
        }
    }
}

/// The layers of the environment, and what is to be said of it by whoever has jobs.
pub(crate) struct Around {
    layers: Vec<Layer>,
    wrongs: Vec<environment::Wrong>,
}

impl Around {
    /// What the environment says.
    pub(crate) fn read() -> Around {
        let (layers, wrongs) = environment::layers();
        Around { layers, wrongs }
    }

    /// Its layers, to be put between flags and the file.
    pub(crate) fn layers(&mut self) -> Vec<Layer> {
        std::mem::take(&mut self.layers)
    }

    /// What a file says of jobs, if it does.
    pub(crate) fn of_file(&self, reader: &mut Reader<'_>) -> Option<Jobs> {
        reader.is_in_a_file(&JOBS).then(|| self.all(reader))
    }

    /// What is said of jobs, and defaults.
    fn all(&self, reader: &mut Reader<'_>) -> Jobs {
        let jobs = jobs(reader);
        let has_server = matches!(jobs.store, Place::Server(_));
        for environment::Wrong { error, is_of_redis } in &self.wrongs {
            // An application may have variables of these names that mean something else to it.
            if *is_of_redis && !has_server {
                continue;
            }
            let why = std::error::Error::source(error).map(|it| format!(": {it}"));
            let text = format!("{error}{}", why.unwrap_or_default());
            let hint = "mend or unset that variable of the environment";
            reader.refuse_all(Wrong::new(text).hint(hint));
        }
        jobs
    }
}

/// What the verbs of `forebay jobs` go by: a store that was named, the environment, the file.
pub(crate) fn for_verbs(
    store: Option<&str>,
    file: Option<&(&Path, String)>,
    read: &dyn Fn(&Path) -> std::io::Result<Vec<u8>>,
) -> Result<Jobs, Problems> {
    let mut around = Around::read();
    let mut layers = Vec::new();
    if let Some(store) =
        store.filter(|store| variable("FOREBAY_JOBS_STORE").as_deref() != Some(store))
    {
        let text = format!("[jobs]\nstore = {}\n", serde_json::Value::from(store));
        layers.push(Layer { source: Source::Flag("--store"), text });
    }
    layers.extend(around.layers());
    let folder = file.and_then(|(path, _)| path.parent()).unwrap_or(Path::new(""));
    if let Some((path, text)) = file {
        let source = Source::File(path.display().to_string());
        layers.push(Layer { source, text: text.clone() });
    }
    let machine = file::Machine { read, is_folder: &Path::is_dir, folder, has_ipv6: true };
    let read = file::read_only(&layers, &machine, |reader| around.all(reader));
    read.map(|(jobs, _)| jobs)
}

fn jobs(reader: &mut Reader<'_>) -> Jobs {
    let section = &reader.section(&JOBS);
    let store = store(reader, section);
    let order = order(reader, section);
    let concurrency =
        reader.get_where(section, "concurrency", CONCURRENCY, within(1, MOST_CONCURRENCY));
    let deadline = reader.get(section, "deadline", Positive(DEADLINE)).0;
    let grace = reader.get(section, "grace", GRACE);
    let is_beside = reader.get(section, "beside", true);
    let usual = Retention::default();
    let most = u32::try_from(usual.dead_most).unwrap_or(u32::MAX);
    let retention = Retention {
        dead_most: u64::from(reader.get(section, "dead_most", most)),
        dead_age: reader.get(section, "dead_age", Positive(usual.dead_age)).0,
        ..usual
    };
    let form = reader.get(section, "time_stamps", Stamps(Form::default())).0;
    let metrics = reader.get(section, "metrics", Pages(Metrics::default())).0;
    let redis = redis(reader, section);
    let http = runners::http(reader, section, deadline);
    let (command, commands) = runners::exec(reader, section);
    if let (Some(_), false, Some(given)) = (&http, command.is_empty(), section.given("exec")) {
        let wrong = Wrong::new("has a command for every class, and `[jobs.http]` delivers them all")
            .hint("remove one of `jobs.http` and `jobs.exec.command`, or name the classes: `classes = { Report = [\"bin/report\"] }`");
        reader.refuse(section, "exec", given, wrong);
    }
    Jobs {
        store: match store {
            Named::File(path) => Place::File(path),
            Named::Server(target) => Place::Server(Box::new(Redis { target, ..redis })),
        },
        retention,
        form,
        metrics,
        order,
        concurrency,
        deadline,
        grace,
        is_beside,
        http,
        command,
        commands,
        timetables: timetables::read(reader, section),
    }
}

/// What `store` names.
enum Named {
    File(PathBuf),
    Server(Target),
}

fn store<'t>(reader: &mut Reader<'t>, section: &Section<'t>) -> Named {
    let Some(given) = section.given("store") else {
        reader.note("jobs.store".into(), STORE.to_owned().show(), SetBy::Default);
        return Named::File(STORE.into());
    };
    match named(reader, given) {
        Ok(named) => {
            // Not as it was written: there may be a password in it.
            let text = match &named {
                Named::File(_) => written(given.value.get_ref()),
                Named::Server(target) => target.to_string(),
            };
            reader.note("jobs.store".into(), text.show(), given.set_by());
            named
        }
        Err(wrong) => {
            reader.refuse(section, "store", given, wrong);
            Named::File(STORE.into())
        }
    }
}

fn named(reader: &Reader<'_>, given: Given<'_>) -> Result<Named, Wrong> {
    let text = String::read(given.value)?;
    let server = |url: &str, name: &str| {
        Target::parse(url).map(Named::Server).map_err(|error| {
            Wrong::new(format!("names no Redis server{name}: {error}")).hint(STORE_HINT)
        })
    };
    match &*text {
        "" => Err(Wrong::new("is empty: ``").hint(STORE_HINT)),
        NAMED => match variable("REDIS_URL") {
            Some(url) => server(url.trim(), " by `REDIS_URL`"),
            None => Ok(Named::Server(Redis::default().target)),
        },
        url if url.contains("://") => server(url, ""),
        path => Ok(Named::File(reader.path(given, Path::new(path)))),
    }
}

fn order<'t>(reader: &mut Reader<'t>, section: &Section<'t>) -> Order {
    let usual = || Order::strict(["default"]);
    let Some(given) = section.given("queues") else {
        reader.note("jobs.queues".into(), "[\"default\"]".into(), SetBy::Default);
        return usual();
    };
    match read_order(given) {
        Ok(order) => {
            reader.note_given(section, "queues", given);
            order
        }
        Err(wrong) => {
            reader.refuse(section, "queues", given, wrong);
            usual()
        }
    }
}

fn read_order(given: Given<'_>) -> Result<Order, Wrong> {
    let empty = || Wrong::new("names no queue").hint(QUEUES_HINT);
    if let Some(entries) = given.entries() {
        let mut weighted = Vec::new();
        for (name, at, value) in entries {
            let weight = u32::read(value.value).ok().filter(|weight| *weight > 0);
            let wrong = || Wrong::new(format!("has no weight for the queue: `{name}`"));
            let hint = "write a number of 1 or more, such as `{ mail = 5, low = 1 }`";
            weighted.push((name, weight.ok_or_else(|| wrong().hint(hint).at(at))?));
        }
        if weighted.is_empty() {
            return Err(empty());
        }
        return Ok(Order::weighted(weighted));
    }
    let names = Vec::<String>::read(given.value).map_err(|_| {
        let got = written(given.value.get_ref());
        Wrong::new(format!("is neither a list of names nor a table of weights: `{got}`"))
            .hint(QUEUES_HINT)
    })?;
    if names.is_empty() || names.iter().any(String::is_empty) {
        return Err(empty());
    }
    Ok(Order::strict(names.iter().map(String::as_str)))
}

/// `"seconds"` or `"milliseconds"`.
#[derive(Clone, Copy)]
struct Stamps(Form);

const STAMPS: [(&str, Form); 2] =
    [("seconds", Form::FloatSeconds), ("milliseconds", Form::IntegerMilliseconds)];

impl Setting for Stamps {
    fn read(value: &toml::Spanned<toml::de::DeValue<'_>>) -> Result<Stamps, Wrong> {
        word(value, &STAMPS).map(Stamps)
    }

    fn show(&self) -> String {
        let name = STAMPS.iter().find(|(_, form)| *form == self.0);
        name.map_or("seconds", |(name, _)| name).to_owned().show()
    }
}

/// Which Metrics page reads them: `"8"`, `"7"` or `"off"`.
#[derive(Clone, Copy)]
struct Pages(Metrics);

const PAGES: [(&str, Metrics); 3] =
    [("8", Metrics::Sidekiq8), ("7", Metrics::Sidekiq7), ("off", Metrics::Off)];

impl Setting for Pages {
    fn read(value: &toml::Spanned<toml::de::DeValue<'_>>) -> Result<Pages, Wrong> {
        word(value, &PAGES).map(Pages)
    }

    fn show(&self) -> String {
        let name = PAGES.iter().find(|(_, it)| *it == self.0);
        name.map_or("8", |(name, _)| name).to_owned().show()
    }
}

fn redis<'t>(reader: &mut Reader<'t>, section: &Section<'t>) -> Redis {
    let table = &reader.within(section, "redis", &REDIS);
    let usual = Redis::default();
    let most = within::<usize>(1, 10_000);
    let mut time = |key, usual| {
        reader
            .get_where(table, key, Positive(usual), |time| {
                if time.0 <= Duration::from_secs(3_600) {
                    return Ok(());
                }
                Err(Wrong::new(format!("is too long: {}", time.show())).hint("an hour at most"))
            })
            .0
    };
    let timeout = time("timeout", usual.timeout);
    let reconnect_delay = time("reconnect_delay", usual.reconnect_delay);
    let reconnect_delay_max = time("reconnect_delay_max", usual.reconnect_delay_max);
    let pool_timeout = time("pool_timeout", usual.pool_timeout);
    let attempts = usual.reconnect_attempts;
    let ca_file = if let Some(given) = table.given("authorities") {
        let path = |reader: &Reader<'t>, given| runners::file(reader, given).map(|(path, _)| path);
        runners::checked(reader, table, "authorities", given, path)
    } else {
        reader.note("jobs.redis.authorities".into(), "none".into(), SetBy::Default);
        None
    };
    Redis {
        timeout,
        reconnect_attempts: reader.get_where(
            table,
            "reconnect_attempts",
            attempts,
            within(0, 10_000),
        ),
        reconnect_delay,
        reconnect_delay_max,
        pool_size: reader.get_where(table, "pool_size", usual.pool_size, most),
        pool_timeout,
        authorities: ca_file,
        target: usual.target,
    }
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
