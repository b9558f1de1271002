//! Why a request of our own failed, in words that may be shown to anybody.

/// How [`root_cause`] begins where nobody who is trusted vouches for a certificate.
pub(crate) const UNTRUSTED: &str = "the certificate is not trusted";

/// What happened, in few words. The outer causes repeat the URL, which may hold a secret; the
/// innermost one says it, except that OpenSSL's is a list of its own source lines.
pub(crate) fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    let mut untrusted = None;
    while let Some(inner) = cause.source() {
        cause = inner;
        // OpenSSL's words on a certificate stand in parentheses behind its list.
        let text = cause.to_string();
        let words = text
            .starts_with("error:")
            .then(|| text.strip_suffix(')')?.rsplit_once('('))
            .flatten();
        untrusted = words.map(|(_, why)| why.to_owned()).or(untrusted);
    }
    match (cause.downcast_ref::<reqwest::Error>(), untrusted) {
        (Some(_), _) => "request failed".to_owned(),
        (None, Some(why)) if cause.to_string().starts_with("error:") => {
            format!("{UNTRUSTED}: {why}")
        }
        (None, _) if cause.to_string().starts_with("error:") => {
            "TLS failed; is https spoken there?".to_owned()
        }
        (None, _) => cause.to_string(),
    }
}
