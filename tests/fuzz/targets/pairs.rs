//! Any bytes as successive bodies.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| pollcast_fuzz::check::bodies(input));
