//! How often stored files are checked.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

/// How often every stored file is read and checked: `30d`, `12h`, or `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ScrubEvery {
    /// Never.
    Off,
    /// Once in this time; whole seconds, at least one.
    Every(Duration),
}

/// A text that is not an interval between two checks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither \"off\" nor a time such as 30d or 12h")]
pub struct ParseScrubEveryError(String);

/// The largest first.
const UNITS: [(&str, u64); 4] = [("d", 24 * 3600), ("h", 3600), ("m", 60), ("s", 1)];

impl Default for ScrubEvery {
    fn default() -> Self {
        Self::Every(Duration::from_secs(30 * 24 * 3600))
    }
}

impl ScrubEvery {
    /// The time between two checks of a file; `None` if there are none.
    pub fn time(self) -> Option<Duration> {
        match self {
            Self::Off => None,
            Self::Every(time) => Some(time),
        }
    }
}

impl FromStr for ScrubEvery {
    type Err = ParseScrubEveryError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "off" {
            return Ok(Self::Off);
        }
        let seconds = UNITS.iter().find_map(|(unit, seconds)| {
            let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
            number.checked_mul(*seconds).filter(|seconds| *seconds > 0)
        });
        seconds
            .map(|seconds| Self::Every(Duration::from_secs(seconds)))
            .ok_or_else(|| ParseScrubEveryError(text.to_owned()))
    }
}

impl fmt::Display for ScrubEvery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Every(time) = self else {
            return f.write_str("off");
        };
        let seconds = time.as_secs();
        let fits = UNITS.iter().find(|(_, unit)| seconds.is_multiple_of(*unit));
        let (unit, length) = fits.unwrap_or(&("s", 1));
        write!(f, "{}{unit}", seconds / length)
    }
}

impl TryFrom<String> for ScrubEvery {
    type Error = ParseScrubEveryError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ScrubEvery> for String {
    fn from(every: ScrubEvery) -> Self {
        every.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_as_they_are_written() {
        for (text, shown) in [("30d", "30d"), ("48h", "2d"), ("90m", "90m"), ("1s", "1s")] {
            let every: ScrubEvery = text.parse().unwrap();
            assert_eq!(every.to_string(), shown);
        }
        assert_eq!("off".parse(), Ok(ScrubEvery::Off));
        assert_eq!(ScrubEvery::default().to_string(), "30d");
        for text in ["", "0d", "d", "-1d", "30", "30w", "99999999999999999d"] {
            assert!(text.parse::<ScrubEvery>().is_err(), "{text}");
        }
    }
}
