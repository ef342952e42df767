//! The secret that a gateway asks for when others than this machine can reach it.

use std::{
    fmt,
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

use axum::http::HeaderMap;
use base64::{Engine, prelude::BASE64_STANDARD};
use hubless_node::open_regular;
use subtle::ConstantTimeEq;

/// Characters of a token. Fewer can be guessed over the network.
const TOKEN_CHARS_MIN: usize = 16;

/// Bytes of a token file: one line.
const TOKEN_BYTES_MAX: u64 = 4096;

/// The secret of a gateway or of a caller of the upstream. It is never printed.
#[derive(Clone)]
pub struct Token(Arc<str>);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

/// Why a file holds no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// It could not be read.
    #[error("could not read the token from {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Others can read it.
    #[error("others can read the token in {path} (mode {mode:o}): run `chmod 600 {path}`")]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It is short, or has characters that a header cannot have.
    #[error(
        "{path} holds no token: a token is one line of {TOKEN_CHARS_MIN} or more visible ASCII \
         characters"
    )]
    Malformed {
        /// The file.
        path: PathBuf,
    },
}

impl Token {
    /// Reads a token from a file that only its owner can read.
    ///
    /// # Errors
    /// If it cannot be read, others can, or it holds no token.
    pub fn read(path: &Path) -> Result<Self, TokenError> {
        let failed = |source| TokenError::Read {
            path: path.to_owned(),
            source,
        };
        let file = open_regular(path).map_err(failed)?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
            if mode & 0o077 != 0 {
                let path = path.to_owned();
                return Err(TokenError::Open { path, mode });
            }
        }
        let mut text = String::new();
        file.take(TOKEN_BYTES_MAX)
            .read_to_string(&mut text)
            .map_err(failed)?;
        Self::new(text.trim()).ok_or_else(|| TokenError::Malformed {
            path: path.to_owned(),
        })
    }

    /// The token, if the text can be one.
    pub fn new(text: &str) -> Option<Self> {
        let fits =
            text.len() >= TOKEN_CHARS_MIN && text.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then(|| Self(text.into()))
    }

    /// For the hub that it is for.
    pub(crate) fn text(&self) -> Arc<str> {
        self.0.clone()
    }

    /// Whether a text is this token; the time that it takes reveals nothing about where it differs.
    pub(crate) fn is(&self, text: &str) -> bool {
        self.0.as_bytes().ct_eq(text.as_bytes()).into()
    }
}

/// The token that a caller sent as `Authorization: Bearer`.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    credentials(headers, "bearer")
}

/// The password that a browser sent for its user, as `Authorization: Basic`.
pub(crate) fn password(headers: &HeaderMap) -> Option<String> {
    let decoded = BASE64_STANDARD
        .decode(credentials(headers, "basic")?)
        .ok()?;
    let (_, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some(password.to_owned())
}

fn credentials<'a>(headers: &'a HeaderMap, wanted: &str) -> Option<&'a str> {
    let sent = headers.get("authorization")?.to_str().ok()?;
    let (scheme, credentials) = sent.split_once(' ')?;
    let credentials = credentials.trim();
    (scheme.eq_ignore_ascii_case(wanted) && !credentials.is_empty()).then_some(credentials)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_token_file_belongs_to_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        std::fs::write(&path, "0123456789abcdef\n").unwrap();
        let mode = |mode| std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        mode(0o640);
        assert!(matches!(
            Token::read(&path),
            Err(TokenError::Open { mode: 0o640, .. })
        ));
        mode(0o600);
        assert!(Token::read(&path).unwrap().is("0123456789abcdef"));
    }

    #[test]
    fn what_can_be_guessed_is_no_token() {
        assert!(Token::new("short").is_none());
        assert!(Token::new("0123456789 abcdef").is_none());
        let token = Token::new("0123456789abcdef").unwrap();
        assert!(!token.is("0123456789abcdeg") && !token.is("") && !token.is("0123456789abcdef0"));
        assert_eq!(format!("{token:?}"), "Token");
    }
}
