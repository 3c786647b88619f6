//! A file of a folder: forebay and nginx serve the same one.

use super::load::Client;
use super::options::Options;
use super::rates::{Rate, Reaches, most, row};
use super::report::{Against, Report};
use super::servers::Kind::{self, Forebay, Nginx, NginxNopush};
use super::servers::{Running, Setup, Wire};
use super::stage::{Stage, create, get};

/// Where nginx and forebay look for files, below the folder of the stage; also how their paths begin.
pub(super) const FOLDER: &str = "static";

const CASE: &str = "file-100k";
const PEERS: &[Kind] = &[Nginx, NginxNopush];
const ROW: Rate = Rate {
    name: CASE,
    work: "static file 100 KB, HTTP/1.1",
    wire: Wire::Plain,
    client: Client::KeepAlive(64),
    path: "/static/100k.jpg",
    reaches: Reaches::Cache,
    peers: PEERS,
    bars: &[most(1.0, Against::BestOf(&[Nginx]))],
};

/// Whether this case is to be run.
pub(super) fn is_selected(options: &Options) -> bool {
    options.selects(CASE)
}

/// Processor time per request of a file.
pub(super) fn run(stage: &Stage<'_>, report: &mut Report) -> Result<(), String> {
    if !is_selected(stage.options) {
        return Ok(());
    }
    let folder = stage.folder.join(FOLDER);
    create(&folder)?;
    let (_, content) = get(stage.origin_port, "/100k?ready")?;
    stage.write(&format!("{FOLDER}/100k.jpg"), &content)?;
    let mut servers = Vec::new();
    for kind in [stage.options.subject, Nginx, NginxNopush] {
        let mut setup = Setup::of(kind, Wire::Plain);
        if kind == Forebay {
            let folder = stage.folder.display();
            setup.more = format!("[[route]]\npath = \"/{FOLDER}/*\"\nfiles = \"{folder}\"\n");
        }
        if servers.iter().all(|server: &Running<'_>| server.kind != kind) {
            servers.push(Running::start(stage, &setup)?);
        }
    }
    row(stage, &ROW, &servers, report)
}
