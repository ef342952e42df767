//! The text in HTML that is not shown as such.

/// Elements whose text is for machines.
const SILENT: [&str; 6] = ["script", "style", "template", "noscript", "iframe", "svg"];

/// Characters that cards write by name.
const NAMED: [(&str, &str); 6] = [
    ("&nbsp;", " "),
    ("&lt;", "<"),
    ("&gt;", ">"),
    ("&quot;", "\""),
    ("&#39;", "'"),
    ("&amp;", "&"),
];

/// Whether a tag breaks the line.
pub(super) fn is_break(html: &str) -> bool {
    let name = html
        .trim_start_matches('<')
        .trim_end_matches(['/', '>', ' ']);
    name.eq_ignore_ascii_case("br")
}

/// The text between tags. What is not closed is dropped to its end: one pass, whatever comes.
pub(super) fn text_of(html: &str) -> String {
    let (mut text, mut rest) = (String::new(), html);
    while let Some(at) = rest.find('<') {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(comment) = rest.strip_prefix("<!--") {
            rest = behind(comment, "-->");
        } else if let Some(name) = SILENT.iter().find(|name| starts_with_tag(rest, name)) {
            rest = behind_element(rest, name);
        } else if rest[1..]
            .starts_with(|char: char| char.is_ascii_alphabetic() || "/!?".contains(char))
        {
            rest = behind(rest, ">");
        } else {
            text.push('<');
            rest = &rest[1..];
        }
    }
    text.push_str(rest);
    for (name, char) in NAMED {
        if text.contains(name) {
            text = text.replace(name, char);
        }
    }
    text
}

fn behind<'a>(text: &'a str, end: &str) -> &'a str {
    text.find(end).map_or("", |at| &text[at + end.len()..])
}

fn starts_with_tag(html: &str, name: &str) -> bool {
    let Some(tag) = html.as_bytes().get(1..=name.len()) else {
        return false;
    };
    let ends = html.as_bytes().get(name.len() + 1);
    tag.eq_ignore_ascii_case(name.as_bytes()) && ends.is_none_or(|c| !c.is_ascii_alphanumeric())
}

fn behind_element<'a>(html: &'a str, name: &str) -> &'a str {
    let mut rest = &html[1..];
    while let Some(at) = rest.find("</") {
        rest = &rest[at..];
        let tag = rest.as_bytes().get(2..2 + name.len());
        if tag.is_some_and(|tag| tag.eq_ignore_ascii_case(name.as_bytes())) {
            return behind(rest, ">");
        }
        rest = &rest[2..];
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_and_everything_else_goes() {
        for (html, text) in [
            ("<div align=\"center\">\n<b>A</b> &amp; B</div>", "\nA & B"),
            ("a<!-- <b>no</b> -->b", "ab"),
            ("a<ScRiPt src=x>alert('<b>')</script >b", "ab"),
            ("a<style>p{}", "a"),
            ("1 < 2 <3", "1 < 2 <3"),
            ("a<b", "a"),
            ("<scripty>x", "x"),
        ] {
            assert_eq!(text_of(html), text, "{html}");
        }
        assert!(is_break("<br>") && is_break("<BR />") && !is_break("<b>"));
    }

    #[test]
    fn much_that_is_never_closed_takes_one_pass() {
        for html in ["<script ", "<script></scrip", "<!--", "<", "<a", "</"] {
            let html = html.repeat(200_000);
            let start = std::time::Instant::now();
            text_of(&html);
            assert!(start.elapsed().as_secs() < 5, "{}", &html[..20]);
        }
    }
}
