//! Numbers, sizes and times as people read them.

use std::time::Duration;

use hubless_content::{PublisherId, RepoId};
use maud::{Markup, html};

/// A number of bytes in decimal units: `92.3 MB`.
pub(crate) fn size(bytes: u64) -> String {
    scaled(bytes, ["kB", "MB", "GB", "TB", "PB", "EB"]).unwrap_or_else(|| format!("{bytes} B"))
}

/// A rate: `12.5 MB/s`.
pub(crate) fn rate(bytes_per_second: u64) -> String {
    format!("{}/s", size(bytes_per_second))
}

/// A number of parameters: `22.7 M`.
pub(crate) fn parameters(count: u64) -> String {
    scaled(count, ["k", "M", "B", "T", "quadrillion", "quintillion"])
        .unwrap_or_else(|| count.to_string())
}

/// `None` below the first unit.
fn scaled(count: u64, units: [&str; 6]) -> Option<String> {
    if count < 1_000 {
        return None;
    }
    let mut value = count as f64 / 1e3;
    let mut unit = 0;
    // 999.95 would be shown as 1000.0.
    while value >= 999.95 && unit + 1 < units.len() {
        value /= 1e3;
        unit += 1;
    }
    Some(format!("{value:.1} {}", units[unit]))
}

/// A number in groups of three digits.
pub(crate) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push('\u{202f}');
        }
        grouped.push(digit);
    }
    grouped
}

/// `1 file`, `2 files`.
pub(crate) fn count(count: u64, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        count => format!("{} {what}s", number(count)),
    }
}

/// Parts of a whole, in whole percent; all of it only if it is.
pub(crate) fn percent(part: u64, whole: u64) -> u64 {
    if part >= whole {
        return 100;
    }
    ((part as f64 / whole as f64 * 100.0) as u64).min(99)
}

/// How long something takes: `3 min`.
pub(crate) fn duration(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ 0..=99 => format!("{seconds} s"),
        seconds @ 100..=5_999 => format!("{} min", seconds / 60),
        seconds @ 6_000..=172_799 => format!("{} h", seconds / 3_600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

/// A day, with its time as a tooltip.
pub(crate) fn time(milliseconds: u64) -> Markup {
    let milliseconds = i64::try_from(milliseconds).unwrap_or(i64::MAX);
    let time = jiff::Timestamp::from_millisecond(milliseconds).unwrap_or(jiff::Timestamp::MAX);
    let full = time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let shown = time.strftime("%Y-%m-%d %H:%M UTC").to_string();
    html! { time datetime=(full) title=(shown) { (time.strftime("%Y-%m-%d").to_string()) } }
}

/// A long hash or id: its beginning, all of it as a tooltip and for copying.
pub(crate) fn short(hash: &str) -> Markup {
    let beginning: String = hash.chars().take(12).collect();
    html! { code.hash title=(hash) { (beginning) "…" } }
}

/// The name of a repo; of the id of a publisher the beginning.
pub(crate) fn repo(repo: &RepoId) -> String {
    match repo.namespace() {
        Some(text) => format!("{}/{}", namespace(text), repo.name()),
        None => repo.id().to_owned(),
    }
}

/// A namespace; of the id of a publisher the beginning.
pub(crate) fn namespace(text: &str) -> String {
    match text.parse::<PublisherId>() {
        Ok(publisher) => format!("{}…", publisher.short()),
        Err(_) => text.to_owned(),
    }
}

/// As [`repo`], of a text.
pub(crate) fn namespace_of(repo: &str) -> String {
    match repo.split_once('/') {
        Some((owner, name)) => format!("{}/{name}", namespace(owner)),
        None => repo.to_owned(),
    }
}

/// How long ago a time was, with the time as a tooltip: `3 h ago`.
pub(crate) fn ago(milliseconds: u64) -> Markup {
    let now = jiff::Timestamp::now().as_millisecond();
    let then = i64::try_from(milliseconds).unwrap_or(i64::MAX);
    let since = u64::try_from(now.saturating_sub(then)).unwrap_or_default();
    let time = jiff::Timestamp::from_millisecond(then).unwrap_or(jiff::Timestamp::MAX);
    let full = time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    html! {
        time datetime=(full) title=(full) { (duration(Duration::from_millis(since))) " ago" }
    }
}

/// A peer id or a key. All begin alike, so its end is shown.
pub(crate) fn peer(id: &str) -> Markup {
    let chars = id.chars().count();
    let end: String = id.chars().skip(chars.saturating_sub(10)).collect();
    html! { code.hash title=(id) { "…" (end) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_at_a_glance() {
        assert_eq!(size(999), "999 B");
        assert_eq!(size(92_300_000), "92.3 MB");
        assert_eq!(size(999_960), "1.0 MB");
        assert_eq!(parameters(22_713_216), "22.7 M");
        assert_eq!(number(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(number(12), "12");
        assert_eq!(count(1, "file"), "1 file");
        assert_eq!(percent(0, 0), 100);
        assert_eq!(percent(999, 1000), 99);
        assert_eq!(percent(1000, 1000), 100);
        assert_eq!(duration(Duration::from_secs(150)), "2 min");
    }

    #[test]
    fn times_of_strangers_are_shown_too() {
        assert!(time(u64::MAX).into_string().contains("9999"));
        assert!(time(0).into_string().contains("1970-01-01"));
    }
}
