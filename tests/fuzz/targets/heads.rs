//! Any bytes as the head of an upstream's answer.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| pollcast_fuzz::check::heads::check(input));
