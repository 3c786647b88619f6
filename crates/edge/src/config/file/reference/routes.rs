//! `[[route]]` and `[policy.NAME]`.

use super::{Key, Section};

/// `[[route]]`.
pub const ROUTE: Section = Section {
    name: "route",
    header: "[[route]]",
    doc: "Which request goes where. Routes are tried in the order of the file and the first that matches decides. Without any, everything goes to the one origin. Paths are matched as they are sent, without decoding.",
    keys: &[
        Key {
            name: "name",
            kind: "text",
            default: "\"route-1\"",
            doc: "Name in logs, metrics and `forebay cache why`; without it the position.",
            example: r#""pages""#,
        },
        Key {
            name: "scheme",
            kind: "`http` or `https`",
            default: "none",
            doc: "How the client came: in clear text, or by TLS that ended here or at a trusted proxy that says so (`admit.trusted_proxies`). Without it, either.",
            example: r#""http""#,
        },
        Key {
            name: "hosts",
            kind: "list of hosts",
            default: "[]",
            doc: "Hosts without port; `*.shop.example` is every name below, not `shop.example` itself. Empty is every host.",
            example: r#"["shop.example", "*.shop.example"]"#,
        },
        Key {
            name: "path",
            kind: "path",
            default: r#""/*""#,
            doc: "`/about` is this path alone, `/assets/*` is `/assets` and all below, `/users/:id` captures a segment, `/files/*rest` captures what follows `/files/`.",
            example: r#""/users/:id/*rest""#,
        },
        Key {
            name: "methods",
            kind: "list of methods",
            default: "[]",
            doc: "Methods; empty is every method, and `GET` takes `HEAD` with it.",
            example: r#"["GET", "POST"]"#,
        },
        Key {
            name: "fields",
            kind: "table",
            default: "{}",
            doc: "Fields that the request must have; `true` is any value.",
            example: r#"{ x-beta = "1", authorization = true }"#,
        },
        Key {
            name: "cookies",
            kind: "table",
            default: "{}",
            doc: "Cookies that the request must have; `true` is any value.",
            example: "{ session = true }",
        },
        Key {
            name: "countries",
            kind: "list of countries",
            default: "[]",
            doc: "Countries of the client's address, as `[geo]` knows them: two letters of ISO 3166. Empty is every country, and every address that is in none. The route's name is then in the key.",
            example: r#"["DE", "AT"]"#,
        },
        Key {
            name: "origin",
            kind: "name",
            default: "the only origin",
            doc: "Origin to ask.",
            example: r#""app""#,
        },
        Key {
            name: "split",
            kind: "table",
            default: "{}",
            doc: "Other origins and the percentage of clients that they take (two digits behind the point count); what is left of 100 goes to `origin`. Arms never share a stored answer. A share that changes moves as few clients as it can.",
            example: "{ canary = 5 }",
        },
        Key {
            name: "sticky",
            kind: "`cookie`, `address` or `off`",
            default: "\"cookie\"",
            doc: "What keeps a client in its arm of a `split`: a cookie of the edge, which neither cache nor origin sees; its address (of IPv6 the first 64 bits); or nothing, so that each request is drawn anew.",
            example: "\"address\"",
        },
        Key {
            name: "sticky_cookie",
            kind: "name",
            default: "\"forebay-split\"",
            doc: "Name of that cookie. Routes that name the same keep a client in arms of the same names.",
            example: "\"_arm\"",
        },
        Key {
            name: "redirect",
            kind: "target or table",
            default: "none",
            doc: "Answer with a redirect in place of asking an origin. `{path}`, `{query}` (with its question mark), `{host}` and captures are filled in.",
            example: r#""https://{host}{path}{query}""#,
        },
        Key {
            name: "answer",
            kind: "table",
            default: "none",
            doc: "Answer with a fixed text in place of asking an origin.",
            example: r#"{ status = 404, text = "gone" }"#,
        },
        Key {
            name: "files",
            kind: "folder or table",
            default: "none",
            doc: "Answer with the files of a folder in place of asking an origin; the whole path, after `rewrite`, is looked up there. A file that changes is seen within a second.",
            example: r#""public""#,
        },
        Key {
            name: "policy",
            kind: "name",
            default: "none",
            doc: "`assets`, `html`, `api`, `pass` or one of `[policy.NAME]`. Without one, answers are stored by their own explicit freshness and everything is forwarded.",
            example: r#""html""#,
        },
        Key {
            name: "rewrite",
            kind: "target",
            default: "none",
            doc: "Path towards the origin, filled in as for `redirect`; the query is kept unless the target holds one.",
            example: r#""/v2{path}""#,
        },
        Key {
            name: "sendfile",
            kind: "table of prefixes and folders",
            default: "{}",
            doc: "Folders whose files the application may name in place of its content: `X-Accel-Redirect: /protected/NAME`, or `X-Sendfile` with the whole path. The application is told of them (`X-Sendfile-Type`, `X-Accel-Mapping`); its type, disposition, cookies and `Cache-Control` stay.",
            example: r#"{ "/protected/" = "/srv/files" }"#,
        },
        Key {
            name: "early_hints",
            kind: "`pass`, `make` or `off`",
            default: "\"pass\"",
            doc: "103 for clients that open a page and wait for the application: what it says itself, or also (`make`) what the page's last answer linked to with `preload`, `modulepreload` or `preconnect`. Of answers that may be for one user only styles, scripts and fonts with a digest in their names are told others.",
            example: r#""make""#,
        },
        Key {
            name: "request_fields",
            kind: "table",
            default: "{}",
            doc: "Fields changed towards the origin.",
            example: r#"{ set = { x-edge = "1" }, remove = ["x-debug"] }"#,
        },
        Key {
            name: "answer_fields",
            kind: "table",
            default: "{}",
            doc: "Fields changed towards the client.",
            example: r#"{ set = { x-frame-options = "DENY" }, remove = ["server"] }"#,
        },
        Key {
            name: "error_pages",
            kind: "table",
            default: "{}",
            doc: "HTML files in place of the edge's own errors, by status or class; read when the config is loaded.",
            example: r#"{ 503 = "503.html", 5xx = "error.html" }"#,
        },
        Key {
            name: "max_content",
            kind: "size",
            default: "none",
            doc: "Largest content of a request on this route, where it differs from `admit.max_content`.",
            example: r#""100MiB""#,
        },
        Key {
            name: "rates",
            kind: "list of names",
            default: "[]",
            doc: "Rates of `[rate.NAME]` that requests on this route are counted by, in this order.",
            example: r#"["login", "all"]"#,
        },
        Key {
            name: "basic_auth",
            kind: "table",
            default: "none",
            doc: "Users with passwords (RFC 7617); everybody else gets 401.",
            example: r#"{ users = "shop.htpasswd" }"#,
        },
        Key {
            name: "forward_auth",
            kind: "name",
            default: "none",
            doc: "One of `[forward_auth.NAME]`: the application that says of each request, hits included, whether it may come in.",
            example: r#""sso""#,
        },
        Key {
            name: "mirror",
            kind: "table",
            default: "none",
            doc: "Another origin that gets copies of what the route's origin is asked; its answers are dropped.",
            example: r#"{ origin = "next", share = 10 }"#,
        },
        Key {
            name: "maintenance",
            kind: "true or false",
            default: "false",
            doc: "The application of this route is worked on: clients get what `[maintenance]` says.",
            example: "true",
        },
    ],
};

/// A long redirect.
pub const REDIRECT: Section = Section {
    name: "route.redirect",
    header: "redirect = { … }",
    doc: "A redirect with a status of its own.",
    keys: &[
        Key {
            name: "to",
            kind: "target",
            default: "",
            doc: "Where to.",
            example: r#""/new{path}""#,
        },
        Key {
            name: "status",
            kind: "301, 302, 303, 307 or 308",
            default: "308",
            doc: "Status; 307 and 308 keep the method.",
            example: "302",
        },
    ],
};

/// A fixed answer.
pub const ANSWER: Section = Section {
    name: "route.answer",
    header: "answer = { … }",
    doc: "A fixed answer.",
    keys: &[
        Key { name: "status", kind: "status", default: "200", doc: "Status.", example: "404" },
        Key {
            name: "text",
            kind: "text",
            default: r#""""#,
            doc: "Content, sent as plain text.",
            example: r#""User-agent: *\n""#,
        },
    ],
};

/// Files of a folder.
pub const FILES: Section = Section {
    name: "route.files",
    header: "files = { … }",
    doc: "Files of a folder. No name that begins with a dot is served, but for `/.well-known/`, and no link that leads out of the folder. `NAME.br`, `NAME.zst` and `NAME.gz` beside a file, if they are no older, are sent in its place to clients that take them.",
    keys: &[
        Key {
            name: "folder",
            kind: "path",
            default: "",
            doc: "The folder. A link to it may move: each file is looked up anew.",
            example: r#""public""#,
        },
        Key {
            name: "index",
            kind: "name or `off`",
            default: r#""index.html""#,
            doc: "File that stands for a folder whose path ends with a slash; a path without it is redirected.",
            example: r#""start.html""#,
        },
        Key {
            name: "fallback",
            kind: "name",
            default: "none",
            doc: "File that is served in place of a page that is not there, for applications that find their way in the browser. Not where the last part of the path has a dot: a script that is missing is 404.",
            example: r#""index.html""#,
        },
        Key {
            name: "max_age",
            kind: "duration",
            default: "none",
            doc: "How long clients may use a file unasked. Without it they ask each time (`no-cache`) and are mostly told that nothing has changed.",
            example: r#""1h""#,
        },
    ],
};

/// Edits of fields.
pub const FIELDS: Section = Section {
    name: "route.request_fields",
    header: "request_fields = { … }, answer_fields = { … }",
    doc: "Edits of fields. Removals come first, then `set`, then `add`.",
    keys: &[
        Key {
            name: "set",
            kind: "table",
            default: "{}",
            doc: "Fields in place of whatever was there.",
            example: r#"{ x-robots-tag = "noindex" }"#,
        },
        Key {
            name: "add",
            kind: "table",
            default: "{}",
            doc: "Fields besides what is there.",
            example: r#"{ link = "</app.css>; rel=preload" }"#,
        },
        Key {
            name: "remove",
            kind: "list of fields",
            default: "[]",
            doc: "Fields taken away.",
            example: r#"["server"]"#,
        },
    ],
};

/// `[policy.NAME]`.
pub const POLICY: Section = Section {
    name: "policy",
    header: "[policy.NAME]",
    doc: "What a route lets the cache do: a ready policy with some settings changed. Without a word here, each key has the value of the policy that is extended.",
    keys: &[
        Key {
            name: "extends",
            kind: "`assets`, `html`, `api` or `pass`",
            default: r#""api""#,
            doc: "The ready policy to start from. `assets`: a year unless the answer says otherwise. `html`: what the answer grants, served stale while it is fetched anew. `api`: what the answer grants and nothing more. `pass`: stores nothing, forwards everything.",
            example: r#""html""#,
        },
        Key {
            name: "store",
            kind: "true or false",
            default: "extended",
            doc: "May answers be stored at all?",
            example: "true",
        },
        Key {
            name: "ttl",
            kind: "duration or `off`",
            default: "extended",
            doc: "Freshness of answers that say nothing themselves; `off` stores only what an answer grants.",
            example: r#""5m""#,
        },
        Key {
            name: "heuristic",
            kind: "true or false",
            default: "extended",
            doc: "Guess the freshness of answers that have `Last-Modified` and nothing else (RFC 9111 §4.2.2).",
            example: "true",
        },
        Key {
            name: "stale_while_revalidate",
            kind: "duration or `off`",
            default: "extended",
            doc: "How long a stale answer is served while it is fetched anew, where the answer says nothing itself (RFC 5861 §3).",
            example: r#""30s""#,
        },
        Key {
            name: "stale_if_error",
            kind: "duration or `off`",
            default: "extended",
            doc: "How long a stale answer is served while the origin fails, where the answer says nothing itself (RFC 5861 §4).",
            example: r#""1d""#,
        },
        Key {
            name: "stale_if_overloaded",
            kind: "duration or `off`",
            default: "extended",
            doc: "How much longer than `stale_if_error` a stale answer is served while the origin is overloaded and the request is shed. `must-revalidate`, `proxy-revalidate` and `no-cache` of the answer forbid it.",
            example: r#""1h""#,
        },
        Key {
            name: "error_ttl",
            kind: "duration or `off`",
            default: "extended",
            doc: "Freshness of errors that say nothing themselves.",
            example: r#""1s""#,
        },
        Key {
            name: "ignore_client_no_cache",
            kind: "true or false",
            default: "extended",
            doc: "A client's `no-cache` and `max-age=0` do not reach the origin.",
            example: "true",
        },
        Key {
            name: "query",
            kind: "`keep`, `drop` or table",
            default: "extended",
            doc: "What of the query is in the key and shown to the origin.",
            example: r#"{ only = ["page"] }"#,
        },
        Key {
            name: "drop_marketing",
            kind: "true or false",
            default: "extended",
            doc: "Drop parameters that only follow people around (`utm_*`, `gclid`, …).",
            example: "true",
        },
        Key {
            name: "sort_query",
            kind: "true or false",
            default: "extended",
            doc: "Sort parameters by name, so that their order makes no second object.",
            example: "true",
        },
        Key {
            name: "key_fields",
            kind: "list of fields",
            default: "extended",
            doc: "Fields in the key. What is not in the key is not forwarded when the answer may be stored.",
            example: r#"["accept-language"]"#,
        },
        Key {
            name: "key_cookies",
            kind: "list of cookies",
            default: "extended",
            doc: "Cookies in the key.",
            example: r#"["theme"]"#,
        },
        Key {
            name: "key_geo",
            kind: "`country` or `off`",
            default: "extended",
            doc: "The country of the client's address is in the key, and the origin is shown it in `CloudFront-Viewer-Country`. Nothing finer can be: a city in the key would store a page for each city.",
            example: r#""country""#,
        },
        Key {
            name: "inform",
            kind: "list of fields",
            default: "extended",
            doc: "Fields that the origin may see, for its logs, although they are not in the key.",
            example: r#"["user-agent"]"#,
        },
        Key {
            name: "strip_set_cookie",
            kind: "true or false",
            default: "extended",
            doc: "An exception: store answers with `Set-Cookie`, without that field.",
            example: "true",
        },
        Key {
            name: "ignore_authorization",
            kind: "true or false",
            default: "extended",
            doc: "An exception: store answers to requests with `Authorization` though they give no permission.",
            example: "true",
        },
    ],
};

/// A rule about the query.
pub const QUERY: Section = Section {
    name: "policy.query",
    header: "query = { … }",
    doc: "Exactly one of these.",
    keys: &[
        Key {
            name: "only",
            kind: "list of parameters",
            default: "",
            doc: "These parameters and no others.",
            example: r#"["page", "q"]"#,
        },
        Key {
            name: "without",
            kind: "list of parameters",
            default: "",
            doc: "All parameters but these.",
            example: r#"["ref"]"#,
        },
    ],
};
