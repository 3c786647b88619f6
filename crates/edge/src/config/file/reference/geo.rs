//! `[geo]`.

use super::{Key, Section};

/// `[geo]`.
pub const GEO: Section = Section {
    name: "geo",
    header: "[geo]",
    doc: "Where clients are, by their address. Without it no address has a country.",
    keys: &[
        Key {
            name: "database",
            kind: "path or list of paths",
            default: "none",
            doc: "Files in the format of MaxMind (`.mmdb`): GeoIP2, GeoLite2, or flat ones with `country_code`. Of several, such as one for IPv4 and one for IPv6, the first that knows an address decides. A file that is replaced (by renaming, as the updaters do) is in force within half a minute; one that is broken is refused whole, and what was read before stays.",
            example: r#""/var/lib/GeoIP/GeoLite2-City.mmdb""#,
        },
        Key {
            name: "domains",
            kind: "table",
            default: "{}",
            doc: "Hosts that are made for one country each. A client that asks one of them from the country of another is told in the answer: `Server-Timing: domain;desc=\"shop.fr\"`, which the page's script may read. Nobody is sent anywhere, and what is stored stays the same for all.",
            example: r#"{ DE = "shop.de", FR = "shop.fr" }"#,
        },
    ],
};
