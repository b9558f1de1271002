//! Any bytes as one body, and as the changes that make the next ones of it.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| pollcast_fuzz::check::edits(input));
