//! What must hold for any bytes that a client, an upstream or a file may bring.

// The checks of the core find it where `tests/fuzz_seeds.rs` has it.
pub use pollcast::core;

#[path = "../../json_texts/oracle.rs"]
pub mod oracle;

pub mod check;
