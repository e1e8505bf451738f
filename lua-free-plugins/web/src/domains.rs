//! Which sites results may come from.

use url::Url;

/// The most domains in one list.
pub(crate) const DOMAINS_MAX: usize = 50;
/// The most bytes of one.
const DOMAIN_BYTES_MAX: usize = 300;

/// A site, or a part of one: `example.com` with its subdomains, `*.example.com` its subdomains only,
/// `example.com/blog` what is below that path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Domain {
    host: String,
    subdomains_only: bool,
    /// Without a slash at its end; empty: all of the site.
    path: String,
}

impl Domain {
    /// Reads one.
    ///
    /// # Errors
    /// It is none; the text says what is allowed.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let wrong = "write domains as example.com, *.example.com or example.com/path";
        let (subdomains_only, rest) = match text.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let odd = |c: char| c.is_whitespace() || c.is_control() || "*@:?#\\,()\"".contains(c);
        if rest.len() > DOMAIN_BYTES_MAX || rest.contains(odd) || rest.starts_with('/') {
            return Err(wrong);
        }
        let url = Url::parse(&format!("https://{rest}")).map_err(|_| wrong)?;
        let host = url.host_str().unwrap_or_default().trim_end_matches('.');
        if host.is_empty() {
            return Err(wrong);
        }
        let path = url.path().trim_end_matches('/').to_owned();
        Ok(Self { host: host.to_owned(), subdomains_only, path })
    }

    /// Whether a page is of this site.
    pub(crate) fn matches(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default().trim_end_matches('.');
        let below = host.strip_suffix(self.host.as_str()).map(|rest| (rest, rest.ends_with('.')));
        let host = match below {
            Some(("", _)) => !self.subdomains_only,
            Some((_, dot)) => dot,
            None => false,
        };
        let rest = url.path().strip_prefix(self.path.as_str());
        host && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// The host alone; for a list of what is left out it may say more than is meant
    /// ([`Self::is_whole`]).
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// Whether the host alone says it all.
    pub(crate) const fn is_whole(&self) -> bool {
        !self.subdomains_only && self.path.is_empty()
    }
}

/// As it is written.
impl std::fmt::Display for Domain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let star = if self.subdomains_only { "*." } else { "" };
        write!(f, "{star}{}{}", self.host, self.path)
    }
}

/// What results must be of, and must not be of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sites {
    /// Only these; empty: all.
    pub(crate) include: Vec<Domain>,
    /// None of these.
    pub(crate) exclude: Vec<Domain>,
}

impl Sites {
    /// Reads both lists.
    ///
    /// # Errors
    /// Which list is wrong, and how.
    pub(crate) fn parse(
        include: &[String],
        exclude: &[String],
    ) -> Result<Self, (&'static str, String)> {
        let read = |name: &'static str, texts: &[String]| -> Result<Vec<Domain>, _> {
            if texts.len() > DOMAINS_MAX {
                return Err((name, format!("at most {DOMAINS_MAX} domains")));
            }
            let all: Result<_, _> = texts.iter().map(|text| Domain::parse(text)).collect();
            all.map_err(|why| (name, why.to_owned()))
        };
        Ok(Self {
            include: read("include_domains", include)?,
            exclude: read("exclude_domains", exclude)?,
        })
    }

    /// Whether nothing is asked of results.
    pub(crate) fn is_open(&self) -> bool {
        self.include.is_empty() && self.exclude.is_empty()
    }

    /// Whether a result may come from here.
    pub(crate) fn allow(&self, url: &Url) -> bool {
        let any = |list: &[Domain]| list.iter().any(|domain| domain.matches(url));
        (self.include.is_empty() || any(&self.include)) && !any(&self.exclude)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(domain: &str, url: &str) -> bool {
        Domain::parse(domain).expect("a domain").matches(&Url::parse(url).expect("a URL"))
    }

    #[test]
    fn subdomains_paths_and_stars() {
        for (domain, url, want) in [
            ("example.com", "https://example.com/", true),
            ("example.com", "https://www.EXAMPLE.com./x", true),
            ("example.com", "https://notexample.com/", false),
            ("example.com", "https://example.com.evil.test/", false),
            ("Example.COM", "http://a.b.example.com:8080/", true),
            ("*.substack.com", "https://a.substack.com/p", true),
            ("*.substack.com", "https://substack.com/p", false),
            ("openai.com/blog", "https://openai.com/blog", true),
            ("openai.com/blog/", "https://openai.com/blog/a", true),
            ("openai.com/blog", "https://openai.com/blogs", false),
            ("bücher.example", "https://xn--bcher-kva.example/", true),
            ("xn--bcher-kva.example", "https://www.bücher.example/a", true),
        ] {
            assert_eq!(matches(domain, url), want, "{domain} {url}");
        }
    }

    #[test]
    fn what_is_no_domain_is_refused() {
        let long = "a".repeat(400);
        let odd = [
            "",
            "*.",
            "https://a.example",
            "a b",
            "a@b.example",
            "a.example?x",
            "/a",
            "a.example:80",
            "a.*.example",
            "a\nb",
            "a.example) OR (site:b",
            &long,
        ];
        for text in odd {
            assert!(Domain::parse(text).is_err(), "{text:?}");
        }
        let many = vec!["a.example".to_owned(); DOMAINS_MAX + 1];
        assert_eq!(Sites::parse(&[], &many).expect_err("too many").0, "exclude_domains");
    }
}
