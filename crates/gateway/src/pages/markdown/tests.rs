use hubless_content::{RepoId, RepoKind};
use proptest::prelude::*;

use super::*;

fn html(text: &str) -> String {
    let place = Place::Repo {
        repo: RepoId::new(RepoKind::Model, "o/n").unwrap(),
        revision: "main".into(),
    };
    render(text, &place).into_string()
}

#[test]
fn a_card_as_people_write_it() {
    let card = "# Title\n\nSome *text* with `code` and a [link](docs/x.md).\n\n- [x] done\n\n<me@a.example>\n\n\
                ![plot](plot.png) ![badge](https://b.example/x.svg)\n\n```py\nx < 1\n```\n";
    let html = html(card);
    for part in [
        "<h2>Title<span id=\"readme-title\"></span></h2>",
        "<em>text</em>",
        "<a href=\"/o/n/blob/main/docs/x.md\">link</a>",
        "☑ done",
        "<a href=\"mailto:me@a.example\">me@a.example</a>",
        "<img loading=\"lazy\" src=\"/o/n/resolve/main/plot.png\" alt=\"plot\">",
        "<a href=\"https://b.example/x.svg\">badge</a>",
        "x &lt; 1",
    ] {
        assert!(html.contains(part), "{part} in {html}");
    }
}

#[test]
fn tables_have_heads_and_scroll() {
    let html = html("| a | b |\n|---|--:|\n| 1 | 2 |\n");
    assert!(html.contains("<div class=\"scroll\""), "{html}");
    assert!(html.contains("<th scope=\"col\">a</th>"), "{html}");
    assert!(html.contains("<td class=\"right\">2</td>"), "{html}");
}

/// What is written at most: an element, and the attributes it may have.
const ALLOWED: [(&str, &[&str]); 26] = [
    ("a", &["href"]),
    ("blockquote", &["class"]),
    ("br", &[]),
    ("code", &[]),
    ("del", &[]),
    ("div", &["class", "role", "aria-label", "tabindex"]),
    ("em", &[]),
    ("h2", &[]),
    ("h3", &[]),
    ("h4", &[]),
    ("h5", &[]),
    ("h6", &[]),
    ("hr", &[]),
    ("img", &["loading", "src", "alt"]),
    ("li", &[]),
    ("ol", &["start"]),
    ("p", &[]),
    ("pre", &["tabindex"]),
    ("span", &["id"]),
    ("strong", &[]),
    ("table", &[]),
    ("td", &["class"]),
    ("th", &["scope", "class"]),
    ("thead", &[]),
    ("tr", &[]),
    ("ul", &[]),
];

/// Reads the HTML as a browser would that knows only this much of it, and checks every tag.
fn check(html: &str) {
    let mut open = Vec::new();
    for piece in html.split('<').skip(1) {
        let (tag, text) = piece.split_once('>').expect("a tag that ends");
        assert!(!text.contains('>'), "{text:?}");
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "{html}");
            continue;
        }
        let (name, mut rest) = tag.split_once(' ').unwrap_or((tag, ""));
        let known = ALLOWED.iter().find(|(allowed, _)| *allowed == name);
        let (_, attributes) = known.unwrap_or_else(|| panic!("<{name}> in {html}"));
        if !["br", "hr", "img"].contains(&name) {
            open.push(name);
        }
        while !rest.is_empty() {
            let (key, value) = rest.split_once("=\"").expect("an attribute");
            let (value, behind) = value.split_once('"').expect("a value that ends");
            assert!(attributes.contains(&key), "{key} of {name} in {html}");
            let lower = value.to_ascii_lowercase();
            let leads = ["http:", "https:", "mailto:", "/o/n/blob/", "#readme-"];
            match key {
                "href" => assert!(leads.iter().any(|lead| lower.starts_with(lead)), "{value}"),
                "src" => assert!(lower.starts_with("/o/n/resolve/"), "{value}"),
                _ => {}
            }
            rest = behind.trim_start();
        }
    }
    assert!(open.is_empty(), "{open:?} stay open in {html}");
}

#[test]
fn what_is_hostile_is_harmless() {
    let cards = [
        "<script>alert(1)</script>\n\n<img src=x onerror=alert(1)>\n\n<b onclick=x>hi</b>",
        "[a](javascript:alert(1)) [b](data:text/html,<script>) <javascript:alert(1)>",
        "[a](<java\tscript:alert(1)> \"\" onclick=\"x\")",
        "![a](data:image/svg+xml,<svg onload=alert(1)>) ![\"onerror=\"x](x.png)",
        "[x]: javascript:alert(1)\n\n[x] ![x][x]",
        "<div><table><tr><td>never closed\n\n# h <b",
        "[![a](https://b.example/x.svg)](https://c.example) [a [b](c) d](e)",
        "<http://a.example/\"onmouseover=\"x> <a@b.example>",
        "a\0b\u{202e}c &lt;script&gt; &#x3c;script&#x3e;",
    ];
    for card in cards {
        check(&html(card));
    }
    let shown = html("<div>\n<b onclick=x>kept</b> <script>gone</script>\n</div>");
    assert!(shown.contains("kept") && !shown.contains("gone"), "{shown}");
}

#[test]
fn what_would_be_endless_ends() {
    let wide = format!(
        "|{}\n|{}\n{}",
        "a|".repeat(20_000),
        "-|".repeat(20_000),
        "b\n".repeat(20_000)
    );
    let cards = [
        wide,
        ">".repeat(100_000),
        "> ".repeat(50_000) + "x",
        "- ".repeat(50_000) + "x",
        (0..2000)
            .map(|n| format!("{}- x\n", " ".repeat(n)))
            .collect(),
        "*a **b ".repeat(50_000),
        "[".repeat(100_000),
        "![".repeat(50_000),
        "![[](x)".repeat(50_000),
        "<div>".repeat(50_000),
        "<a ".repeat(50_000),
        "`".repeat(10) + &"` ``".repeat(50_000),
        "# a\n".repeat(100_000),
        "&".repeat(200_000),
    ];
    for card in cards {
        let start = std::time::Instant::now();
        let html = html(&card);
        assert!(html.len() < HTML_BYTES_MAX + 64 * 1024, "{}", html.len());
        assert!(
            start.elapsed().as_secs() < 5,
            "{:?} {:?}",
            start.elapsed(),
            &card[..20]
        );
        check(&html);
    }
}

proptest! {
    #[test]
    fn no_card_makes_anything_else(
        card in r#"(<|>|/|"|'|=| |\n|\[|\]|\(|\)|!|`|\||-|#|&|:|a|script|img|on(click|error)|src|href|javascript:|data:|https://b|<!--|-->|style|\\|\*|_|~~|\PC){0,60}"#,
    ) {
        check(&html(&card));
    }
}
