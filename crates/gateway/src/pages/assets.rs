//! The stylesheet, the script and the icon: a part of the program, kept by browsers for as long as
//! they are the same.

use std::sync::LazyLock;

use axum::{
    extract::Path,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use hubless_content::FileHasher;

/// One file.
pub(crate) struct Asset {
    /// Its address, which changes with its bytes.
    pub(crate) url: String,
    name: String,
    kind: &'static str,
    text: &'static str,
}

pub(crate) static STYLE: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new(
        "pages",
        "css",
        "text/css; charset=utf-8",
        include_str!("assets/pages.css"),
    )
});

pub(crate) static SCRIPT: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new(
        "pages",
        "js",
        "text/javascript; charset=utf-8",
        include_str!("assets/pages.js"),
    )
});

pub(crate) static ICON: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new(
        "icon",
        "svg",
        "image/svg+xml",
        include_str!("assets/icon.svg"),
    )
});

impl Asset {
    fn new(stem: &str, ending: &str, kind: &'static str, text: &'static str) -> Self {
        let mut hasher = FileHasher::new();
        hasher.update(text.as_bytes());
        let hash = hasher.finish().file().to_string();
        let name = format!("{stem}-{}.{ending}", &hash[..16]);
        Self {
            url: format!("/static/{name}"),
            name,
            kind,
            text,
        }
    }
}

pub(crate) async fn asset(Path(name): Path<String>) -> Response {
    let known: [&Asset; 3] = [&STYLE, &SCRIPT, &ICON];
    let Some(asset) = known.into_iter().find(|asset| asset.name == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let headers = [
        (header::CONTENT_TYPE, asset.kind),
        (
            header::CACHE_CONTROL,
            "private, max-age=31536000, immutable",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; sandbox",
        ),
    ];
    (
        headers.map(|(name, value)| (name, HeaderValue::from_static(value))),
        asset.text,
    )
        .into_response()
}
