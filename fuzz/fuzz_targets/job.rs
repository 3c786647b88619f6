#![no_main]

#[path = "../laws_of_jobs/mod.rs"]
mod laws_of_jobs;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| laws_of_jobs::judge("job", bytes));
