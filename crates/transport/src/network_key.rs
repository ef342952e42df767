//! The shared key of a private network, in the `swarm.key` format that IPFS users know.

use std::{fmt, str::FromStr};

use libp2p::pnet::PreSharedKey;

/// A text that is not a network key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseNetworkKeyError {
    /// The first line is another one.
    #[error("the first line of a network key is /key/swarm/psk/1.0.0/")]
    Header,
    /// The second line is another one.
    #[error("the second line of a network key is /base16/")]
    Encoding,
    /// The third line is something else.
    #[error("the third line of a network key has 64 hexadecimal digits")]
    Digits,
}

/// The key that all nodes of a private network share. Its `Debug` shows a fingerprint only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NetworkKey(PreSharedKey);

impl NetworkKey {
    /// A new key for a new network.
    pub fn generate() -> Self {
        Self(PreSharedKey::new(rand::random()))
    }

    /// The text of a key file. It is a secret.
    pub fn to_key_file(self) -> String {
        self.0.to_key_file()
    }

    /// A public text that distinguishes keys.
    pub fn fingerprint(self) -> String {
        self.0.fingerprint().to_string()
    }

    pub(crate) fn pre_shared(self) -> PreSharedKey {
        self.0
    }
}

/// Parses the text of a key file.
// Not `PreSharedKey::from_str`, which panics where a digit is not ASCII.
impl FromStr for NetworkKey {
    type Err = ParseNetworkKeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut lines = text.lines().map(str::trim_end);
        if lines.next() != Some("/key/swarm/psk/1.0.0/") {
            return Err(ParseNetworkKeyError::Header);
        }
        if lines.next() != Some("/base16/") {
            return Err(ParseNetworkKeyError::Encoding);
        }
        let key = lines
            .next()
            .and_then(decode_hex)
            .ok_or(ParseNetworkKeyError::Digits)?;
        Ok(Self(PreSharedKey::new(key)))
    }
}

fn decode_hex(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> = text
        .chars()
        .map(|char| char.to_digit(16).map(|digit| digit as u8))
        .collect::<Option<_>>()?;
    let (pairs, []) = digits.as_chunks::<2>() else {
        return None;
    };
    let bytes: Vec<u8> = pairs.iter().map(|[high, low]| high << 4 | low).collect();
    bytes.try_into().ok()
}

impl fmt::Display for NetworkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.fingerprint())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_and_back() {
        let key = NetworkKey::generate();
        assert_eq!(key.to_key_file().parse(), Ok(key));
        assert_eq!(key.to_key_file().replace('\n', "\r\n").parse(), Ok(key));
        assert_ne!(NetworkKey::generate(), key);
    }

    #[test]
    fn a_malformed_key_file_says_which_line() {
        let parse = |text: &str| text.parse::<NetworkKey>().unwrap_err();
        let digits = "ab".repeat(32);
        assert_eq!(parse(""), ParseNetworkKeyError::Header);
        assert_eq!(
            parse("/key/swarm/psk/1.0.0/\n/base64/"),
            ParseNetworkKeyError::Encoding
        );
        for third in [
            "",
            "abc",
            &format!("{digits}0"),
            &digits.replace('a', "+"),
            &"é".repeat(32),
        ] {
            let text = format!("/key/swarm/psk/1.0.0/\n/base16/\n{third}\n");
            assert_eq!(parse(&text), ParseNetworkKeyError::Digits, "{third}");
        }
    }
}
