//! A certificate for the loopback address that nobody need trust.

use std::fs;
use std::path::{Path, PathBuf};

use openssl::asn1::Asn1Time;
use openssl::ec::{EcGroup, EcKey};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::PKey;
use openssl::x509::{X509, X509NameBuilder};

/// Writes one and its key (P-256) into a folder; returns both files.
pub fn write(folder: &Path) -> (PathBuf, PathBuf) {
    let (certificate, key) = make().expect("openssl makes certificates");
    let files = ["certificate.pem", "key.pem"].map(|name| folder.join(name));
    for (file, pem) in files.iter().zip([certificate, key]) {
        fs::write(file, pem).expect("a file");
    }
    let [certificate, key] = files;
    (certificate, key)
}

fn make() -> Result<(Vec<u8>, Vec<u8>), ErrorStack> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
    let key = PKey::from_ec_key(EcKey::generate(&group)?)?;
    let mut name = X509NameBuilder::new()?;
    name.append_entry_by_text("CN", "127.0.0.1")?;
    let name = name.build();
    let mut certificate = X509::builder()?;
    certificate.set_version(2)?;
    certificate.set_subject_name(&name)?;
    certificate.set_issuer_name(&name)?;
    certificate.set_not_before(&*Asn1Time::days_from_now(0)?)?;
    certificate.set_not_after(&*Asn1Time::days_from_now(2)?)?;
    certificate.set_pubkey(&key)?;
    certificate.sign(&key, MessageDigest::sha256())?;
    Ok((
        certificate.build().to_pem()?,
        key.private_key_to_pem_pkcs8()?,
    ))
}
