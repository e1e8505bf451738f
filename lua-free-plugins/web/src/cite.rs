//! Finds links to sources in an answer as it passes, however it is cut.
//!
//! Nothing is held back: only the URL that is being read is kept, up to a bound, and where brackets
//! opened.

use turnpike_plugin_api::{Citation, Piece};
use url::Url;

use crate::sources::{Source, URL_BYTES_MAX, key, page};

/// The most choices whose text is read; more of them have no citations.
const CHOICES_MAX: usize = 128;
/// How deep brackets are followed.
const DEPTH_MAX: usize = 8;

/// Part of a text, in characters.
type Span = (u64, u64);

/// The links of an answer's choices.
pub(crate) struct Cites {
    sources: Vec<Source>,
    choices: Vec<(u32, Reader)>,
}

impl Cites {
    /// Looks for links to these.
    pub(crate) const fn new(sources: Vec<Source>) -> Self {
        Self { sources, choices: Vec::new() }
    }

    /// An answer begins: what was read of an earlier one is forgotten.
    pub(crate) fn begin(&mut self) {
        self.choices.clear();
    }

    /// A piece of a choice's text.
    pub(crate) fn read(&mut self, choice: u32, text: &str) {
        let sources = self.sources.as_slice();
        if let Some(reader) = reader(&mut self.choices, choice, sources.len()) {
            text.chars().for_each(|c| reader.read(c, sources));
        }
    }

    /// The provider cited this itself.
    pub(crate) fn cited(&mut self, choice: u32, citation: &Citation) {
        let Some(key) = page(&citation.url).as_ref().map(key) else { return };
        let at = self.sources.iter().position(|source| source.key == key);
        let reader = reader(&mut self.choices, choice, self.sources.len());
        if let (Some(reader), Some(at)) = (reader, at) {
            reader.links[at] = Link::Cited;
        }
    }

    /// A choice is complete: the sources that its text links to, in the order of the links; all of
    /// them where it links to none; none where it has no text, as when only tools are called.
    pub(crate) fn finish(&mut self, choice: u32, out: &mut Vec<Piece>) {
        let Some(at) = self.choices.iter().position(|(c, _)| *c == choice) else { return };
        let (_, mut reader) = self.choices.swap_remove(at);
        reader.end(&self.sources);
        if reader.at == 0 {
            return;
        }
        let mut linked: Vec<(Span, &Source)> = Vec::new();
        for (link, source) in reader.links.iter().zip(&self.sources) {
            if let Link::At(span) = link {
                linked.push((*span, source));
            }
        }
        linked.sort_by_key(|(span, _)| *span);
        if reader.links.iter().all(|link| *link == Link::No) {
            linked = self.sources.iter().map(|source| ((0, 0), source)).collect();
        }
        let cited = linked.into_iter().map(|(span, source)| source.cite(span));
        out.extend(cited.map(|citation| Piece::Citation { choice, citation }));
    }
}

fn reader(choices: &mut Vec<(u32, Reader)>, choice: u32, sources: usize) -> Option<&mut Reader> {
    let at = match choices.iter().position(|(c, _)| *c == choice) {
        Some(at) => at,
        None if choices.len() < CHOICES_MAX => {
            choices.push((choice, Reader::new(sources)));
            choices.len() - 1
        }
        None => return None,
    };
    choices.get_mut(at).map(|(_, reader)| reader)
}

/// Whether a source is linked to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Link {
    No,
    /// For the first time here.
    At(Span),
    /// The provider has said so already.
    Cited,
}

/// Where in a text we are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Between URLs.
    Prose,
    /// In what may become `http://` or `https://`.
    Scheme,
    /// In a URL.
    Url,
}

/// Reads the text of one choice, character by character.
struct Reader {
    /// Characters so far.
    at: u64,
    state: State,
    /// The URL so far; it stays within bounds, and one that does not is of no source.
    url: String,
    url_start: u64,
    /// Brackets and parentheses that opened within the URL.
    round: u32,
    square: u32,
    /// Where brackets opened that are still open.
    opened: Vec<u64>,
    /// Where the label began that ended just now.
    label: Option<u64>,
    /// Where the markdown link began whose URL this is.
    link: Option<u64>,
    links: Vec<Link>,
}

impl Reader {
    fn new(sources: usize) -> Self {
        Self {
            at: 0,
            state: State::Prose,
            url: String::new(),
            url_start: 0,
            round: 0,
            square: 0,
            opened: Vec::new(),
            label: None,
            link: None,
            links: vec![Link::No; sources],
        }
    }

    fn read(&mut self, c: char, sources: &[Source]) {
        match self.state {
            State::Prose => self.prose(c),
            State::Scheme => self.scheme(c),
            State::Url => {
                if self.is_url(c) {
                    self.push(c);
                } else {
                    self.found(c == ')', sources);
                    self.prose(c);
                }
            }
        }
        self.at += 1;
    }

    fn end(&mut self, sources: &[Source]) {
        if self.state == State::Url {
            self.found(false, sources);
        }
    }

    fn prose(&mut self, c: char) {
        self.state = State::Prose;
        let label = self.label.take();
        let link = self.link.take();
        match c {
            '[' => {
                if self.opened.len() == DEPTH_MAX {
                    self.opened.remove(0);
                }
                self.opened.push(self.at);
            }
            ']' => self.label = self.opened.pop(),
            '(' => self.link = label,
            'h' | 'H' => {
                (self.state, self.url_start, self.link) = (State::Scheme, self.at, link);
                self.url.clear();
                self.url.push('h');
            }
            _ => {}
        }
    }

    fn scheme(&mut self, c: char) {
        self.url.push(c.to_ascii_lowercase());
        let so_far = self.url.as_str();
        if so_far == "http://" || so_far == "https://" {
            (self.state, self.round, self.square) = (State::Url, 0, 0);
        } else if !"http://".starts_with(so_far) && !"https://".starts_with(so_far) {
            self.link = None;
            self.prose(c);
        }
    }

    /// Whether the URL goes on with this.
    fn is_url(&mut self, c: char) -> bool {
        let balance = |open: &mut u32| open.checked_sub(1).map(|left| *open = left).is_some();
        match c {
            '(' => self.round = self.round.saturating_add(1),
            '[' => self.square = self.square.saturating_add(1),
            ')' => return balance(&mut self.round),
            ']' => return balance(&mut self.square),
            '<' | '>' | '"' | '`' | '{' | '}' | '|' | '\\' | '^' => return false,
            // Letters of any script: some write URLs as they are read.
            _ => return c.is_ascii_graphic() || c.is_alphanumeric(),
        }
        true
    }

    fn push(&mut self, c: char) {
        if self.url.len() <= URL_BYTES_MAX {
            self.url.push(c);
        }
    }

    /// The URL has ended here; `closed`: by the parenthesis that ends a markdown link.
    fn found(&mut self, closed: bool, sources: &[Source]) {
        let link = self.link.take();
        if self.url.len() > URL_BYTES_MAX {
            return;
        }
        let Some((at, chars)) = find(&self.url, sources) else { return };
        let span = match link {
            Some(start) if closed => (start, self.at + 1),
            _ => (self.url_start, self.url_start + chars),
        };
        match &mut self.links[at] {
            // A link whose label is its URL is one link.
            Link::At(earlier) if span.0 <= earlier.0 && earlier.1 <= span.1 => *earlier = span,
            Link::At(_) | Link::Cited => {}
            no @ Link::No => *no = Link::At(span),
        }
    }
}

/// The source of a URL as it was written, and how many characters of it are the URL: what ends a
/// sentence is not, and where scripts without blanks follow, neither are they.
fn find(written: &str, sources: &[Source]) -> Option<(usize, u64)> {
    let ends_sentence = |c| matches!(c, '.' | ',' | ';' | ':' | '!' | '?' | '*' | '_' | '~' | '\'');
    let trimmed = written.trim_end_matches(ends_sentence);
    let ascii = written.split(|c: char| !c.is_ascii()).next().unwrap_or_default();
    [written, trimmed, ascii, ascii.trim_end_matches(ends_sentence)].into_iter().find_map(|text| {
        let key = key(&Url::parse(text).ok()?);
        let at = sources.iter().position(|source| source.key == key)?;
        Some((at, text.chars().count() as u64))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::domains::Sites;
    use crate::engine::Engine;
    use crate::sources::choose;

    const URLS: [&str; 6] = [
        "https://a.example/",
        "https://a.example/x",
        "https://a.example/x/y",
        "https://en.wiki.example/Rust_(language)",
        "https://ja.wiki.example/%E6%9D%B1%E4%BA%AC",
        "https://b.example/p?q=1&r=2#part",
    ];

    fn cites() -> Cites {
        let items: Vec<_> = URLS.iter().map(|url| json!({"url": url, "content": "c"})).collect();
        let body = json!({"results": items}).to_string();
        let found = Engine::Exa.read(body.as_bytes()).expect("results");
        Cites::new(choose(&found, [&Sites::default(), &Sites::default()], 20, 200))
    }

    /// Number and span of each citation of a text that comes in these pieces.
    fn cited<'a>(pieces: impl IntoIterator<Item = &'a str>) -> Vec<(usize, u64, u64)> {
        let mut cites = cites();
        pieces.into_iter().for_each(|piece| cites.read(0, piece));
        let mut out = Vec::new();
        cites.finish(0, &mut out);
        let cited = out.into_iter().filter_map(|piece| match piece {
            Piece::Citation { citation: Citation { url, start, end, .. }, .. } => {
                Some((URLS.iter().position(|one| *one == url)?, start, end))
            }
            Piece::Text { .. } => None,
        });
        cited.collect()
    }

    fn all() -> Vec<(usize, u64, u64)> {
        (0..URLS.len()).map(|n| (n, 0, 0)).collect()
    }

    #[test]
    fn links_are_found_as_models_write_them() {
        for (text, want) in [
            ("Yes [a.example](https://a.example/x).", vec![(1, 4, 36)]),
            ("Größe ([a](https://a.example/x)).", vec![(1, 7, 31)]),
            ("https://a.example/x", vec![(1, 0, 19)]),
            ("See https://a.example/x, or https://a.example.", vec![(1, 4, 23), (0, 28, 45)]),
            ("[w](https://en.wiki.example/Rust_(language))", vec![(3, 0, 44)]),
            ("(https://en.wiki.example/Rust_(language))", vec![(3, 1, 40)]),
            ("[https://a.example/x](https://a.example/x)", vec![(1, 0, 42)]),
            ("[[1]](https://a.example/x/y)", vec![(2, 0, 28)]),
            ("<https://a.example/x>", vec![(1, 1, 20)]),
            ("**https://a.example/x**", vec![(1, 2, 21)]),
            ("HTTP://A.Example/x/ twice https://a.example/x", vec![(1, 0, 19)]),
            ("https://ja.wiki.example/東京", vec![(4, 0, 26)]),
            ("https://ja.wiki.example/東京。", vec![(4, 0, 26)]),
            ("https://a.example/xを参照", vec![(1, 0, 19)]),
            ("[b](https://b.example/p?q=1&r=2)", vec![(5, 0, 32)]),
            ("[b](https://b.example/p?q=1&r=2#other \"t\")", vec![(5, 4, 37)]),
            ("hhttps://a.example/x", vec![(1, 1, 20)]),
            ("[1]: https://a.example/x\n", vec![(1, 5, 24)]),
            ("a [b] (https://a.example/x)", vec![(1, 7, 26)]),
            ("https://a.example/xy", all()),
            ("https://evil.test/?u=https://a.example/x", all()),
            ("https://a.example.evil.test/x", all()),
            ("no link", all()),
            ("", vec![]),
        ] {
            assert_eq!(cited([text]), want, "{text:?}");
        }
    }

    #[test]
    fn what_the_provider_cited_is_not_cited_again() {
        let mut cites = cites();
        cites.read(3, "[a](https://a.example/x) https://a.example/x/y");
        let own = Citation { url: "https://a.example/x".to_owned(), ..Citation::default() };
        cites.cited(3, &own);
        let mut out = Vec::new();
        cites.finish(3, &mut out);
        assert_eq!(out.len(), 1);
        cites.finish(3, &mut out);
        assert_eq!(out.len(), 1, "a choice ends once");
    }

    #[test]
    fn choices_are_told_apart_and_bounded() {
        let mut cites = cites();
        for choice in 0..500 {
            cites.read(choice, "https://a.exam");
        }
        for choice in 0..500 {
            cites.read(choice, if choice % 2 == 0 { "ple/x" } else { "ple/y" });
        }
        for choice in 0..500_u32 {
            let mut out = Vec::new();
            cites.finish(choice, &mut out);
            let want = match choice {
                128.. => 0,
                _ if choice % 2 == 0 => 1,
                _ => URLS.len(),
            };
            assert_eq!(out.len(), want, "{choice}");
        }
    }

    #[test]
    fn memory_is_bounded() {
        let mut cites = cites();
        cites.read(0, "https://");
        (0..10_000).for_each(|_| cites.read(0, "([a"));
        let (_, reader) = &cites.choices[0];
        assert!(reader.url.len() <= URL_BYTES_MAX + 4);
        cites.read(1, &"[".repeat(10_000));
        assert_eq!(cites.choices[1].1.opened.len(), DEPTH_MAX);
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter(parts in proptest::collection::vec(
            "(\\[|\\]|\\(|\\)|\\[a\\]\\(|https://|http:/|h|a\\.example/|x|/y|ja\\.wiki\\.example/東京|\\.| |<|>|\\PC)", 0..40,
        )) {
            let whole = parts.concat();
            let singles: Vec<String> = whole.chars().map(String::from).collect();
            let want = cited([whole.as_str()]);
            prop_assert_eq!(&cited(parts.iter().map(String::as_str)), &want);
            prop_assert_eq!(&cited(singles.iter().map(String::as_str)), &want);
            let count = whole.chars().count() as u64;
            for (_, start, end) in want {
                prop_assert!(start <= end && end <= count);
            }
        }
    }
}
