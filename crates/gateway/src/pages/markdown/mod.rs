//! A card as HTML that can do nothing but be read.
//!
//! The text is a stranger's. Tags of its own are dropped and their text is kept; what is written
//! here is a fixed set of elements with a fixed set of attributes. Links lead to `http`, `https`
//! and `mailto` or stay in the repo, images come from the same repo alone, nothing has a style or
//! an event, and what would become endless ends.

mod place;
mod strip;

use std::collections::HashMap;

use maud::{Markup, PreEscaped, Render};
use pulldown_cmark::{
    Alignment, BlockQuoteKind, CodeBlockKind, Event, HeadingLevel, LinkType, Options, Parser, Tag,
    TagEnd,
};

pub(crate) use self::place::Place;

/// Bytes of HTML after which a card is cut: a few hundred printed pages.
const HTML_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Cells of all tables after which a card is cut. A table of some kilobytes can ask for millions:
/// rows are as wide as the first.
const CELLS_MAX: usize = 10_000;

/// Elements in each other; deeper ones are left out, their text is kept. Browsers stop at 512, and
/// people much earlier.
const DEPTH_MAX: usize = 64;

/// Characters of an anchor.
const ANCHOR_CHARS_MAX: usize = 80;

/// Renders a card without its front matter.
pub(crate) fn render(text: &str, place: &Place) -> Markup {
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_GFM;
    let mut writer = Writer::new(place);
    for event in Parser::new_ext(text, options) {
        writer.event(event);
        if writer.out.len() > HTML_BYTES_MAX || writer.cells > CELLS_MAX {
            writer.close_all();
            writer
                .out
                .push_str("<p>The rest of this card is left out: it is too long.</p>");
            break;
        }
    }
    writer.close_all();
    PreEscaped(writer.out)
}

struct Writer<'p> {
    place: &'p Place,
    out: String,
    /// What closes the open elements; empty for those that were left out.
    open: Vec<&'static str>,
    links: usize,
    /// The open image, and what stands for it.
    image: Option<Image>,
    /// HTML of the stranger's, gathered until its end is there.
    foreign: Option<String>,
    /// Text of the open heading.
    heading: Option<String>,
    anchors: HashMap<String, u32>,
    columns: Vec<Alignment>,
    column: usize,
    cells: usize,
    in_head: bool,
}

struct Image {
    url: String,
    text: String,
    /// Images in its text.
    depth: usize,
}

impl<'p> Writer<'p> {
    fn new(place: &'p Place) -> Self {
        Self {
            place,
            out: String::new(),
            open: Vec::new(),
            links: 0,
            image: None,
            foreign: None,
            heading: None,
            anchors: HashMap::new(),
            columns: Vec::new(),
            column: 0,
            cells: 0,
            in_head: false,
        }
    }

    fn event(&mut self, event: Event<'_>) {
        if self.image.is_some() {
            return self.in_image(event);
        }
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) => self.text(&text),
            Event::Code(text) => {
                self.heading_text(&text);
                self.out.push_str("<code>");
                self.escaped(&text);
                self.out.push_str("</code>");
            }
            Event::Html(html) => match &mut self.foreign {
                Some(foreign) => foreign.push_str(&html),
                None => self.escaped(&strip::text_of(&html)),
            },
            Event::InlineHtml(html) => {
                if strip::is_break(&html) {
                    self.out.push_str("<br>");
                }
            }
            Event::SoftBreak => self.out.push('\n'),
            Event::HardBreak => self.out.push_str("<br>"),
            Event::Rule => self.out.push_str("<hr>"),
            Event::TaskListMarker(done) => self.out.push_str(if done { "☑ " } else { "☐ " }),
            // Not enabled.
            Event::FootnoteReference(text) | Event::InlineMath(text) | Event::DisplayMath(text) => {
                self.text(&text);
            }
        }
    }

    fn text(&mut self, text: &str) {
        match &mut self.foreign {
            Some(foreign) => foreign.push_str(text),
            None => {
                self.heading_text(text);
                self.escaped(text);
            }
        }
    }

    fn escaped(&mut self, text: &str) {
        text.render_to(&mut self.out);
    }

    fn heading_text(&mut self, text: &str) {
        if let Some(heading) = &mut self.heading
            && heading.len() < ANCHOR_CHARS_MAX
        {
            heading.push_str(text);
        }
    }

    /// Opens an element, if there are not too many already.
    fn open(&mut self, start: &str, end: &'static str) {
        if self.open.len() < DEPTH_MAX {
            self.out.push_str(start);
            self.open.push(end);
        } else {
            self.open.push("");
        }
    }

    fn close(&mut self) {
        self.out.push_str(self.open.pop().unwrap_or_default());
    }

    fn close_all(&mut self) {
        while !self.open.is_empty() {
            self.close();
        }
    }

    fn start(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Paragraph => self.open("<p>", "</p>"),
            Tag::Heading { level, .. } => {
                self.heading = Some(String::new());
                let (start, end) = heading(level);
                self.open(start, end);
            }
            Tag::BlockQuote(kind) => self.open(quote(kind), "</blockquote>"),
            Tag::CodeBlock(kind) => {
                let _: CodeBlockKind<'_> = kind; // in all languages alike
                self.open("<pre tabindex=\"0\"><code>", "</code></pre>");
            }
            Tag::HtmlBlock => {
                self.foreign = Some(String::new());
                self.open("<div>", "</div>");
            }
            Tag::List(None) => self.open("<ul>", "</ul>"),
            Tag::List(Some(first)) => self.open(&format!("<ol start=\"{first}\">"), "</ol>"),
            Tag::Item => self.open("<li>", "</li>"),
            Tag::Table(columns) => {
                self.columns = columns;
                self.open(
                    "<div class=\"scroll\" role=\"group\" aria-label=\"Table\" tabindex=\"0\"><table>",
                    "</table></div>",
                );
            }
            Tag::TableHead => {
                (self.in_head, self.column) = (true, 0);
                self.open("<thead><tr>", "</tr></thead>");
            }
            Tag::TableRow => {
                self.column = 0;
                self.open("<tr>", "</tr>");
            }
            Tag::TableCell => self.cell(),
            Tag::Emphasis => self.open("<em>", "</em>"),
            Tag::Strong => self.open("<strong>", "</strong>"),
            Tag::Strikethrough => self.open("<del>", "</del>"),
            Tag::Link {
                link_type,
                dest_url,
                ..
            } => {
                let url = match link_type {
                    LinkType::Email => format!("mailto:{dest_url}"),
                    _ => dest_url.into_string(),
                };
                let target = self.place.link(&url).filter(|_| self.links == 0);
                self.links += 1;
                match target {
                    Some(target) => {
                        let mut start = "<a href=\"".to_owned();
                        target.render_to(&mut start);
                        start.push_str("\">");
                        self.open(&start, "</a>");
                    }
                    None => self.open("", ""),
                }
            }
            Tag::Image { dest_url, .. } => {
                self.image = Some(Image {
                    url: dest_url.into_string(),
                    text: String::new(),
                    depth: 0,
                });
            }
            // Not enabled.
            Tag::FootnoteDefinition(_)
            | Tag::DefinitionList
            | Tag::DefinitionListTitle
            | Tag::DefinitionListDefinition
            | Tag::Superscript
            | Tag::Subscript
            | Tag::MetadataBlock(_) => self.open("", ""),
        }
    }

    fn cell(&mut self) {
        let alignment = self.columns.get(self.column);
        self.column += 1;
        self.cells += 1;
        let class = match alignment {
            Some(Alignment::Right) => " class=\"right\"",
            Some(Alignment::Center) => " class=\"center\"",
            Some(Alignment::Left | Alignment::None) | None => "",
        };
        match self.in_head {
            true => self.open(&format!("<th scope=\"col\"{class}>"), "</th>"),
            false => self.open(&format!("<td{class}>"), "</td>"),
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::HtmlBlock => {
                let foreign = self.foreign.take().unwrap_or_default();
                self.escaped(strip::text_of(&foreign).trim());
            }
            TagEnd::Heading(_) => {
                let text = self.heading.take().unwrap_or_default();
                self.anchor(&text);
            }
            TagEnd::TableHead => self.in_head = false,
            TagEnd::Link => self.links = self.links.saturating_sub(1),
            _ => {}
        }
        self.close();
    }

    /// Where links of the card to this heading lead.
    fn anchor(&mut self, heading: &str) {
        let mut anchor = place::anchor(heading);
        if anchor.is_empty() {
            return;
        }
        let seen = self.anchors.entry(anchor.clone()).or_default();
        if *seen > 0 {
            anchor.push_str(&format!("-{seen}"));
        }
        *seen += 1;
        self.out.push_str("<span id=\"readme-");
        self.escaped(&anchor);
        self.out.push_str("\"></span>");
    }

    /// All in an image is the text that stands for it.
    fn in_image(&mut self, event: Event<'_>) {
        let Some(image) = &mut self.image else { return };
        match event {
            Event::Text(text) | Event::Code(text) => image.text.push_str(&text),
            Event::SoftBreak | Event::HardBreak => image.text.push(' '),
            Event::Start(Tag::Image { .. }) => image.depth += 1,
            Event::End(TagEnd::Image) if image.depth > 0 => image.depth -= 1,
            Event::End(TagEnd::Image) => {
                if let Some(image) = self.image.take() {
                    self.image(&image);
                }
            }
            _ => {}
        }
    }

    /// An image of the repo, or else the text that stands for it, as a link to where it is.
    fn image(&mut self, Image { url, text, .. }: &Image) {
        if let Some(source) = self.place.image(url) {
            self.out.push_str("<img loading=\"lazy\" src=\"");
            self.escaped(&source);
            self.out.push_str("\" alt=\"");
            self.escaped(text);
            self.out.push_str("\">");
            return;
        }
        let text = match text.trim() {
            "" => "image",
            text => text,
        };
        match self.place.link(url).filter(|_| self.links == 0) {
            Some(target) => {
                self.out.push_str("<a href=\"");
                self.escaped(&target);
                self.out.push_str("\">");
                self.escaped(text);
                self.out.push_str("</a>");
            }
            None => self.escaped(text),
        }
    }
}

/// The page has the first level for itself.
fn heading(level: HeadingLevel) -> (&'static str, &'static str) {
    match level {
        HeadingLevel::H1 => ("<h2>", "</h2>"),
        HeadingLevel::H2 => ("<h3>", "</h3>"),
        HeadingLevel::H3 => ("<h4>", "</h4>"),
        HeadingLevel::H4 => ("<h5>", "</h5>"),
        HeadingLevel::H5 | HeadingLevel::H6 => ("<h6>", "</h6>"),
    }
}

fn quote(kind: Option<BlockQuoteKind>) -> &'static str {
    match kind {
        None => "<blockquote>",
        Some(BlockQuoteKind::Note) => "<blockquote class=\"mark\"><p><strong>Note</strong></p>",
        Some(BlockQuoteKind::Tip) => "<blockquote class=\"mark\"><p><strong>Tip</strong></p>",
        Some(BlockQuoteKind::Important) => {
            "<blockquote class=\"mark\"><p><strong>Important</strong></p>"
        }
        Some(BlockQuoteKind::Warning) => {
            "<blockquote class=\"mark\"><p><strong>Warning</strong></p>"
        }
        Some(BlockQuoteKind::Caution) => {
            "<blockquote class=\"mark\"><p><strong>Caution</strong></p>"
        }
    }
}

#[cfg(test)]
mod tests;
