//! How a ticket is written: the scheme, parameters, and percent-encoding.

use std::fmt::{self, Write as _};

use multiaddr::Multiaddr;

use super::TicketError;

pub(super) const SCHEME: &str = "hubless:";

/// What follows the scheme; `None` if there is none.
pub(super) fn strip_scheme(text: &str) -> Option<&str> {
    let (scheme, body) = text.split_at_checked(SCHEME.len())?;
    scheme.eq_ignore_ascii_case(SCHEME).then_some(body)
}

pub(super) fn parse_parameter(parameter: &str) -> Result<Multiaddr, TicketError> {
    let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
    if name != "peer" {
        return Err(TicketError::UnknownParameter(name.to_owned()));
    }
    let text = percent_decode(value)?;
    text.parse()
        .map_err(|error: multiaddr::Error| TicketError::BadAddress {
            reason: error.to_string(),
            text,
        })
}

/// Whether a character can stand in the value of a parameter: those of a query in RFC 3986, but
/// `&`, which ends the value, `+`, which some programs take for a space, and quotes, which shells
/// do not like.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~/:@!$()*,;=?".contains(&byte)
}

pub(super) fn percent_encode(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    text.bytes().try_for_each(|byte| {
        if is_plain(byte) {
            f.write_char(byte.into())
        } else {
            write!(f, "%{byte:02X}")
        }
    })
}

pub(super) fn percent_decode(text: &str) -> Result<String, TicketError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, tail)) = rest.split_first() {
        rest = tail;
        if *byte != b'%' {
            bytes.push(*byte);
            continue;
        }
        let Some((digits, tail)) = rest.split_first_chunk::<2>() else {
            return Err(TicketError::PercentEncoding(text.to_owned()));
        };
        let digit = |digit: u8| char::from(digit).to_digit(16);
        let (Some(high), Some(low)) = (digit(digits[0]), digit(digits[1])) else {
            return Err(TicketError::PercentEncoding(text.to_owned()));
        };
        bytes.push((high << 4 | low) as u8);
        rest = tail;
    }
    String::from_utf8(bytes).map_err(|error| error.utf8_error().into())
}
