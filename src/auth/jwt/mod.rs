//! JSON Web Tokens (RFC 7519), verified as RFC 8725 wants it.
//!
//! Promises that nothing a token says decides how it is verified: algorithms and types of keys come
//! from the configuration, keys from its issuer's source alone (`jku`, `jwk`, `x5u` and `x5c` are not
//! looked at), and what is not understood (`crit`) is refused. Tokens are longer than 8 KiB nowhere.
//!
//! | room | what it knows |
//! |---|---|
//! | `provider` | signatures, by OpenSSL |
//! | `keys` | an issuer's keys, out of JWK sets, PEM files and secrets |
//! | `claims` | what a token says, and whether that is enough |
//! | `known` | tokens that were verified a moment ago |
//! | `issuer` | one issuer: which key, and when to look for others |
//! | `source` | where the keys come from, again and again |

mod claims;
mod issuer;
mod keys;
mod known;
mod provider;
mod source;
#[cfg(test)]
mod tests;

pub use claims::{Claims, Verified};
pub use issuer::{Issuer, IssuerError};
pub use provider::install;
