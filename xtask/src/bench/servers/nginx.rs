//! nginx: a proxy cache on memory, tuned as its manual advises for this work.

use std::fmt::Write;

use super::{Place, Plan, Wire, program, words};
use crate::bench::stage::create;

pub(super) fn plan(place: &Place<'_>, nopush: &str) -> Result<Plan, String> {
    let stage = place.stage;
    let folder = stage.folder.join(&place.name);
    for part in ["cache", "temp"] {
        create(&folder.join(part))?;
    }
    let config = stage.write(&format!("{}.conf", place.name), &text(place, nopush))?;
    let program = program(place.setup.kind)?;
    let prefix = folder.display().to_string();
    let command = [program.as_str(), "-p", &prefix, "-c", &config, "-e", "stderr"];
    Ok(Plan {
        run: words(&command),
        reload: words(&[&command[..], &["-s", "reload"]].concat()),
        admin: None,
    })
}

fn text(place: &Place<'_>, nopush: &str) -> String {
    let (folder, port) = (place.stage.path(&place.name), place.port);
    let origin = place.stage.origin_port;
    let threads = place.setup.threads;
    let (files, root) = (crate::bench::files::FOLDER, place.stage.folder.display());
    let listen = match place.setup.wire {
        Wire::Plain => format!("listen 127.0.0.1:{port} backlog=4096;"),
        Wire::Tls => format!(
            "listen 127.0.0.1:{port} ssl http2 backlog=4096;\n    ssl_certificate {};\n    \
             ssl_certificate_key {};\n    ssl_protocols TLSv1.3;",
            place.stage.path("cert.pem"),
            place.stage.path("key.pem")
        ),
    };
    // The master keeps its user only where that is root; elsewhere the line is a warning.
    let user = if std::path::Path::new("/root").read_dir().is_ok() { "user root;\n" } else { "" };
    let mut routes = String::new();
    for number in 0..place.setup.routes {
        // A `String` takes every byte.
        let outcome =
            writeln!(routes, "    location /route-{number}/ {{ proxy_pass http://origin; }}");
        debug_assert!(outcome.is_ok());
    }
    let max_size = place.setup.store_mib.max(256) * 8;
    format!(
        "{user}daemon off;
worker_processes {threads};
worker_rlimit_nofile 20000;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 19000; }}
http {{
  access_log off;
  sendfile on;
  tcp_nopush {nopush};
  keepalive_timeout 300s;
  keepalive_requests 1000000000;
  open_file_cache max=10000 inactive=1h;
  open_file_cache_valid 1h;
  client_body_temp_path {folder}/temp/body;
  proxy_temp_path {folder}/temp/proxy;
  fastcgi_temp_path {folder}/temp/fastcgi;
  uwsgi_temp_path {folder}/temp/uwsgi;
  scgi_temp_path {folder}/temp/scgi;
  proxy_cache_path {folder}/cache levels=1:2 keys_zone=store:256m max_size={max_size}m inactive=1h use_temp_path=off;
  upstream origin {{ server 127.0.0.1:{origin}; keepalive 256; keepalive_requests 1000000000; }}
  proxy_http_version 1.1;
  proxy_set_header Connection \"\";
  proxy_buffers 64 16k;
  proxy_max_temp_file_size 0;
  server {{
    {listen}
{routes}    location /nocache/ {{ proxy_pass http://origin; }}
    location /{files}/ {{ root {root}; }}
    location / {{
      proxy_pass http://origin;
      proxy_cache store;
      proxy_cache_lock on;
      proxy_cache_lock_timeout 30s;
      proxy_cache_key $scheme$host$request_uri;
    }}
  }}
}}
"
    )
}
