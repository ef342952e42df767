//! What all pages have around them, and what they forbid.

use axum::{
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use maud::{DOCTYPE, Markup, html};

use super::assets::{ICON, SCRIPT, STYLE};

/// Nothing but what this gateway serves, no code and no style in the text, no frame around it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                      connect-src 'self'; form-action 'self'; base-uri 'none'; \
                      frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 7] = [
    (header::CONTENT_TYPE, "text/html; charset=utf-8"),
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    // Shown again only after asking again: what a node holds changes, and others may sit here next.
    (header::CACHE_CONTROL, "no-store"),
];

/// A page of its own.
pub(crate) struct Page<'a> {
    pub(crate) title: &'a str,
    /// What stands in the search field.
    pub(crate) query: &'a str,
    pub(crate) body: Markup,
}

impl Page<'_> {
    pub(crate) fn respond(self, status: StatusCode) -> Response {
        fragment(status, self.render())
    }

    fn render(&self) -> Markup {
        let title = match self.title {
            "" => "hubless".to_owned(),
            title => format!("{title} · hubless"),
        };
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (title) }
                    link rel="icon" type="image/svg+xml" href=(ICON.url);
                    link rel="stylesheet" href=(STYLE.url);
                    script src=(SCRIPT.url) defer {}
                }
                body {
                    a.skip href="#main" { "Skip to content" }
                    header.top {
                        a.home href="/" { "hubless" }
                        form role="search" action="/search" {
                            input type="search" name="q" value=(self.query) maxlength="200"
                                placeholder="Search models, datasets and spaces"
                                aria-label="Search";
                        }
                    }
                    main #main { (self.body) }
                    footer {
                        "hubless " (env!("CARGO_PKG_VERSION"))
                        " · every chunk is verified with BLAKE3 before it is kept or shown"
                    }
                }
            }
        }
    }
}

/// A part of a page that a script puts in, with the same rules.
pub(crate) fn fragment(status: StatusCode, body: Markup) -> Response {
    let headers = HEADERS.map(|(name, value)| (name, HeaderValue::from_static(value)));
    (status, headers, body.into_string()).into_response()
}

/// A page that says why there is none.
pub(crate) fn failure(status: StatusCode, title: &str, text: &str) -> Response {
    let body = html! {
        h1 { (title) }
        p { (text) }
        p { a href="/" { "What this node holds" } }
    };
    let page = Page {
        title,
        query: "",
        body,
    };
    page.respond(status)
}
