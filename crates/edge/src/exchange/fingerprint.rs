//! Names that carry a digest of their content: what lies under one never changes.
//!
//! Build tools write it before the ending: `app-5f3a9c0b1d2e.css`, `main.3f2a91bc.js`, `index-DiwrgT3a.js`.
//! Whoever is told wrongly that a file never changes keeps an old one for a year, and whoever is not told
//! asks once more: in doubt it is no digest.

/// Shortest digest that build tools write.
const LEAST: usize = 8;
/// As long as the identifiers of a well-known database, and no tool's digest.
const OBJECT_ID: usize = 24;
/// Endings of what build tools make, which may carry a digest in any letters.
const BUILT: [&str; 8] = ["cjs", "css", "js", "json", "map", "mjs", "wasm", "woff2"];
/// What may stand between the digest and the last ending.
const BETWEEN: [&str; 7] = ["css", "js", "mjs", "cjs", "min", "module", "wasm"];

/// True if the last name of `path` carries a digest.
pub fn is_fingerprinted(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    let Some((mut stem, ending)) = name.rsplit_once('.') else { return false };
    if ending.is_empty() || !ending.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return false;
    }
    while let Some((shorter, between)) = stem.rsplit_once('.')
        && BETWEEN.contains(&between)
    {
        stem = shorter;
    }
    let is_built = BUILT.contains(&ending);
    ends_with_hex(stem) || (is_built && ends_with_letters(stem))
}

/// `app-5f3a9c0b1d2e`: digits of base 16 in lower case behind a separator.
fn ends_with_hex(stem: &str) -> bool {
    let Some(at) = stem.rfind(['-', '.', '_', '~']).filter(|at| *at > 0) else { return false };
    let digest = stem.get(at + 1..).unwrap_or_default().as_bytes();
    let is_hex = digest.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    // A date is digits alone, a word letters alone, `2024beef` and `decade90` one after the other.
    is_hex
        && digest.len() >= LEAST
        && digest.len() != OBJECT_ID
        && changes(digest) >= 2
        && !is_uuid(stem.as_bytes(), digest)
}

/// `index-DiwrgT3a`, `main-5A3BCDEF`: eight letters and digits as esbuild, Rollup and Vite write them.
fn ends_with_letters(stem: &str) -> bool {
    let Some(at) = stem.len().checked_sub(LEAST + 1).filter(|at| *at > 0) else { return false };
    let Some((b'-' | b'.', digest)) = stem.as_bytes().get(at..).and_then(<[u8]>::split_first)
    else {
        return false;
    };
    let is_upper = digest.iter().all(|byte| matches!(byte, b'A'..=b'Z' | b'2'..=b'7'));
    let is_mixed = digest.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte))
        && digest.iter().any(u8::is_ascii_uppercase)
        && digest.iter().any(u8::is_ascii_lowercase);
    let has_digit = digest.iter().any(u8::is_ascii_digit);
    // `iPhone15` changes three times between small letters, capitals and digits.
    has_digit && ((is_upper && changes(digest) >= 2) || (is_mixed && changes(digest) >= 4))
}

/// How often small letters, capitals and digits follow one another.
fn changes(digest: &[u8]) -> usize {
    let kind = |byte: &u8| (byte.is_ascii_digit(), byte.is_ascii_uppercase());
    digest.windows(2).filter(|pair| pair.first().map(kind) != pair.last().map(kind)).count()
}

/// Names what a thing is and not what is in it: `550e8400-e29b-41d4-a716-446655440000`, or without dashes.
fn is_uuid(stem: &[u8], digest: &[u8]) -> bool {
    const DASHES: [usize; 4] = [8, 13, 18, 23];
    let with_dashes = stem.len().checked_sub(36).and_then(|at| stem.get(at..));
    let is_dashed = with_dashes.is_some_and(|uuid| {
        uuid.iter().enumerate().all(|(at, byte)| {
            if DASHES.contains(&at) { *byte == b'-' } else { byte.is_ascii_hexdigit() }
        })
    });
    let marks = (digest.get(12), digest.get(16));
    let is_plain =
        digest.len() == 32 && matches!(marks, (Some(b'1'..=b'8'), Some(b'8' | b'9' | b'a' | b'b')));
    is_dashed || is_plain
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::is_fingerprinted;

    #[test]
    fn digests_of_build_tools_are_known() {
        for name in [
            "/assets/app-5f3a9c0b1d2e.css",
            "main.3f2a91bc.js",
            "main.3f2a91bc.css.map",
            "app-6e9ad3c5.min.js",
            "vendors~main.8f3a2b1c9d.chunk.js".replace(".chunk", "").as_str(),
            "application-4dd5b109ee3439da54f5bdfd78a80473e1f5b5a1a1b1c1d1e1f1a2b2c2d2e2f2.css",
            "logo-0f3a9c0b1d2e3f4a.svg",
            "photo_5d41402abc4b2a76c9719d911017c592.jpg",
            "index-DiwrgT3a.js",
            "index-B_kR3-f2.js",
            "main-5A3BCD2F.js",
            "x/chunk-K7QM2WZA.mjs",
            "app.wasm-5f3a9c0b.wasm",
        ] {
            assert!(is_fingerprinted(name), "{name}");
        }
    }

    #[test]
    fn dates_versions_words_and_identifiers_are_none() {
        for name in [
            "report-20240131.pdf",
            "backup-20240131123456.json",
            "app-1.2.3.js",
            "jquery-3.7.1.min.js",
            "cafe-deadbeef.html",
            "menu-facade.css",
            "a-effaced.js",
            "song-decade90.mp3",
            "x-2024beef.js",
            "photo-550e8400-e29b-41d4-a716-446655440abc.jpg",
            "avatar-550e8400e29b41d4a716446655440abc.png",
            "user-507f1f77bcf86cd799439011.jpg",
            "emoji-1f600.svg",
            "5f3a9c0b1d2e.css",
            "-5f3a9c0b1d2e.css",
            "app-5f3a9c0b1d2e",
            "app-5f3a9c0b1d2e.",
            "commit-5f3a9c0.js",
            "logo-iPhone15.js",
            "logo-Windows7.css",
            "README-CHANGELOG.js",
            "page-VERSION2.js",
            "my-long-name.js",
            "service-worker.js",
            "index.html",
            "fr-CA.json",
            "chapter-Chapter1.css",
            "img-DiwrgT3a.png",
            "5f3a9c0b1d2e/app.css",
            "",
            "app-5F3A9C0B1D2E.png",
            "data-1706659200000.json",
            "v2-20240131a.js",
        ] {
            assert!(!is_fingerprinted(name), "{name}");
        }
    }

    proptest! {
        #[test]
        fn no_date_version_or_word_is_a_digest(
            name in "[a-z]{1,8}", separator in "[-._]", digits in "[0-9]{1,20}", word in "[a-z]{1,12}",
            version in "[0-9]{1,3}(\\.[0-9]{1,3}){1,3}(-(alpha|beta|rc)\\.?[0-9]{0,2})?",
            ending in "(js|css|json|png|html|woff2|min\\.js|css\\.map)",
        ) {
            for token in [&digits, &word, &version, &format!("{word}{digits}"), &format!("{digits}{word}")] {
                let name = format!("{name}{separator}{token}.{ending}");
                prop_assert!(!is_fingerprinted(&name), "{}", name);
            }
        }

        #[test]
        fn a_full_digest_in_hex_is_always_one(
            name in "[a-z]{1,8}", bytes in proptest::collection::vec(any::<u8>(), 20..=20),
        ) {
            let digest = bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
            // One in a million has no letter between digits.
            prop_assume!(super::changes(digest.as_bytes()) >= 2);
            let name = format!("{name}-{digest}.css");
            prop_assert!(is_fingerprinted(&name));
        }
    }
}
