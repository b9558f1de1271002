//! Tokens as an issuer would make them, and the issuer with its set of keys.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use openssl::base64::encode_block;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::sign::Signer;
use serde_json::{Value, json};

use super::upstream::{Reply, Upstream};

/// A secret shared with an issuer.
pub const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn base64url(bytes: &[u8]) -> String {
    let text = encode_block(bytes).replace(['\n', '='], "");
    text.replace('+', "-").replace('/', "_")
}

/// Seconds since 1970, so many from now.
pub fn at(seconds: i64) -> i64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a time");
    i64::try_from(now.as_secs()).expect("a time") + seconds
}

/// What a good token says, with this laid over it.
pub fn claims(more: &Value) -> Value {
    let mut claims =
        json!({"iss": "https://id.example", "aud": "pollcast", "sub": "alice", "exp": at(600)});
    for (name, value) in more.as_object().expect("an object") {
        claims[name] = value.clone();
    }
    claims
}

/// A token with HS256.
pub fn shared(secret: &str, claims: &Value) -> String {
    let message = message(&json!({"alg": "HS256", "typ": "JWT"}), claims);
    let key = PKey::hmac(secret.as_bytes()).expect("a key");
    let mut signer = Signer::new(MessageDigest::sha256(), &key).expect("a signer");
    let signature = signer
        .sign_oneshot_to_vec(message.as_bytes())
        .expect("a signature");
    format!("{message}.{}", base64url(&signature))
}

fn message(header: &Value, claims: &Value) -> String {
    let part = |part: &Value| base64url(part.to_string().as_bytes());
    format!("{}.{}", part(header), part(claims))
}

/// A key of an issuer.
pub struct Key {
    id: &'static str,
    key: PKey<Private>,
}

impl Key {
    pub fn new(id: &'static str) -> Self {
        let key = PKey::generate_ed25519().expect("a key");
        Self { id, key }
    }

    /// A token with EdDSA.
    pub fn token(&self, claims: &Value) -> String {
        let message = message(&json!({"alg": "EdDSA", "kid": self.id}), claims);
        let mut signer = Signer::new_without_digest(&self.key).expect("a signer");
        let signature = signer
            .sign_oneshot_to_vec(message.as_bytes())
            .expect("a signature");
        format!("{message}.{}", base64url(&signature))
    }

    /// As the issuer publishes it.
    pub fn jwk(&self) -> Value {
        let x = base64url(&self.key.raw_public_key().expect("a key"));
        json!({"kty": "OKP", "crv": "Ed25519", "kid": self.id, "x": x})
    }
}

/// An issuer that publishes its keys.
pub struct Issuer {
    pub server: Upstream,
    keys: Arc<Mutex<Value>>,
    fails: Arc<AtomicBool>,
}

impl Issuer {
    pub fn with(keys: &[&Key]) -> Self {
        let published = Arc::new(Mutex::new(Value::Null));
        let fails = Arc::new(AtomicBool::new(false));
        let (answer, broken) = (Arc::clone(&published), Arc::clone(&fails));
        let server = Upstream::start(move |_| match broken.load(Ordering::SeqCst) {
            true => Reply::status(500, "no"),
            false => Reply::json(answer.lock().unwrap().to_string()),
        });
        let issuer = Self {
            server,
            keys: published,
            fails,
        };
        issuer.publishes(keys);
        issuer
    }

    pub fn publishes(&self, keys: &[&Key]) {
        let keys: Vec<Value> = keys.iter().map(|key| key.jwk()).collect();
        *self.keys.lock().unwrap() = json!({"keys": keys});
    }

    pub fn fails(&self, fails: bool) {
        self.fails.store(fails, Ordering::SeqCst);
    }
}
