//! Any bytes as an answer in one of the formats that are no JSON.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| pollcast_fuzz::check::formats::check(input));
