//! What a path may name below a folder.

use std::os::unix::ffi::OsStrExt;
use std::path::Component;

use forebay_edge::files::Wanted;

/// Whatever was sent names plain, visible files below, as many names deep as there are slashes; and a path
/// on the disk is read as it is.
pub(crate) fn file_path(bytes: &[u8]) {
    if let Some(wanted) = Wanted::on_disk(bytes) {
        let again: Vec<&[u8]> =
            bytes.split(|byte| *byte == b'/').filter(|it| !it.is_empty()).collect();
        assert_eq!(wanted.path().as_os_str().as_bytes(), again.join(&b'/'));
        judge(&wanted, again.len());
    }
    let Ok(path) = std::str::from_utf8(bytes) else { return };
    if let Some(wanted) = Wanted::parse(path) {
        judge(&wanted, path.split('/').filter(|name| !name.is_empty()).count());
        assert_eq!(wanted.is_folder(), path.ends_with('/'));
    }
}

fn judge(wanted: &Wanted, names: usize) {
    assert_eq!(wanted.path().components().count(), names);
    for (place, component) in wanted.path().components().enumerate() {
        let Component::Normal(name) = component else { panic!("{component:?} leads elsewhere") };
        let name = name.as_bytes();
        assert!(!name.contains(&0) && !name.contains(&b'\\') && !name.contains(&b'/'));
        assert!(name.first() != Some(&b'.') || (place == 0 && name == b".well-known"));
    }
}
