//! forebay: by flags as a newcomer starts it, by a file where a case needs more than flags say.

use std::fmt::Write;

use super::{Place, Plan, Wire, words};
use crate::bench::stage::free_port;

/// What the store may use without a file.
const DEFAULT_STORE_MIB: u64 = 256;

pub(super) fn plan(place: &Place<'_>) -> Result<Plan, String> {
    let binary = place.stage.forebay.display().to_string();
    let admin = format!("127.0.0.1:{}", free_port()?);
    let threads = place.setup.threads.to_string();
    let mut run = words(&[&binary, "run", "--cores", &threads, "--log", "off", "--admin", &admin]);
    let setup = place.setup;
    let lines = [&setup.more, &setup.of_listen, &setup.of_origin, &setup.of_route];
    let needs_file = setup.store_mib > DEFAULT_STORE_MIB || setup.routes > 0;
    if needs_file || lines.iter().any(|lines| !lines.is_empty()) {
        let file = place.stage.write(&format!("{}.toml", place.name), &text(place))?;
        run.extend(words(&["--config", &file]));
    } else {
        let origin = format!("http://127.0.0.1:{}", place.stage.origin_port);
        run.extend(words(&["--origin", &origin, "--listen", &listener(place)]));
        if place.setup.wire == Wire::Tls {
            let (chain, key) = (place.stage.path("cert.pem"), place.stage.path("key.pem"));
            run.extend(words(&["--tls-cert", &chain, "--tls-key", &key]));
        }
    }
    let reload = words(&[&binary, "reload", "--admin", &admin]);
    Ok(Plan { run, reload, admin: Some(admin) })
}

fn listener(place: &Place<'_>) -> String {
    let scheme = if place.setup.wire == Wire::Tls { "https://" } else { "" };
    format!("{scheme}127.0.0.1:{}", place.port)
}

fn text(place: &Place<'_>) -> String {
    let mut text = format!(
        "[listen]\non = [\"{}\"]\n{}\n[cache]\nmemory = \"{}MiB\"\n\n\
         {}\n[[origin]]\nname = \"app\"\nservers = [\"http://127.0.0.1:{}\"]\n{}",
        listener(place),
        place.setup.of_listen,
        place.setup.store_mib,
        place.setup.more,
        place.stage.origin_port,
        place.setup.of_origin,
    );
    for number in 0..place.setup.routes {
        // A `String` takes every byte.
        let outcome = write!(
            text,
            "\n[[route]]\nname = \"route-{number}\"\npath = \"/route-{number}/*\"\norigin = \"app\"\n"
        );
        debug_assert!(outcome.is_ok());
    }
    text + "\n[[route]]\nname = \"rest\"\npath = \"/*\"\norigin = \"app\"\n" + &place.setup.of_route
}
