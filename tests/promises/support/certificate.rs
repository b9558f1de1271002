//! Certificates that are made on the spot.

use openssl::asn1::{Asn1Time, Asn1TimeRef};
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
use openssl::x509::{X509, X509NameBuilder};

/// A certificate and its key.
pub struct Certificate {
    pub x509: X509,
    pub key: PKey<Private>,
}

impl Certificate {
    /// For this name, for a week; only its own key vouches for it.
    pub fn of(name: &str) -> Self {
        Self::ending(curve_key(), name, &next_week())
    }

    /// The same with this key and end.
    pub fn ending(key: PKey<Private>, name: &str, end: &Asn1TimeRef) -> Self {
        make(key, name, end, false, None)
    }

    /// One that vouches for others, and for itself under this name.
    pub fn authority(name: &str) -> Self {
        make(curve_key(), name, &next_week(), true, None)
    }

    /// One for this name that this authority vouches for.
    pub fn issue(&self, name: &str) -> Self {
        make(curve_key(), name, &next_week(), false, Some(self))
    }

    pub fn pem(&self) -> Vec<u8> {
        self.x509.to_pem().unwrap()
    }

    pub fn key_pem(&self) -> Vec<u8> {
        self.key.private_key_to_pem_pkcs8().unwrap()
    }
}

fn curve_key() -> PKey<Private> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
}

fn next_week() -> Asn1Time {
    Asn1Time::days_from_now(7).unwrap()
}

fn make(
    key: PKey<Private>,
    common_name: &str,
    end: &Asn1TimeRef,
    vouches: bool,
    issuer: Option<&Certificate>,
) -> Certificate {
    let mut name = X509NameBuilder::new().unwrap();
    name.append_entry_by_text("CN", common_name).unwrap();
    let name = name.build();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    let mut serial = BigNum::new().unwrap();
    serial
        .rand(64, openssl::bn::MsbOption::MAYBE_ZERO, false)
        .unwrap();
    let serial = serial.to_asn1_integer().unwrap();
    builder.set_serial_number(&serial).unwrap();
    builder.set_subject_name(&name).unwrap();
    let issuer_name = issuer.map_or(&*name, |issuer| issuer.x509.subject_name());
    builder.set_issuer_name(issuer_name).unwrap();
    builder.set_pubkey(&key).unwrap();
    let long_ago = Asn1Time::from_unix(0).unwrap();
    builder.set_not_before(&long_ago).unwrap();
    builder.set_not_after(end).unwrap();
    if vouches {
        let ca = BasicConstraints::new().critical().ca().build().unwrap();
        builder.append_extension(ca).unwrap();
    }
    let context = builder.x509v3_context(issuer.map(|issuer| &*issuer.x509), None);
    let names = SubjectAlternativeName::new()
        .dns(common_name)
        .build(&context);
    builder.append_extension(names.unwrap()).unwrap();
    let signer = issuer.map_or(&key, |issuer| &issuer.key);
    builder.sign(signer, MessageDigest::sha256()).unwrap();
    Certificate {
        x509: builder.build(),
        key,
    }
}
