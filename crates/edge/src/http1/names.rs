//! Names of fields. Those that most messages have are found by comparing: to parse one costs ten times
//! as much.

use http::{HeaderName, header};

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
const SEC_FETCH_USER: HeaderName = HeaderName::from_static("sec-fetch-user");

/// Reads a name; `None` if it is no token.
pub fn read(name: &[u8]) -> Option<HeaderName> {
    known(name).or_else(|| HeaderName::from_bytes(name).ok())
}

/// The name, if it is one of those that programs use most, as HTTP/1 spells it or in lower case.
fn known(name: &[u8]) -> Option<HeaderName> {
    Some(match name {
        b"Via" | b"via" => header::VIA,
        b"Age" | b"age" => header::AGE,
        b"Host" | b"host" => header::HOST,
        b"Date" | b"date" => header::DATE,
        b"ETag" | b"Etag" | b"etag" => header::ETAG,
        b"Vary" | b"vary" => header::VARY,
        b"Link" | b"link" => header::LINK,
        b"Range" | b"range" => header::RANGE,
        b"Accept" | b"accept" => header::ACCEPT,
        b"Cookie" | b"cookie" => header::COOKIE,
        b"Server" | b"server" => header::SERVER,
        b"Origin" | b"origin" => header::ORIGIN,
        b"Referer" | b"referer" => header::REFERER,
        b"Expires" | b"expires" => header::EXPIRES,
        b"Location" | b"location" => header::LOCATION,
        b"If-Range" | b"if-range" => header::IF_RANGE,
        b"User-Agent" | b"user-agent" => header::USER_AGENT,
        b"Connection" | b"connection" => header::CONNECTION,
        b"Set-Cookie" | b"set-cookie" => header::SET_COOKIE,
        b"Keep-Alive" | b"keep-alive" => KEEP_ALIVE,
        b"Content-Type" | b"content-type" => header::CONTENT_TYPE,
        b"X-Request-Id" | b"x-request-id" => X_REQUEST_ID,
        b"Cache-Control" | b"cache-control" => header::CACHE_CONTROL,
        b"If-None-Match" | b"if-none-match" => header::IF_NONE_MATCH,
        b"Last-Modified" | b"last-modified" => header::LAST_MODIFIED,
        b"Authorization" | b"authorization" => header::AUTHORIZATION,
        b"Accept-Ranges" | b"accept-ranges" => header::ACCEPT_RANGES,
        b"Content-Length" | b"content-length" => header::CONTENT_LENGTH,
        b"Sec-Fetch-Site" | b"sec-fetch-site" => SEC_FETCH_SITE,
        b"Sec-Fetch-Mode" | b"sec-fetch-mode" => SEC_FETCH_MODE,
        b"Sec-Fetch-Dest" | b"sec-fetch-dest" => SEC_FETCH_DEST,
        b"Sec-Fetch-User" | b"sec-fetch-user" => SEC_FETCH_USER,
        b"Accept-Encoding" | b"accept-encoding" => header::ACCEPT_ENCODING,
        b"Accept-Language" | b"accept-language" => header::ACCEPT_LANGUAGE,
        b"X-Forwarded-For" | b"x-forwarded-for" => X_FORWARDED_FOR,
        b"X-Frame-Options" | b"x-frame-options" => header::X_FRAME_OPTIONS,
        b"Content-Encoding" | b"content-encoding" => header::CONTENT_ENCODING,
        b"Transfer-Encoding" | b"transfer-encoding" => header::TRANSFER_ENCODING,
        b"If-Modified-Since" | b"if-modified-since" => header::IF_MODIFIED_SINCE,
        b"X-Content-Type-Options" | b"x-content-type-options" => header::X_CONTENT_TYPE_OPTIONS,
        b"Upgrade-Insecure-Requests" | b"upgrade-insecure-requests" => {
            header::UPGRADE_INSECURE_REQUESTS
        }
        b"Strict-Transport-Security" | b"strict-transport-security" => {
            header::STRICT_TRANSPORT_SECURITY
        }
        b"cache-status" => CACHE_STATUS,
        b"content-language" => header::CONTENT_LANGUAGE,
        b"content-security-policy" => header::CONTENT_SECURITY_POLICY,
        b"referrer-policy" => header::REFERRER_POLICY,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_what_parsing_makes_of_it() {
        let mut found = 0;
        for line in include_str!("names.rs").lines().filter(|line| line.contains("b\"")) {
            for text in line.split("b\"").skip(1).filter_map(|rest| rest.split('"').next()) {
                if let Some(name) = known(text.as_bytes()) {
                    assert_eq!(HeaderName::from_bytes(text.as_bytes()).ok(), Some(name));
                    found += 1;
                }
            }
        }
        assert!(found > 60, "{found}");
        for other in ["", "hosT", "Hos", "Host ", "X-Own"] {
            assert_eq!(known(other.as_bytes()), None, "{other}");
        }
    }
}
