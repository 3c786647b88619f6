//! Replays the fuzz corpora of foreign bytes that the engine reads.

use std::fs;
use std::path::Path;

#[path = "../../../fuzz/laws_of_jobs/mod.rs"]
mod laws_of_jobs;

#[test]
fn every_law_holds_for_its_corpus() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz");
    for (name, _) in laws_of_jobs::ALL {
        assert!(fuzz.join(format!("fuzz_targets/{name}.rs")).is_file(), "`{name}` has no target");
        let mut inputs = 0;
        for file in fs::read_dir(fuzz.join("corpus").join(name)).expect("every target has a corpus")
        {
            let path = file.expect("the folder is readable").path();
            let input = fs::read(&path).expect("the input is readable");
            let outcome = std::panic::catch_unwind(|| laws_of_jobs::judge(name, &input));
            assert!(outcome.is_ok(), "`{name}` does not hold for {}", path.display());
            inputs += 1;
        }
        assert!(inputs > 0, "the corpus of `{name}` is empty");
    }
}
