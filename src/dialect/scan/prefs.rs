//! The request's `provider` object: the caller's preferences among providers, as plain data.

use super::lexer::{Blind, Lexer};
use super::{Oops, refuse};

/// Most entries in one list of providers.
const LIST_MAX: usize = 256;

/// What the caller prefers. Only what acts is read; any other key is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefs {
    /// Providers to try first, in this order; empty: no order.
    pub order: Vec<String>,
    /// The only providers allowed; empty: all are.
    pub only: Vec<String>,
    /// Providers never to use.
    pub ignore: Vec<String>,
    /// Whether providers beside the first choice (or beside `order`) may be tried.
    pub allow_fallbacks: bool,
    /// Whether a provider may be used only if it takes everything that is asked.
    pub require_parameters: bool,
    /// Whether another endpoint may go on with a stream that breaks off; absent: as configured.
    pub allow_continuation: Option<bool>,
}

impl Default for Prefs {
    fn default() -> Self {
        Self {
            order: Vec::new(),
            only: Vec::new(),
            ignore: Vec::new(),
            allow_fallbacks: true,
            require_parameters: false,
            allow_continuation: None,
        }
    }
}

impl Prefs {
    /// Reads the value of `provider`.
    pub(super) fn read(lexer: &mut Lexer<'_>) -> Result<Option<Self>, Oops> {
        match lexer.peek() {
            Some(b'n') => {
                lexer.value(1, &mut Blind)?;
                return Ok(None);
            }
            Some(b'{') => lexer.expect(b'{', "expected an object")?,
            _ => return Err(refuse("provider", "'provider' must be an object")),
        }
        let mut prefs = Self::default();
        let (mut seen, mut unknown) = ([false; 6], Vec::new());
        let mut first = true;
        while let Some(key) = lexer.member(&mut first)? {
            let name = key.unescape().unwrap_or_else(|| "\u{fffd}".to_owned());
            let slot = match name.as_str() {
                "order" => 0,
                "only" => 1,
                "ignore" => 2,
                "allow_fallbacks" => 3,
                "require_parameters" => 4,
                "allow_continuation" => 5,
                _ => {
                    lexer.value(2, &mut Blind)?;
                    if unknown.len() < 8 {
                        unknown.push(format!("'{}'", name.chars().take(40).collect::<String>()));
                    }
                    continue;
                }
            };
            let param = format!("provider.{name}");
            if std::mem::replace(&mut seen[slot], true) {
                return Err(refuse(&param, format!("'{param}' is given twice")));
            }
            match slot {
                0 => prefs.order = strings(lexer, &param, LIST_MAX)?,
                1 => prefs.only = strings(lexer, &param, LIST_MAX)?,
                2 => prefs.ignore = strings(lexer, &param, LIST_MAX)?,
                3 => prefs.allow_fallbacks = boolean(lexer, &param)?.unwrap_or(true),
                5 => prefs.allow_continuation = boolean(lexer, &param)?,
                _ => prefs.require_parameters = boolean(lexer, &param)?.unwrap_or(false),
            }
        }
        if !unknown.is_empty() {
            let text = format!("Unrecognized key(s) in 'provider': {}", unknown.join(", "));
            return Err(refuse("provider", text));
        }
        Ok(Some(prefs))
    }
}

/// Reads a list of non-empty strings, or null as an empty one.
pub(super) fn strings(lexer: &mut Lexer<'_>, param: &str, max: usize) -> Result<Vec<String>, Oops> {
    let wrong = || refuse(param, format!("'{param}' must be an array of non-empty strings"));
    match lexer.peek() {
        Some(b'n') => {
            lexer.value(2, &mut Blind)?;
            return Ok(Vec::new());
        }
        Some(b'[') => lexer.expect(b'[', "expected an array")?,
        _ => return Err(wrong()),
    }
    let (mut list, mut first) = (Vec::new(), true);
    while lexer.element(&mut first)? {
        if lexer.peek() != Some(b'"') {
            return Err(wrong());
        }
        let text = lexer.string()?.unescape().filter(|t| !t.is_empty()).ok_or_else(wrong)?;
        if list.len() == max {
            return Err(refuse(param, format!("'{param}' must have at most {max} entries")));
        }
        list.push(text);
    }
    Ok(list)
}

/// Reads true, false or null.
pub(super) fn boolean(lexer: &mut Lexer<'_>, param: &str) -> Result<Option<bool>, Oops> {
    let byte = lexer.peek();
    if !matches!(byte, Some(b't' | b'f' | b'n')) {
        return Err(refuse(param, format!("'{param}' must be true or false")));
    }
    lexer.value(2, &mut Blind)?;
    Ok(match byte {
        Some(b't') => Some(true),
        Some(b'f') => Some(false),
        _ => None,
    })
}
