//! Replays the fuzz corpora: what a fuzzer once found stays found, without a nightly toolchain.

use std::fs;
use std::path::Path;

#[path = "../../../fuzz/laws/mod.rs"]
mod laws;

#[test]
fn every_law_holds_for_its_corpus() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    for (name, _) in laws::ALL {
        let files = fs::read_dir(corpora.join(name)).expect("every target has a corpus");
        let mut inputs = 0;
        for file in files {
            let path = file.expect("the folder is readable").path();
            let input = fs::read(&path).expect("the input is readable");
            let outcome = std::panic::catch_unwind(|| laws::judge(name, &input));
            assert!(outcome.is_ok(), "`{name}` does not hold for {}", path.display());
            inputs += 1;
        }
        assert!(inputs > 0, "the corpus of `{name}` is empty");
    }
}

#[test]
fn every_law_has_a_fuzz_target_and_every_target_a_law() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/fuzz_targets");
    let mut targets: Vec<String> = fs::read_dir(folder)
        .expect("the folder is readable")
        .map(|file| file.expect("an entry").path())
        .filter(|path| fs::read_to_string(path).expect("it is text").contains("../laws/mod.rs"))
        .map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned())
        .collect();
    let mut laws: Vec<&str> = laws::ALL.iter().map(|(name, _)| *name).collect();
    targets.sort();
    laws.sort_unstable();
    assert_eq!(targets, laws);
}
