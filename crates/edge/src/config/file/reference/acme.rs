//! `[acme]`.

use super::{Key, Section};

/// `[acme]`.
pub const ACME: Section = Section {
    name: "acme",
    header: "[acme]",
    doc: "Certificates that are ordered from an authority and renewed by themselves (RFC 8555), beside those of `listen.certificates`. Without it nothing is ordered.",
    keys: &[
        Key {
            name: "domains",
            kind: "list of hosts or of lists of hosts",
            default: "",
            doc: "Each host gets a certificate of its own; hosts in a list of theirs share one. No wildcards: they would need a proof by DNS.",
            example: r#"["shop.example", ["api.example", "www.api.example"]]"#,
        },
        Key {
            name: "agree_to_terms",
            kind: "boolean",
            default: "false",
            doc: "That you agree to the terms of service of the authority. Nothing is ordered before you do, so it has to be `true`.",
            example: "true",
        },
        Key {
            name: "directory",
            kind: "URL",
            default: r#""https://acme-v02.api.letsencrypt.org/directory""#,
            doc: "Directory of the authority. To try things out, take the one that Let's Encrypt has for that: `https://acme-staging-v02.api.letsencrypt.org/directory`. Each has its own account and certificates in `folder`.",
            example: r#""https://ca.internal/acme/directory""#,
        },
        Key {
            name: "authorities",
            kind: "path",
            default: "none",
            doc: "Authorities (PEM) that the TLS certificate of the directory itself is checked against, for an authority of your own. Without it those of the system.",
            example: r#""/etc/forebay/ca.pem""#,
        },
        Key {
            name: "contact",
            kind: "list of e-mail addresses",
            default: "[]",
            doc: "Whom the authority may write to. It is told when the account is made.",
            example: r#"["ops@shop.example"]"#,
        },
        Key {
            name: "folder",
            kind: "path",
            default: r#""/var/lib/forebay/acme""#,
            doc: "Where account, keys and certificates are kept, readable for us alone. Whoever loses it orders everything anew, and authorities count that.",
            example: r#""/srv/forebay/acme""#,
        },
        Key {
            name: "challenges",
            kind: "list of `http-01` and `tls-alpn-01`",
            default: r#"["http-01", "tls-alpn-01"]"#,
            doc: "How the authority is shown that a host is ours: by a page at port 80, or by a handshake at port 443. Of several the first is tried first, and the next one when it failed. The default has only what a listener can answer.",
            example: r#"["tls-alpn-01"]"#,
        },
        Key {
            name: "key_id",
            kind: "text",
            default: "none",
            doc: "Name of the key of an account that you have at the authority already (external account binding), with `key_file`.",
            example: r#""kid-1""#,
        },
        Key {
            name: "key_file",
            kind: "path",
            default: "none",
            doc: "File with that key, as base64url in one line.",
            example: r#""/etc/forebay/acme.key""#,
        },
    ],
};
