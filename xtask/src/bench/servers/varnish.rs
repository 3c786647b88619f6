//! Varnish: its built-in rules, objects in malloc, no log written.

use super::{Place, Plan, Wire, program, words};

pub(super) fn plan(place: &Place<'_>) -> Result<Plan, String> {
    if place.setup.wire == Wire::Tls {
        return Err("this Varnish speaks no TLS".to_owned());
    }
    let origin = place.stage.origin_port;
    let rules = format!(
        "vcl 4.1;\nbackend origin {{ .host = \"127.0.0.1\"; .port = \"{origin}\"; }}\n\
         sub vcl_recv {{ if (req.url ~ \"^/nocache/\") {{ return (pass); }} }}\n"
    );
    let rules = place.stage.write(&format!("{}.vcl", place.name), &rules)?;
    let listen = format!("127.0.0.1:{}", place.port);
    let store = format!("malloc,{}m", place.setup.store_mib);
    let folder = place.stage.path(&place.name);
    let command = [
        &program(place.setup.kind)?,
        "-F",
        "-j",
        "none",
        "-n",
        &folder,
        "-a",
        &listen,
        "-f",
        &rules,
        "-s",
        &store,
        "-p",
        "thread_pool_min=100",
        "-p",
        "listen_depth=4096",
        "-p",
        "timeout_idle=300",
    ];
    Ok(Plan { run: words(&command), reload: Vec::new(), admin: None })
}
