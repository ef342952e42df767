//! Text for people: sizes, tables, and names that cannot play tricks on a terminal.

use std::{
    borrow::Cow,
    fmt::{Display, Write},
    time::Duration,
};

pub(crate) use hubless_node::text::{count, size};

/// The text with every character escaped that a terminal might obey instead of showing it.
///
/// Agents, addresses and messages come from strangers. An escape sequence could clear the screen or
/// write to the clipboard, a direction mark could make one name read as another.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    escape(text, is_dangerous)
}

/// As [`printable`], for text of several lines.
pub(crate) fn printable_lines(text: &str) -> Cow<'_, str> {
    escape(text, |char| char != '\n' && is_dangerous(char))
}

fn escape(text: &str, dangerous: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&dangerous) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for char in text.chars() {
        if dangerous(char) {
            escaped.extend(char.escape_unicode());
        } else {
            escaped.push(char);
        }
    }
    Cow::Owned(escaped)
}

/// C0 and C1 controls, line and paragraph separators, and the marks that turn the direction.
fn is_dangerous(char: char) -> bool {
    char.is_control()
        || matches!(
            char,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
        )
        || matches!(char, '\u{2066}'..='\u{2069}')
}

/// JSON text with DEL and the C1 controls escaped; serde_json escapes only C0.
pub(crate) fn json_printable(json: &str) -> Cow<'_, str> {
    let dangerous = |char: char| matches!(char, '\u{7f}'..='\u{9f}');
    if !json.contains(dangerous) {
        return Cow::Borrowed(json);
    }
    let mut escaped = String::with_capacity(json.len() + 8);
    for char in json.chars() {
        if dangerous(char) {
            let _ = write!(escaped, "\\u{:04x}", u32::from(char));
        } else {
            escaped.push(char);
        }
    }
    Cow::Owned(escaped)
}

/// Bytes per second: `12.5 MB/s`.
pub(crate) fn rate(bytes: u64, time: Duration) -> String {
    let seconds = time.as_secs_f64().max(1e-3);
    format!("{}/s", size((bytes as f64 / seconds) as u64))
}

/// A time: `40 ms`, `1.4 s`, `12 s`, `3 min 5 s`, `2 h 10 min`.
pub(crate) fn duration(time: Duration) -> String {
    match time.as_secs() {
        0 => format!("{} ms", time.as_millis()),
        1..=9 => format!("{:.1} s", time.as_secs_f64()),
        seconds @ 10..=119 => format!("{seconds} s"),
        seconds @ 120..=7_199 => format!("{} min {} s", seconds / 60, seconds % 60),
        seconds => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
    }
}

/// A part in percent, where 100 means all and 0 means nothing.
pub(crate) fn percent(part: u64, all: u64) -> String {
    if part >= all {
        return "100 %".to_owned();
    }
    let percent = (u128::from(part) * 100 / u128::from(all)) as u64;
    if part > 0 && percent == 0 {
        "<1 %".to_owned()
    } else {
        format!("{percent} %")
    }
}

/// A command as it can be typed again: `hubless get 9f2c... -o 'my model'`.
pub(crate) fn command_line(args: impl Iterator<Item = std::ffi::OsString>) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=@,+%^".contains(&byte);
    let mut line = "hubless".to_owned();
    for arg in args {
        let arg = arg.to_string_lossy();
        let _ = match !arg.is_empty() && arg.bytes().all(plain) {
            true => write!(line, " {arg}"),
            false => write!(line, " '{}'", arg.replace('\'', r"'\''")),
        };
    }
    line
}

/// A peer id, shortened to the part in which ids differ: all begin alike.
pub(crate) fn short_peer(peer: &str) -> String {
    match (peer.get(..4), peer.get(peer.len().saturating_sub(6)..)) {
        (Some(begin), Some(end)) if peer.len() > 16 => format!("{begin}...{end}"),
        _ => peer.to_owned(),
    }
}

/// Texts of values, with spaces between.
pub(crate) fn joined(values: &[impl Display]) -> String {
    let texts: Vec<String> = values.iter().map(ToString::to_string).collect();
    texts.join(" ")
}

pub(crate) fn yes_no(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}

/// On which side a column's texts meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// Rows of text in aligned columns, under a line of headings.
pub(crate) struct Table<const N: usize> {
    columns: [(&'static str, Align); N],
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    pub(crate) fn new(columns: [(&'static str, Align); N]) -> Self {
        Self {
            columns,
            rows: Vec::new(),
        }
    }

    pub(crate) fn row(&mut self, cells: [String; N]) {
        self.rows
            .push(cells.map(|cell| printable(&cell).into_owned()));
    }

    /// The lines; the last column is not padded, so that lines have no trailing spaces.
    pub(crate) fn lines(&self) -> Vec<String> {
        let headings = self.columns.map(|(heading, _)| heading.to_owned());
        let all = || std::iter::once(&headings).chain(&self.rows);
        let width = |column: usize| {
            all()
                .map(|row| row[column].chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: [usize; N] = std::array::from_fn(width);
        all().map(|row| self.line(row, &widths)).collect()
    }

    fn line(&self, row: &[String; N], widths: &[usize; N]) -> String {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            let separator = if column == 0 { "" } else { "  " };
            let _ = match self.columns[column].1 {
                Align::Left => write!(line, "{separator}{cell:<width$}"),
                Align::Right => write!(line, "{separator}{cell:>width$}"),
            };
        }
        line.truncate(line.trim_end().len());
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        for (text, shown) in [
            ("model.safetensors", "model.safetensors"),
            ("Größe 🦀 名前", "Größe 🦀 名前"),
            (
                "\u{1b}[2J\u{1b}]52;c;x\u{7}",
                r"\u{1b}[2J\u{1b}]52;c;x\u{7}",
            ),
            ("a\u{9b}31mb\u{85}", r"a\u{9b}31mb\u{85}"),
            ("a\rb\nc\td\u{7f}", r"a\u{d}b\u{a}c\u{9}d\u{7f}"),
            ("txt.\u{202e}exe\u{2066}", r"txt.\u{202e}exe\u{2066}"),
            ("a\u{2028}b\u{200f}", r"a\u{2028}b\u{200f}"),
        ] {
            assert_eq!(printable(text), shown);
        }
        assert_eq!(printable_lines("a\n\u{1b}b"), "a\n\\u{1b}b");
    }

    #[test]
    fn json_holds_no_raw_controls_and_means_the_same() {
        let text = "a\u{1b}[2J\u{7f}\u{9b}31m é 🦀";
        let json = serde_json::to_string(text).unwrap();
        let shown = json_printable(&json);
        assert!(!shown.contains(|char: char| char.is_control()), "{shown}");
        assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), text);
    }

    #[test]
    fn only_all_is_100_percent_and_only_nothing_is_0() {
        for (part, all, shown) in [
            (0, 10, "0 %"),
            (1, 1_000, "<1 %"),
            (999, 1_000, "99 %"),
            (1_000, 1_000, "100 %"),
            (0, 0, "100 %"),
            (u64::MAX - 1, u64::MAX, "99 %"),
        ] {
            assert_eq!(percent(part, all), shown);
        }
    }

    #[test]
    fn a_command_can_be_typed_again_as_it_was() {
        let args = [
            "get",
            "hubless:ab?peer=/ip4/1.2.3.4",
            "-o",
            "it's here",
            "--include",
            "*.json",
            "",
        ];
        assert_eq!(
            command_line(args.map(Into::into).into_iter()),
            r"hubless get 'hubless:ab?peer=/ip4/1.2.3.4' -o 'it'\''s here' --include '*.json' ''"
        );
    }

    #[test]
    fn durations() {
        for (millis, shown) in [
            (0, "0 ms"),
            (400, "400 ms"),
            (1_400, "1.4 s"),
            (12_300, "12 s"),
            (185_000, "3 min 5 s"),
            (7_800_000, "2 h 10 min"),
        ] {
            assert_eq!(duration(Duration::from_millis(millis)), shown);
        }
    }

    #[test]
    fn a_table_is_aligned_and_escaped() {
        let mut table = Table::new([("SIZE", Align::Right), ("NAME", Align::Left)]);
        table.row(["1 B".into(), "ä".into()]);
        table.row(["100.0 MB".into(), "\u{1b}x".into()]);
        assert_eq!(
            table.lines(),
            ["    SIZE  NAME", "     1 B  ä", "100.0 MB  \\u{1b}x"]
        );
    }
}
