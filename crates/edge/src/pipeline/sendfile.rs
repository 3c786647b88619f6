//! A file that the application names in place of its content: it decides who may have it, and the edge
//! sends it.

use http::header::{
    ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderMap, HeaderName,
    LAST_MODIFIED,
};
use http::{HeaderValue, StatusCode};

use super::folder::{nothing_here, of_file};
use crate::edge::Site;
use crate::error::Error;
use crate::exchange::{Answer, Head};
use crate::files::{Folder, Found, Opened, Wanted};

const X_SENDFILE: HeaderName = HeaderName::from_static("x-sendfile");
const X_ACCEL_REDIRECT: HeaderName = HeaderName::from_static("x-accel-redirect");
const X_SENDFILE_TYPE: HeaderName = HeaderName::from_static("x-sendfile-type");
const X_ACCEL_MAPPING: HeaderName = HeaderName::from_static("x-accel-mapping");

/// Tells the application which folders it may name, as Rack reads it. Nobody else tells it that: a
/// stranger who could would be shown where its files lie, in place of them.
pub(super) fn announce(site: &Site, fields: &mut HeaderMap) {
    fields.remove(X_SENDFILE_TYPE);
    fields.remove(X_ACCEL_MAPPING);
    if site.sendfile.is_empty() {
        return;
    }
    let pairs = site.sendfile.iter();
    let pairs = pairs.map(|(prefix, folder)| format!("{}/={prefix}", folder.path().display()));
    let pairs = pairs.collect::<Vec<_>>().join(", ");
    if let Ok(mapping) = HeaderValue::try_from(pairs) {
        fields.insert(X_SENDFILE_TYPE, HeaderValue::from_static("X-Accel-Redirect"));
        fields.insert(X_ACCEL_MAPPING, mapping);
    }
}

/// The file that `answer` names in its place; the answer itself, if it names none or the route lets it name
/// none. `asked` is whose conditions and ranges the file is sent by; a fill wants the whole.
pub(super) async fn in_place(
    site: &Site,
    mut answer: Answer,
    asked: Option<&Head>,
) -> Result<Answer, Error> {
    if site.sendfile.is_empty() {
        return Ok(answer);
    }
    let fields = answer.fields_mut();
    let redirect = fields.remove(X_ACCEL_REDIRECT);
    let path = fields.remove(X_SENDFILE);
    let named = match (&redirect, &path) {
        (None, None) => return Ok(answer),
        (Some(uri), _) => below_prefix(site, uri),
        (None, Some(path)) => below_folder(site, path),
    };
    let found = match named {
        Some((folder, wanted)) if answer.status == StatusCode::OK => {
            folder.find_wanted(wanted).await?
        }
        _ => Found::Nothing,
    };
    let Found::File(mut file) = found else {
        let (route, named) = (&site.route.name, redirect.or(path));
        tracing::warn!(route, ?named, "the application names no file of its folders");
        return Ok(nothing_here());
    };
    dress(&mut file, answer.fields);
    if let Some(asked) = asked {
        return Ok(of_file(asked, &file));
    }
    let mut answer = Answer::new(file.stream(0..file.length()));
    answer.fields = file.fields;
    Ok(answer)
}

/// The fields of the application hold; what it does not say of the content, the file does.
fn dress(file: &mut Opened, mut said: HeaderMap) {
    for name in [CONTENT_TYPE, ETAG, LAST_MODIFIED, ACCEPT_RANGES] {
        if let Some(value) = file.fields.remove(&name)
            && !said.contains_key(&name)
        {
            said.insert(name, value);
        }
    }
    // They speak of content that is not sent.
    said.remove(CONTENT_LENGTH);
    said.remove(CONTENT_ENCODING);
    file.fields = said;
}

/// `/protected/a%20b`, as nginx reads it: without a query, decoded once.
fn below_prefix<'s>(site: &'s Site, uri: &HeaderValue) -> Option<(&'s Folder, Option<Wanted>)> {
    let uri = uri.to_str().ok()?;
    let path = uri.split('?').next().unwrap_or_default();
    site.sendfile.iter().find_map(|(prefix, folder)| {
        let rest = path.strip_prefix(prefix.as_str())?;
        Some((folder, Wanted::parse(&format!("/{rest}"))))
    })
}

/// `/srv/files/a b`, the path as it is on the disk.
fn below_folder<'s>(site: &'s Site, path: &HeaderValue) -> Option<(&'s Folder, Option<Wanted>)> {
    site.sendfile.iter().find_map(|(_, folder)| {
        let folder_path = folder.path().to_str()?.trim_end_matches('/');
        let rest = path.as_bytes().strip_prefix(folder_path.as_bytes())?.strip_prefix(b"/")?;
        Some((folder, Wanted::on_disk(rest)))
    })
}
