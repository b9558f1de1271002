//! Any bytes as a pointer, a pattern, a path or a filter, and a document.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| pollcast_fuzz::check::paths::check(input));
