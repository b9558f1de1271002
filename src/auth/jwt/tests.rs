//! Tokens that are right, by the examples of the RFCs and by keys of each type, and tokens that
//! are wrong in the ways that have been tried on others.

use std::sync::Arc;

use http::{HeaderMap, Uri, header};
use jsonwebtoken::{Algorithm, DecodingKey, crypto};
use openssl::base64::encode_block;
use openssl::bn::{BigNum, BigNumContext};
use openssl::ec::{EcGroup, EcKey};
use openssl::ecdsa::EcdsaSig;
use openssl::hash::{MessageDigest, hash};
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::{Padding, Rsa};
use openssl::sign::{RsaPssSaltlen, Signer};
use serde_json::{Value, json};

use super::*;
use crate::auth::asking::Asking;
use crate::auth::metrics::Metrics;
use crate::auth::{Denied, Proof};
use crate::clock::Clock;
use crate::config::{Config, Policy, System};
use crate::metrics::Registry;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn base64url(bytes: &[u8]) -> String {
    let text = encode_block(bytes).replace('\n', "");
    text.replace('+', "-")
        .replace('/', "_")
        .trim_end_matches('=')
        .to_owned()
}

/// A pair of keys, and how it is named in a set.
struct Pair {
    key: PKey<Private>,
    algorithm: &'static str,
    jwk: Value,
}

impl Pair {
    fn rsa(bits: u32, id: &str, algorithm: &'static str) -> Self {
        let key = Rsa::generate(bits).unwrap();
        let (n, e) = (base64url(&key.n().to_vec()), base64url(&key.e().to_vec()));
        let jwk = json!({"kty": "RSA", "kid": id, "n": n, "e": e});
        Self {
            key: PKey::from_rsa(key).unwrap(),
            algorithm,
            jwk,
        }
    }

    fn ec(id: &str) -> Self {
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
        let key = EcKey::generate(&group).unwrap();
        let (mut x, mut y) = (BigNum::new().unwrap(), BigNum::new().unwrap());
        let mut context = BigNumContext::new().unwrap();
        key.public_key()
            .affine_coordinates(&group, &mut x, &mut y, &mut context)
            .unwrap();
        let text = |number: &BigNum| base64url(&number.to_vec_padded(32).unwrap());
        let jwk = json!({"kty": "EC", "crv": "P-256", "kid": id, "x": text(&x), "y": text(&y)});
        Self {
            key: PKey::from_ec_key(key).unwrap(),
            algorithm: "ES256",
            jwk,
        }
    }

    fn ed(id: &str) -> Self {
        let key = PKey::generate_ed25519().unwrap();
        let x = base64url(&key.raw_public_key().unwrap());
        let jwk = json!({"kty": "OKP", "crv": "Ed25519", "kid": id, "x": x, "use": "sig"});
        Self {
            key,
            algorithm: "EdDSA",
            jwk,
        }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self.algorithm {
            "EdDSA" => {
                let mut signer = Signer::new_without_digest(&self.key).unwrap();
                signer.sign_oneshot_to_vec(message).unwrap()
            }
            "ES256" => {
                let digest = hash(MessageDigest::sha256(), message).unwrap();
                let signature = EcdsaSig::sign(&digest, &self.key.ec_key().unwrap()).unwrap();
                let half = |number: &openssl::bn::BigNumRef| number.to_vec_padded(32).unwrap();
                [half(signature.r()), half(signature.s())].concat()
            }
            algorithm => {
                let mut signer = Signer::new(MessageDigest::sha256(), &self.key).unwrap();
                if algorithm == "PS256" {
                    signer.set_rsa_padding(Padding::PKCS1_PSS).unwrap();
                    signer
                        .set_rsa_pss_saltlen(RsaPssSaltlen::DIGEST_LENGTH)
                        .unwrap();
                }
                signer.sign_oneshot_to_vec(message).unwrap()
            }
        }
    }

    fn header(&self) -> Value {
        json!({"alg": self.algorithm, "kid": self.jwk["kid"]})
    }

    fn token(&self, header: &str, claims: &str) -> String {
        let message = format!(
            "{}.{}",
            base64url(header.as_bytes()),
            base64url(claims.as_bytes())
        );
        let signature = base64url(&self.sign(message.as_bytes()));
        format!("{message}.{signature}")
    }
}

fn hmac(secret: &[u8], header: &str, claims: &str) -> String {
    let message = format!(
        "{}.{}",
        base64url(header.as_bytes()),
        base64url(claims.as_bytes())
    );
    let key = PKey::hmac(secret).unwrap();
    let mut signer = Signer::new(MessageDigest::sha256(), &key).unwrap();
    let signature = signer.sign_oneshot_to_vec(message.as_bytes()).unwrap();
    format!("{message}.{}", base64url(&signature))
}

fn seconds() -> u64 {
    Clock::start().now().0 / 1000
}

/// What a good token says.
fn claims() -> Value {
    json!({"iss": "me", "aud": "us", "sub": "alice", "exp": seconds() + 600})
}

/// An issuer, and the policy of a feed that wants its tokens.
struct Court {
    issuer: Arc<Issuer>,
    policy: Arc<Policy>,
    _folder: tempfile::TempDir,
}

impl Court {
    /// With these keys in a set, these algorithms, and what is wanted of the claims.
    fn new(pairs: &[&Pair], algorithms: &str, more: &str, access: &str) -> Self {
        let set = json!({"keys": pairs.iter().map(|pair| &pair.jwk).collect::<Vec<_>>()});
        Self::with(&set.to_string(), "jwks_file: set", algorithms, more, access)
    }

    fn shared() -> Self {
        Self::with("", &format!("secret: {SECRET}"), "HS256", "", "")
    }

    fn with(file: &str, keys: &str, algorithms: &str, more: &str, access: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("set"), file).unwrap();
        let text = format!(
            "auth: {{jwt: {{it: {{issuer: me, audience: [us], algorithms: [{algorithms}], {keys}{more}}}}}}}\n\
             upstreams: {{a: {{url: 'http://a'}}}}\n\
             feeds: [{{path: '/f/{{id}}', upstream: a, access: [{{jwt: it{access}}}]}}]"
        );
        let (config, _) = Config::parse(&text, &System::new(folder.path())).unwrap();
        install();
        let (issuer, metrics) = (
            Arc::clone(&config.auth.issuers[0]),
            Metrics::new(&Registry::default()),
        );
        Self {
            issuer: Issuer::start(issuer, Arc::default(), &metrics).unwrap(),
            policy: config.feeds[0].access.clone().unwrap(),
            _folder: folder,
        }
    }

    async fn judge_for(&self, token: &str, id: &str) -> Result<Proof, Denied> {
        let mut headers = HeaderMap::new();
        headers.insert(
            header::AUTHORIZATION,
            format!("Bearer {token}").parse().unwrap(),
        );
        let asking = Asking {
            method: &http::Method::GET,
            events: false,
            is_secure: false,
            headers: &headers,
            uri: &Uri::from_static("/"),
            captures: &[id.to_owned()],
            client: None,
        };
        let rules = &self.policy.any[0].claims;
        self.issuer.proof(rules, &asking, Clock::start()).await
    }

    async fn judge(&self, token: &str) -> Result<(), Denied> {
        self.judge_for(token, "1").await.map(|_| ())
    }
}

fn holds(token: &str, key: &DecodingKey, algorithm: Algorithm) -> bool {
    install();
    let (message, signature) = token.rsplit_once('.').unwrap();
    crypto::verify(signature, message.as_bytes(), key, algorithm).unwrap_or(false)
}

/// RFC 7515 appendices A.1 to A.3, RFC 8037 appendix A.4.
#[test]
fn the_examples_of_the_rfcs_hold_and_nothing_near_them() {
    const SAID: &str = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let secret =
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ+EstJQLr/T+1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow==";
    let rsa = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";
    for (key, algorithm, head, said, signature) in [
        (
            DecodingKey::from_base64_secret(secret).unwrap(),
            Algorithm::HS256,
            "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9",
            SAID,
            "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
        ),
        (
            DecodingKey::from_rsa_components(rsa, "AQAB").unwrap(),
            Algorithm::RS256,
            "eyJhbGciOiJSUzI1NiJ9",
            SAID,
            "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
        ),
        (
            DecodingKey::from_ec_components(
                "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
                "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
            )
            .unwrap(),
            Algorithm::ES256,
            "eyJhbGciOiJFUzI1NiJ9",
            SAID,
            "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
        ),
        (
            DecodingKey::from_ed_components("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap(),
            Algorithm::EdDSA,
            "eyJhbGciOiJFZERTQSJ9",
            "RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
            "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
        ),
    ] {
        let token = format!("{head}.{said}.{signature}");
        assert!(holds(&token, &key, algorithm), "{algorithm:?}");
        assert!(!holds(
            &format!("{head}.{said}x.{signature}"),
            &key,
            algorithm
        ));
        assert!(!holds(&format!("{head}.{said}."), &key, algorithm));
        assert!(!holds(
            &format!("{head}.{said}.{}", &signature[2..]),
            &key,
            algorithm
        ));
        assert!(!holds(&format!("{token}AA"), &key, algorithm));
        for other in [
            Algorithm::HS256,
            Algorithm::RS256,
            Algorithm::PS256,
            Algorithm::ES256,
            Algorithm::ES384,
            Algorithm::EdDSA,
        ] {
            assert_eq!(
                holds(&token, &key, other),
                other == algorithm,
                "{algorithm:?} as {other:?}"
            );
        }
    }
}

#[tokio::test]
async fn each_type_of_key_lets_in_with_its_own_algorithm_alone() {
    let pairs = [
        Pair::rsa(2048, "r", "RS256"),
        Pair::rsa(2048, "p", "PS256"),
        Pair::ec("c"),
        Pair::ed("d"),
    ];
    let all: Vec<&Pair> = pairs.iter().collect();
    let court = Court::new(&all, "RS256, PS256, ES256, EdDSA", "", "");
    let said = claims().to_string();
    for pair in &pairs {
        let token = pair.token(&pair.header().to_string(), &said);
        assert_eq!(court.judge(&token).await, Ok(()), "{}", pair.algorithm);
        // Without a name of its key, all are tried.
        let nameless = pair.token(&json!({"alg": pair.algorithm}).to_string(), &said);
        assert_eq!(court.judge(&nameless).await, Ok(()));
        for other in pairs
            .iter()
            .filter(|other| other.algorithm != pair.algorithm)
        {
            let header = json!({"alg": pair.algorithm, "kid": other.jwk["kid"]}).to_string();
            assert_eq!(
                court.judge(&pair.token(&header, &said)).await,
                Err(Denied::Invalid)
            );
            let header = json!({"alg": other.algorithm, "kid": pair.jwk["kid"]}).to_string();
            assert_eq!(
                court.judge(&pair.token(&header, &said)).await,
                Err(Denied::Invalid)
            );
        }
    }
    let narrow = Court::new(&all, "EdDSA", "", "");
    let token = pairs[0].token(&pairs[0].header().to_string(), &said);
    assert_eq!(narrow.judge(&token).await, Err(Denied::Invalid));
}

#[tokio::test]
async fn a_public_key_is_no_secret_and_no_algorithm_is_no_signature() {
    let pair = Pair::rsa(2048, "r", "RS256");
    let court = Court::new(&[&pair], "RS256", "", "");
    let said = claims().to_string();
    let pem = pair.key.public_key_to_pem().unwrap();
    let der = pair.key.public_key_to_der().unwrap();
    let n = pair.key.rsa().unwrap().n().to_vec();
    for secret in [&pem[..], &der, &n, b"x"] {
        let token = hmac(secret, r#"{"alg":"HS256","kid":"r"}"#, &said);
        assert_eq!(court.judge(&token).await, Err(Denied::Invalid));
    }
    for none in ["none", "None", "NONE", "", "HS256 ", "RS255"] {
        let head = base64url(json!({"alg": none}).to_string().as_bytes());
        for signature in ["", "AA"] {
            let token = format!("{head}.{}.{signature}", base64url(said.as_bytes()));
            assert_eq!(court.judge(&token).await, Err(Denied::Invalid), "{none:?}");
        }
    }
}

#[tokio::test]
async fn what_a_header_says_of_keys_and_extensions_lets_in_nobody() {
    let (ours, theirs) = (Pair::ed("ours"), Pair::ed("theirs"));
    let court = Court::new(&[&ours], "EdDSA", "", "");
    let said = claims().to_string();
    // Signed by somebody else, who says where the key is.
    for more in [
        json!({"kid": "ours", "jwk": theirs.jwk}),
        json!({"kid": "ours", "jku": "https://evil.example/jwks"}),
        json!({"kid": "ours", "x5u": "https://evil.example/x"}),
        json!({"kid": "../../../../dev/null"}),
        json!({"kid": "' or 1=1 --"}),
        json!({"kid": ""}),
        json!({"kid": 1}),
        json!({}),
    ] {
        let mut header = more;
        header["alg"] = "EdDSA".into();
        let token = theirs.token(&header.to_string(), &said);
        assert_eq!(court.judge(&token).await, Err(Denied::Invalid), "{header}");
    }
    // Signed by the issuer, but not what is understood here.
    for more in [
        r#","crit":["b64"],"b64":false"#,
        r#","b64":false"#,
        r#","crit":[]"#,
        r#","crit":["exp"],"exp":1"#,
        r#","zip":"DEF""#,
        r#","enc":"A128GCM""#,
        r#","cty":"JWT""#,
        r#","typ":"dpop+jwt""#,
        r#","typ":"logout+jwt""#,
        r#","kid":"ours""#,
        r#","alg":"EdDSA""#,
    ] {
        let header = format!(r#"{{"alg":"EdDSA","kid":"ours"{more}}}"#);
        assert_eq!(
            court.judge(&ours.token(&header, &said)).await,
            Err(Denied::Invalid),
            "{header}"
        );
    }
    for more in [
        r#","typ":"JWT""#,
        r#","typ":"at+jwt""#,
        r#","typ":"application/AT+JWT""#,
        r#","x":1"#,
    ] {
        let header = format!(r#"{{"alg":"EdDSA","kid":"ours"{more}}}"#);
        assert_eq!(
            court.judge(&ours.token(&header, &said)).await,
            Ok(()),
            "{header}"
        );
    }
}

#[tokio::test]
async fn a_signature_of_another_form_lets_in_nobody() {
    let pair = Pair::ec("c");
    let court = Court::new(&[&pair], "ES256", "", "");
    let head = base64url(pair.header().to_string().as_bytes());
    let message = format!("{head}.{}", base64url(claims().to_string().as_bytes()));
    let digest = hash(MessageDigest::sha256(), message.as_bytes()).unwrap();
    let der = EcdsaSig::sign(&digest, &pair.key.ec_key().unwrap())
        .unwrap()
        .to_der()
        .unwrap();
    let good = pair.sign(message.as_bytes());
    let mut order = BigNum::new().unwrap();
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    group
        .order(&mut order, &mut BigNumContext::new().unwrap())
        .unwrap();
    let n = order.to_vec();
    let zero = vec![0; 32];
    for signature in [
        der,
        [&zero[..], &zero].concat(),
        [&zero[..], &good[32..]].concat(),
        [&good[..32], &zero].concat(),
        [&n[..], &n].concat(),
        [&n[..], &good[32..]].concat(),
        [&[0][..], &good[..32], &[0], &good[32..]].concat(),
        good[..63].to_vec(),
        Vec::new(),
    ] {
        let token = format!("{message}.{}", base64url(&signature));
        assert_eq!(court.judge(&token).await, Err(Denied::Invalid));
    }
    assert_eq!(
        court
            .judge(&format!("{message}.{}", base64url(&good)))
            .await,
        Ok(())
    );
}

#[tokio::test]
async fn a_token_of_another_form_lets_in_nobody() {
    let court = Court::shared();
    let head = r#"{"alg":"HS256"}"#;
    let good = hmac(SECRET.as_bytes(), head, &claims().to_string());
    assert_eq!(court.judge(&good).await, Ok(()));
    let long = json!({"iss": "me", "aud": "us", "exp": seconds() + 600, "x": "x".repeat(8 << 10)});
    let twice = claims().to_string().replacen('{', r#"{"sub":"root","#, 1);
    let deep_twice = claims()
        .to_string()
        .replacen('{', r#"{"x":{"a":1,"a":2},"#, 1);
    for said in [
        long.to_string(),
        twice,
        deep_twice,
        "[]".into(),
        "1".into(),
        "{}".into(),
        String::new(),
    ] {
        let token = hmac(SECRET.as_bytes(), head, &said);
        assert_eq!(
            court.judge(&token).await,
            Err(Denied::Invalid),
            "{said:.80}"
        );
    }
    let parts: Vec<&str> = good.split('.').collect();
    for token in [
        format!("{good}."),
        format!(".{good}"),
        format!("{good}="),
        format!("{good}.{}", parts[2]),
        format!("{}.{}", parts[0], parts[1]),
        format!("{}..{}", parts[0], parts[2]),
        good.replace('.', ""),
        "a.b.c".into(),
        "..".into(),
        good.to_uppercase(),
    ] {
        assert_eq!(court.judge(&token).await, Err(Denied::Invalid), "{token}");
    }
}

#[tokio::test]
async fn a_token_is_for_us_of_its_issuer_and_in_its_time() {
    let court = Court::shared();
    let now = seconds();
    for (change, let_in) in [
        (json!({}), true),
        (json!({"aud": ["them", "us"]}), true),
        (json!({"aud": "them"}), false),
        (json!({"aud": ["them"]}), false),
        (json!({"aud": null}), false),
        (json!({"aud": [["us"]]}), false),
        (json!({"iss": "you"}), false),
        (json!({"iss": "me "}), false),
        (json!({"iss": ["me"]}), false),
        (json!({"exp": now - 20}), true),
        (json!({"exp": now - 40}), false),
        (json!({"exp": now as f64 + 60.5}), true),
        (json!({"exp": "never"}), false),
        (json!({"exp": -1}), false),
        (json!({"exp": null}), false),
        (json!({"exp": 1e300}), true),
        (json!({"nbf": now + 20}), true),
        (json!({"nbf": now + 40}), false),
        (json!({"nbf": "now"}), false),
        (json!({"iat": now + 4000}), true),
    ] {
        let mut said = claims();
        for (name, value) in change.as_object().unwrap() {
            said[name] = value.clone();
        }
        let token = hmac(SECRET.as_bytes(), r#"{"alg":"HS256"}"#, &said.to_string());
        assert_eq!(court.judge(&token).await.is_ok(), let_in, "{change}");
    }
    let mut endless = claims();
    endless.as_object_mut().unwrap().remove("exp");
    let token = hmac(
        SECRET.as_bytes(),
        r#"{"alg":"HS256"}"#,
        &endless.to_string(),
    );
    assert_eq!(court.judge(&token).await, Err(Denied::Invalid));
    let lenient = Court::with(
        "",
        &format!("secret: {SECRET}"),
        "HS256",
        ", expiry: optional",
        "",
    );
    assert_eq!(lenient.judge(&token).await, Ok(()));
}

#[tokio::test]
async fn claims_are_compared_with_what_is_wanted_and_with_captures() {
    for (access, said, let_in) in [
        ("{sub: '{id}'}", json!({"sub": "a/b"}), true),
        ("{sub: '{id}'}", json!({"sub": "a%2Fb"}), false),
        ("{sub: '{id}'}", json!({"sub": "A/b"}), false),
        ("{sub: 'user:{id}'}", json!({"sub": "user:a/b"}), true),
        (
            "{roles: operator}",
            json!({"roles": ["reader", "operator"]}),
            true,
        ),
        ("{roles: operator}", json!({"roles": "operator"}), true),
        ("{roles: operator}", json!({"roles": "operators"}), false),
        (
            "{roles: operator}",
            json!({"roles": "reader operator"}),
            false,
        ),
        (
            "{roles: operator}",
            json!({"roles": {"operator": true}}),
            false,
        ),
        ("{roles: operator}", json!({}), false),
        (
            "{roles: [operator, admin]}",
            json!({"roles": ["admin"]}),
            true,
        ),
        ("{scope: read}", json!({"scope": "write read"}), true),
        ("{scope: read}", json!({"scope": "readall"}), false),
        (
            "{realm.roles: admin}",
            json!({"realm": {"roles": ["admin"]}}),
            true,
        ),
        (
            "{realm.roles: admin}",
            json!({"realm.roles": ["admin"]}),
            false,
        ),
        (
            "{'/https:~1~1x/roles': admin}",
            json!({"https://x": {"roles": "admin"}}),
            true,
        ),
        ("{level: 3}", json!({"level": 3}), true),
        ("{level: 3}", json!({"level": "3"}), false),
        ("{staff: true}", json!({"staff": true}), true),
        ("{staff: true}", json!({"staff": "true"}), false),
        (
            "{sub: alice, roles: admin}",
            json!({"sub": "alice", "roles": "admin"}),
            true,
        ),
        ("{sub: alice, roles: admin}", json!({"sub": "alice"}), false),
    ] {
        let keys = format!("secret: {SECRET}");
        let court = Court::with("", &keys, "HS256", "", &format!(", claims: {access}"));
        let mut all = claims();
        all.as_object_mut().unwrap().remove("sub");
        for (name, value) in said.as_object().unwrap() {
            all[name] = value.clone();
        }
        let token = hmac(SECRET.as_bytes(), r#"{"alg":"HS256"}"#, &all.to_string());
        let judged = court.judge_for(&token, "a/b").await.map(|_| ());
        let wanted = if let_in {
            Ok(())
        } else {
            Err(Denied::Insufficient)
        };
        assert_eq!(judged, wanted, "{access} {said}");
    }
}

#[test]
fn keys_that_are_weak_broken_or_not_for_signatures_are_left_out() {
    install();
    let (weak, good) = (
        Pair::rsa(1024, "weak", "RS256"),
        Pair::rsa(2048, "good", "RS256"),
    );
    let with = |pair: &Pair, name: &str, value: Value| {
        let mut jwk = pair.jwk.clone();
        jwk[name] = value;
        jwk
    };
    let count = |keys: Vec<Value>| {
        let set = json!({"keys": keys}).to_string();
        keys::Keys::of_set(
            set.as_bytes(),
            &[Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA],
        )
        .map_or(0, |keys| keys.len())
    };
    let (ec, ed) = (Pair::ec("c"), Pair::ed("d"));
    assert_eq!(
        count(vec![good.jwk.clone(), ec.jwk.clone(), ed.jwk.clone()]),
        3
    );
    for odd in [
        weak.jwk.clone(),
        with(&good, "use", "enc".into()),
        with(&good, "key_ops", json!(["sign"])),
        with(&good, "alg", "RS512".into()),
        with(&good, "alg", "none".into()),
        with(&good, "e", "AQ".into()),
        with(&good, "e", "AA".into()),
        with(&good, "n", "".into()),
        with(&ec, "x", "AAAA".into()),
        with(&ec, "y", ec.jwk["x"].clone()),
        with(&ec, "crv", "P-384".into()),
        with(&ed, "x", "AAAA".into()),
        with(&ed, "crv", "Ed448".into()),
        // Points of small order, for which signatures can be made by anybody.
        with(&ed, "x", format!("AQ{}", "A".repeat(41)).into()),
        with(&ed, "x", "A".repeat(43).into()),
        json!({"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3I"}),
        json!({"kty": "unheard-of"}),
        json!(1),
    ] {
        assert_eq!(count(vec![odd.clone()]), 0, "{odd}");
    }
}
