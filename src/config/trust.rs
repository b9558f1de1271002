//! TLS to the servers of an upstream as it is written.

use std::path::PathBuf;

use super::Tls;
use super::keys::UPSTREAM_TLS;
use super::listen::{key_pair, pem};
use super::pem::read_chain;
use super::section::Section;

/// Whom to trust, and what to show. The files may change while pollcast runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamTls {
    /// PEM: who vouches for the servers, instead of those whom the system trusts.
    pub ca: Option<PathBuf>,
    /// What pollcast shows of itself.
    pub identity: Option<Tls>,
    /// Whether certificates are verified at all.
    pub verify: bool,
}

/// Reads the section `tls`, and the files that it names, once to find out whether they will do.
pub(super) fn upstream_tls(upstream: &Section<'_>) -> UpstreamTls {
    let section = upstream.section("tls", &UPSTREAM_TLS);
    let ca = section
        .find("ca")
        .and_then(|node| pem(node, "certificate", read_chain))
        .map(|ca| section.node.sheet().around.locate(&ca.path));
    let shows = section.find("certificate").is_some() || section.find("key").is_some();
    let identity = shows
        .then(|| key_pair(&section, "the upstream may refuse it"))
        .flatten();
    let verify = section.find("verify").and_then(|node| node.flag());
    if let (Some(false), Some(node)) = (verify, section.find("verify")) {
        node.warning(
            "whoever answers is taken for the upstream, and gets every credential that is sent to it",
            "name who vouches for it in `ca`, and remove this",
        );
    }
    UpstreamTls {
        ca,
        identity,
        verify: verify.unwrap_or(true),
    }
}
