//! The files of the status page, which are part of the binary.

use http::HeaderValue;
use openssl::sha::sha256;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// One file.
#[derive(Debug)]
pub(super) struct Asset {
    path: &'static str,
    pub(super) media_type: &'static str,
    pub(super) body: &'static [u8],
    /// Another one for each content.
    pub(super) tag: HeaderValue,
}

/// Every file.
#[derive(Debug)]
pub(super) struct Assets(Vec<Asset>);

const FILES: [(&str, &str, &str); 17] = [
    ("/", HTML, include_str!("page/index.html")),
    ("/status.css", CSS, include_str!("page/status.css")),
    ("/status.js", SCRIPT, include_str!("page/status.js")),
    ("/changes.js", SCRIPT, include_str!("page/changes.js")),
    (
        "/configuration.js",
        SCRIPT,
        include_str!("page/configuration.js"),
    ),
    ("/dom.js", SCRIPT, include_str!("page/dom.js")),
    ("/format.js", SCRIPT, include_str!("page/format.js")),
    ("/overview.js", SCRIPT, include_str!("page/overview.js")),
    ("/parts.js", SCRIPT, include_str!("page/parts.js")),
    ("/patches.js", SCRIPT, include_str!("page/patches.js")),
    ("/topic.js", SCRIPT, include_str!("page/topic.js")),
    ("/topics.js", SCRIPT, include_str!("page/topics.js")),
    ("/tree.js", SCRIPT, include_str!("page/tree.js")),
    ("/upstreams.js", SCRIPT, include_str!("page/upstreams.js")),
    ("/icon.svg", SVG, include_str!("page/icon.svg")),
    (
        "/pollcast.js",
        SCRIPT,
        include_str!("../client/pollcast.min.js"),
    ),
    (
        "/api/openapi.json",
        super::answer::JSON,
        include_str!("openapi.json"),
    ),
];

impl Assets {
    /// Makes up their tags.
    pub(super) fn load() -> Self {
        let assets = FILES.map(|(path, media_type, text)| Asset {
            path,
            media_type,
            body: text.as_bytes(),
            tag: tag(text),
        });
        Self(assets.into())
    }

    /// The file at this path.
    pub(super) fn at(&self, path: &str) -> Option<&Asset> {
        self.0.iter().find(|asset| asset.path == path)
    }
}

fn tag(text: &str) -> HeaderValue {
    let sum = sha256(text.as_bytes());
    let hex: String = sum[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    HeaderValue::try_from(format!("\"{hex}\""))
        .expect("invariant: hexadecimal digits in quotes are a tag")
}
