//! `src/core` of pollcast, and what must hold for any bytes that an upstream may send.

#[path = "../../../src/core/mod.rs"]
pub mod core;

#[path = "../../json_texts/oracle.rs"]
pub mod oracle;

pub mod check;
