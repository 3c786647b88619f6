//! Files that never change under their name: the name holds a fingerprint of the content.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;
use std::{fs, io};

use bytes::Bytes;

use crate::catalog::{PRODUCTS, Product};
use crate::picture;

const STYLE: &str = include_str!("../assets/shop.css");
const SCRIPT: &str = include_str!("../assets/shop.js");

/// One file.
#[derive(Debug)]
pub(crate) struct Asset {
    pub(crate) media_type: &'static str,
    pub(crate) content: Bytes,
}

/// Every file by its path, and the paths that pages ask for.
#[derive(Debug)]
pub(crate) struct Assets {
    by_path: BTreeMap<String, Asset>,
    pub(crate) style: String,
    pub(crate) script: String,
    pictures: Vec<String>,
}

/// All files, made once.
pub(crate) static ASSETS: LazyLock<Assets> = LazyLock::new(|| {
    let mut by_path = BTreeMap::new();
    let mut add = |folder: &str, name: &str, end: &str, media_type, content: String| {
        let path = format!("/{folder}/{name}-{}.{end}", fingerprint(content.as_bytes()));
        by_path.insert(path.clone(), Asset { media_type, content: content.into() });
        path
    };
    let style = add("assets", "shop", "css", "text/css; charset=utf-8", STYLE.into());
    let script = add("assets", "shop", "js", "text/javascript; charset=utf-8", SCRIPT.into());
    let picture = |product: &Product| {
        add("pictures", product.slug, "svg", "image/svg+xml", picture::of(product))
    };
    let pictures = PRODUCTS.iter().map(picture).collect();
    Assets { by_path, style, script, pictures }
});

impl Assets {
    pub(crate) fn find(&self, path: &str) -> Option<&Asset> {
        self.by_path.get(path)
    }

    pub(crate) fn picture(&self, product: &Product) -> &str {
        self.pictures.get(usize::from(product.id) - 1).map_or("", String::as_str)
    }

    /// Style and script as a page's `Link` (RFC 8288).
    pub(crate) fn links(&self) -> String {
        let (style, script) = (&self.style, &self.script);
        format!("<{style}>; rel=preload; as=style, <{script}>; rel=preload; as=script")
    }

    /// Every path, for the traffic generator and tests.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        self.by_path.keys().map(String::as_str)
    }
}

/// Writes style and script into a folder, under the paths that pages ask for: whoever stands before the shop
/// may serve them from there.
///
/// # Errors
/// A folder or file cannot be written.
pub fn write_assets(folder: &Path) -> io::Result<()> {
    for path in [&ASSETS.style, &ASSETS.script] {
        let Some(asset) = ASSETS.find(path) else { continue };
        let file = folder.join(path.trim_start_matches('/'));
        file.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::write(file, &asset.content)?;
    }
    Ok(())
}

/// 64 bits of FNV-1a as hexadecimal digits: enough to tell versions of a file apart.
pub(crate) fn fingerprint(bytes: &[u8]) -> String {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}
