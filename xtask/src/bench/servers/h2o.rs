//! H2O as a static file server: what a lean protocol engine costs.

use super::{Place, Plan, Wire, program, words};
use crate::bench::stage::{create, get};

pub(super) fn plan(place: &Place<'_>) -> Result<Plan, String> {
    let stage = place.stage;
    let files = stage.folder.join("files");
    create(&files)?;
    for name in ["1k", "16k", "100k", "1m"] {
        let (_, body) = get(stage.origin_port, &format!("/{name}?ready"))?;
        stage.write(&format!("files/{name}"), &body)?;
    }
    let tls = match place.setup.wire {
        Wire::Plain => String::new(),
        Wire::Tls => format!(
            "  ssl:\n    certificate-file: {}\n    key-file: {}\n",
            stage.path("cert.pem"),
            stage.path("key.pem")
        ),
    };
    // Without a user of its own, a root process asks for `nobody`, who may not read our folder.
    let text = format!(
        "num-threads: {}\nmax-connections: 16000\nhttp1-request-timeout: 300\n\
         http2-idle-timeout: 300\nlisten:\n  host: 127.0.0.1\n  port: {}\n{tls}\
         hosts:\n  default:\n    paths:\n      /:\n        file.dir: {}\n",
        place.setup.threads,
        place.port,
        files.display()
    );
    let config = stage.write(&format!("{}.conf", place.name), &text)?;
    Ok(Plan {
        run: words(&[&program(place.setup.kind)?, "-c", &config]),
        reload: Vec::new(),
        admin: None,
    })
}
