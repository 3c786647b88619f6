//! Arguments, environment and file, from the command line to the config.

use std::ffi::OsString;
use std::fs;

use clap::CommandFactory;
use forebay_edge::config::listen::{Certificate, Place, Protocol};
use forebay_edge::config::log::Format;
use forebay_edge::config::origin::Address;
use forebay_edge::config::route::Action;

use super::*;
use crate::cli::{self, Cache, Cli, Verb};

fn parse(line: &str) -> Result<Cli, clap::Error> {
    cli::parse(line.split(' ').map(OsString::from))
}

fn settings(line: &str) -> Settings {
    match parse(line).unwrap_or_else(|error| panic!("{error}")).verb {
        Verb::Run(run) => run.settings,
        Verb::Check(check) => check.settings,
        other => panic!("{other:?}"),
    }
}

fn complaint(line: &str) -> String {
    load(&settings(line), None).expect_err("it is wrong").to_string()
}

#[test]
fn the_declaration_holds_together() {
    Cli::command().debug_assert();
}

#[test]
fn an_origin_is_all_that_is_needed() {
    let loaded = load(&settings("forebay run --origin http://10.0.0.5:3000"), None);
    let config = loaded.expect("it is valid").config;
    let [route] = &config.routes[..] else { panic!("{:?}", config.routes) };
    assert_eq!(route.action, Action::Forward("app".into()));
    assert!(route.policy.is_none());
    let servers = &config.origins[0].servers;
    assert_eq!(servers[0].address, Address::Tcp("10.0.0.5".into(), 3000));
    let port = |place: &Place| match place {
        Place::Tcp(address) => address.port(),
        other => panic!("{other:?}"),
    };
    assert!(config.listen.listeners.iter().all(|listener| port(&listener.place) == 8080));
}

#[test]
fn several_origins_are_servers_of_one() {
    let line = "forebay run --origin http://a:1 --origin unix:/run/b.sock --listen 127.0.0.1:80";
    let config = load(&settings(line), None).expect("it is valid").config;
    assert_eq!(config.origins.len(), 1);
    assert_eq!(config.origins[0].servers.len(), 2);
    assert_eq!(config.listen.listeners.len(), 1);
}

#[test]
fn a_command_is_an_origin_at_its_port() {
    let Verb::Run(run) = parse("forebay run -- bin/rails server -p 1").expect("valid").verb else {
        panic!("another verb")
    };
    assert_eq!(run.command, ["bin/rails", "server", "-p", "1"]);
    let loaded = load(&run.settings, Some(4321)).expect("it is valid");
    let address = &loaded.config.origins[0].servers[0].address;
    assert_eq!(*address, Address::Tcp("127.0.0.1".into(), 4321));
    assert!(parse("forebay run --origin http://a -- cmd").is_err());
}

#[test]
fn flags_make_certificates_and_logs() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| {
        let path = folder.path().join(name);
        fs::write(&path, "pem").expect("writable");
        path.display().to_string()
    };
    let (cert, key) = (file("a.pem"), file("a.key"));
    let line = format!(
        "forebay run --origin http://a --tls-cert {cert} --tls-key {key} --log common --cores 2"
    );
    let config = load(&settings(&line), None).expect("it is valid").config;
    assert!(matches!(config.listen.certificates[..], [Certificate::Files { .. }]));
    assert!(config.listen.listeners.iter().any(|listener| listener.protocol == Protocol::Tls));
    assert_eq!(config.log.format, Format::Common);
    assert_eq!(config.listen.cores, Some(2));
    let alone = format!("forebay run --origin http://a --tls-cert {cert}");
    assert!(complaint(&alone).starts_with("there are 1 of `--tls-cert` and 0 of `--tls-key`"));
}

#[test]
fn a_flag_beats_the_file_and_paths_of_the_file_start_at_its_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("forebay.toml");
    let text = "[listen]\non = [\":1\"]\ncores = 3\n[log]\npath = \"x.log\"\n\
                [[origin]]\nname = \"web\"\nservers = [\"http://web:1\"]\n";
    fs::write(&path, text).expect("writable");
    let line = format!("forebay run --listen 127.0.0.1:2 --config {}", path.display());
    let mut settings = settings(&line);
    let loaded = load(&settings, None).expect("it is valid");
    assert_eq!(loaded.config.listen.listeners.len(), 1);
    assert_eq!(loaded.config.listen.cores, Some(3));
    assert_eq!(loaded.config.log.path, Some(folder.path().join("x.log")));
    assert_eq!(loaded.config.routes[0].action, Action::Forward("web".into()));
    settings.cores = Some(4);
    settings.from_environment = vec!["cores".into()];
    let loaded = load(&settings, None).expect("it is valid");
    let cores = loaded.values.iter().find(|value| value.key == "listen.cores").expect("there");
    assert_eq!(
        (cores.text.as_str(), cores.set_by.to_string().as_str()),
        ("4", "environment FOREBAY_CORES")
    );
    settings.listen = vec![":3".into()];
    settings.from_environment.clear();
    let loaded = load(&settings, None).expect("it is valid");
    let on = loaded.values.iter().find(|value| value.key == "listen.on").expect("there");
    assert_eq!(on.set_by.to_string(), "flag --listen");
}

#[test]
fn an_application_that_no_route_asks_is_a_mistake() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("forebay.toml");
    let text =
        "[[route]]\norigin = \"web\"\n[[origin]]\nname = \"web\"\nservers = [\"http://a\"]\n";
    fs::write(&path, text).expect("writable");
    let said = complaint(&format!("forebay run --origin http://b --config {}", path.display()));
    assert!(said.starts_with("no route asks the application of `--origin`"), "{said}");
}

#[test]
fn complaints_name_flag_or_file_and_what_to_do() {
    let said = complaint("forebay check --origin 10.0.0.5:3000 --listen :99999");
    assert!(said.contains("flag `--origin`: `origin.app.servers` has no scheme: `10.0.0.5:3000`"));
    assert!(said.contains("\n\nerror: flag `--listen`: `listen.on` has a port above 65535"));
    let said = complaint("forebay check --config /nowhere/forebay.toml");
    assert!(said.starts_with("cannot read the config file `/nowhere/forebay.toml`: "), "{said}");
    assert!(said.contains("\n\nhint: "));
    assert!(complaint("forebay run").starts_with("there is no application to stand before"));
    assert!(complaint("forebay run --origin http://a --log xml").contains("flag `--log`"));
}

#[test]
fn purging_needs_addresses_or_everything_and_not_both() {
    assert!(parse("forebay cache purge").is_err());
    assert!(parse("forebay cache purge --everything http://a/").is_err());
    let purge = parse("forebay cache purge http://a/ http://b/ --yes").expect("valid");
    assert!(matches!(purge.verb, Verb::Cache(Cache::Purge(purge)) if purge.urls.len() == 2));
    let why = cli::parse(
        ["forebay", "cache", "why", "http://a/", "-H", "Cookie: a=b: c"].map(OsString::from),
    );
    let Verb::Cache(Cache::Why(why)) = why.expect("valid").verb else { panic!("another verb") };
    assert_eq!(why.headers, [("Cookie".to_owned(), "a=b: c".to_owned())]);
    assert_eq!(why.client.admin, "127.0.0.1:7400");
    assert!(parse("forebay cache why http://a/ -H nonsense").is_err());
}

#[test]
fn short_help_fits_a_screen_and_long_help_begins_with_examples() {
    let mut command = Cli::command();
    command.build();
    let mut verbs = vec![command.clone()];
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        verbs.push(verb.clone());
        verbs.extend(verb.get_subcommands().cloned());
    }
    let without = ["forebay-man", "forebay-version", "forebay-cache", "forebay-jobs"];
    for verb in &mut verbs {
        let name = verb.get_bin_name().unwrap_or("forebay").replace(' ', "-");
        let short = verb.render_help().to_string();
        assert!(short.lines().count() <= 30, "{name}: {short}");
        let long = verb.render_long_help().to_string();
        assert!(
            long.starts_with("Examples:") || without.contains(&name.as_str()),
            "{name}: {long}"
        );
    }
}

/// `FOREBAY_GOLDEN=write` writes them anew.
#[test]
fn help_is_as_it_was_read_last() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/cli");
    for words in [&[][..], &["run"], &["cache", "purge"]] {
        for help in ["-h", "--help"] {
            let line = ["forebay"].iter().chain(words).chain([&help]).map(OsString::from);
            let got = cli::parse(line).expect_err("help is not a verb").to_string();
            let name = ["forebay"].iter().chain(words).copied().collect::<Vec<_>>().join("-");
            let path = folder.join(format!("{name}{help}.txt"));
            if std::env::var_os("FOREBAY_GOLDEN").is_some() {
                fs::write(&path, &got).expect("writable");
            }
            let expected = fs::read_to_string(&path).expect("the case is there");
            assert_eq!(got, expected, "{}", path.display());
        }
    }
}
