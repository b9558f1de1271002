//! Any bytes as a client's request.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| pollcast_fuzz::check::requests::check(input));
