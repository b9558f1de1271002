//! `pollcast hash-key`: a key for a client, and its hash for the configuration.

use std::fmt::Write as _;
use std::io::{IsTerminal, Read as _, stdin};
use std::process::ExitCode;

use openssl::base64::encode_block;
use openssl::rand::rand_bytes;
use openssl::sha::sha256;

use super::{CliError, print};

/// Bytes of chance in a key that is made here.
const CHANCE: usize = 32;
/// The shortest key that is taken, in bytes: its hash may be read by many, and anybody can try short
/// ones.
const SHORTEST: usize = 24;
/// The longest, in bytes.
const LONGEST: usize = 1024;
/// The fewest different characters of a key.
const FEWEST: usize = 10;

/// A key for a client, and its hash for the configuration
///
/// Reads a key from standard input and prints its SHA-256, which goes into `auth.keys.NAME.sha256`.
/// Without input, makes a random key, which goes to the client.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Make a key instead of reading one
    #[arg(long)]
    make: bool,
}

/// A key that is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Whoever sees its hash could find it.
    #[error(
        "the key is too short or too simple: whoever sees its hash could find it; use one of 24 random characters or more, or let `pollcast hash-key --make` make one"
    )]
    Weak,
    /// No header can hold it.
    #[error(
        "the key holds something else than visible ASCII, which no header can hold; use letters and digits"
    )]
    Form,
    /// It cannot be read.
    #[error("cannot read a key from standard input")]
    Read(#[source] std::io::Error),
    /// There is no randomness.
    #[error("cannot make a key ({0})")]
    Chance(String),
}

/// Prints the hash of a key, and the key if it was made here.
pub fn hash_key(arguments: &Arguments) -> Result<ExitCode, CliError> {
    let mut text = String::new();
    if arguments.make || stdin().is_terminal() {
        let key = made()?;
        writeln!(text, "key:    {key}").expect("invariant: a string takes anything");
        text.push_str("sha256: ");
        text.push_str(&hash(&key));
    } else {
        text.push_str(&hash(&read()?));
    }
    text.push('\n');
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn made() -> Result<String, KeyError> {
    let mut chance = [0; CHANCE];
    rand_bytes(&mut chance).map_err(|error| KeyError::Chance(error.to_string()))?;
    let text = encode_block(&chance).replace('+', "-").replace('/', "_");
    Ok(format!("pk_{}", text.trim_end_matches('=')))
}

fn read() -> Result<String, KeyError> {
    let mut text = String::new();
    let most = LONGEST as u64 + 2;
    stdin()
        .take(most)
        .read_to_string(&mut text)
        .map_err(KeyError::Read)?;
    let key = text.strip_suffix('\n').unwrap_or(&text);
    let key = key.strip_suffix('\r').unwrap_or(key);
    check(key)?;
    Ok(key.to_owned())
}

fn check(key: &str) -> Result<(), KeyError> {
    let mut characters: Vec<char> = key.chars().collect();
    if key.len() > LONGEST || !characters.iter().all(char::is_ascii_graphic) {
        return Err(KeyError::Form);
    }
    characters.sort_unstable();
    characters.dedup();
    match key.len() < SHORTEST || characters.len() < FEWEST {
        true => Err(KeyError::Weak),
        false => Ok(()),
    }
}

fn hash(key: &str) -> String {
    let mut text = String::new();
    for byte in sha256(key.as_bytes()) {
        write!(text, "{byte:02x}").expect("invariant: a string takes anything");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_long_key_of_many_characters_is_one() {
        assert!(matches!(check("secret"), Err(KeyError::Weak)));
        assert!(matches!(check(&"ab".repeat(20)), Err(KeyError::Weak)));
        assert!(matches!(
            check("two words and some more of them"),
            Err(KeyError::Form)
        ));
        assert!(matches!(
            check(&"abcdefghijkl".repeat(100)),
            Err(KeyError::Form)
        ));
        assert!(check(&made().unwrap()).is_ok());
        assert_ne!(made().unwrap(), made().unwrap());
    }
}
