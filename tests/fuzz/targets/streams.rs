//! Any bytes as an event stream, in pieces, and as a recording.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| pollcast_fuzz::check::streams::check(input));
