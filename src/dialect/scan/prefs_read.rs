//! The values of `provider`'s members.

use super::lexer::{Blind, Lexer};
use super::prefs::{Cutoffs, MaxPrice, QUANTIZATIONS, Sort};
use super::{Oops, refuse};
use crate::vocab::PicoUsd;

/// Most entries in one list of providers.
const LIST_MAX: usize = 256;
/// Most providers with options.
const OPTIONS_MAX: usize = 32;
/// The most text of all options, in bytes.
const OPTIONS_BYTES_MAX: usize = 1 << 16;
/// The largest number that is told apart from no limit.
const NUMBER_MAX: f64 = 1e12;

/// A list of providers.
pub(super) fn names(lexer: &mut Lexer<'_>, param: &str) -> Result<Vec<String>, Oops> {
    strings(lexer, param, LIST_MAX)
}

/// True, false, or null for the default.
pub(super) fn flag(lexer: &mut Lexer<'_>, param: &str, default: bool) -> Result<bool, Oops> {
    Ok(boolean(lexer, param)?.unwrap_or(default))
}

/// One of these words, or null.
pub(super) fn choice(
    lexer: &mut Lexer<'_>,
    param: &str,
    words: &'static [&'static str],
) -> Result<Option<&'static str>, Oops> {
    let text = match lexer.peek() {
        Some(b'n') => {
            lexer.value(2, &mut Blind)?;
            return Ok(None);
        }
        Some(b'"') => lexer.string()?.unescape(),
        _ => None,
    };
    let word = text.and_then(|text| words.iter().find(|word| **word == text));
    let listed = || words.iter().map(|w| format!("\"{w}\"")).collect::<Vec<_>>().join(", ");
    match word {
        Some(word) => Ok(Some(word)),
        None => Err(refuse(param, format!("'{param}' must be one of {}", listed()))),
    }
}

pub(super) fn quantizations(lexer: &mut Lexer<'_>, param: &str) -> Result<Vec<String>, Oops> {
    let list = strings(lexer, param, QUANTIZATIONS.len())?;
    match list.iter().find(|name| !QUANTIZATIONS.contains(&name.as_str())) {
        None => Ok(list),
        Some(_) => {
            let known = QUANTIZATIONS.join(", ");
            Err(refuse(param, format!("'{param}' must be a list of some of {known}")))
        }
    }
}

/// A name, or `{"by": …, "partition": …}`: the order, and whether all models are ranked together.
pub(super) fn sort(lexer: &mut Lexer<'_>, param: &str) -> Result<(Option<Sort>, bool), Oops> {
    const BY: &[&str] = &["price", "throughput", "latency", "exacto"];
    if lexer.peek() != Some(b'{') {
        return Ok((choice(lexer, param, BY)?.and_then(Sort::parse), false));
    }
    let (mut by, mut partition) = (None, None);
    object(lexer, param, |lexer, name, param| match name {
        "by" => {
            by = choice(lexer, param, BY)?.and_then(Sort::parse);
            Ok(true)
        }
        "partition" => {
            partition = choice(lexer, param, &["model", "none"])?;
            Ok(true)
        }
        _ => Ok(false),
    })?;
    Ok((by, partition == Some("none")))
}

/// A number for the median, or numbers by percentile; kept as whole numbers of `1 / scale`.
pub(super) fn cutoffs(lexer: &mut Lexer<'_>, param: &str, scale: f64) -> Result<Cutoffs, Oops> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "numbers are between 0 and 10^12, scales at most 10^6"
    )]
    let whole = |number: f64| (number * scale) as u64;
    let mut cutoffs = Cutoffs::default();
    if lexer.peek() != Some(b'{') {
        cutoffs.0[0] = number(lexer, param)?.map(whole);
        return Ok(cutoffs);
    }
    object(lexer, param, |lexer, name, param| {
        let Some(place) = Cutoffs::NAMES.iter().position(|known| *known == name) else {
            return Ok(false);
        };
        cutoffs.0[place] = number(lexer, param)?.map(whole);
        Ok(true)
    })?;
    Ok(cutoffs)
}

/// Tokens by the million, the others by the piece, in dollars.
pub(super) fn max_price(lexer: &mut Lexer<'_>, param: &str) -> Result<MaxPrice, Oops> {
    let mut max = MaxPrice::default();
    if lexer.peek() == Some(b'n') {
        lexer.value(2, &mut Blind)?;
        return Ok(max);
    }
    object(lexer, param, |lexer, name, param| {
        let (field, pico) = match name {
            "prompt" => (&mut max.prompt, 1e6),
            "completion" => (&mut max.completion, 1e6),
            "request" => (&mut max.request, 1e12),
            "image" => (&mut max.image, 1e12),
            "audio" => (&mut max.audio, 1e6),
            _ => return Ok(false),
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a float that is too large becomes the largest price"
        )]
        let price = |dollars: f64| PicoUsd((dollars * pico).round() as u64);
        *field = number(lexer, param)?.map(price);
        Ok(true)
    })?;
    Ok(max)
}

/// Parameters by provider: each an object, or null for none.
pub(super) fn options(lexer: &mut Lexer<'_>, param: &str) -> Result<Vec<(String, String)>, Oops> {
    let mut options: Vec<(String, String)> = Vec::new();
    if lexer.peek() == Some(b'n') {
        lexer.value(2, &mut Blind)?;
        return Ok(options);
    }
    let whole = lexer.at();
    object(lexer, param, |lexer, name, inner| {
        let byte = lexer.peek();
        if !matches!(byte, Some(b'{' | b'n')) {
            return Err(refuse(inner, format!("'{inner}' must be an object")));
        }
        if options.len() == OPTIONS_MAX {
            let text = format!("'{param}' must have at most {OPTIONS_MAX} entries");
            return Err(refuse(param, text));
        }
        let (start, end) = lexer.value(3, &mut Blind)?;
        if let (Some(b'{'), Some(text)) = (byte, lexer.slice(start, end)) {
            options.push((name.to_owned(), text.to_owned()));
        }
        Ok(true)
    })?;
    if lexer.at() - whole > OPTIONS_BYTES_MAX {
        let text = format!("'{param}' must have at most {OPTIONS_BYTES_MAX} bytes");
        return Err(refuse(param, text));
    }
    Ok(options)
}

/// Walks an object; `member` takes the value and says whether it knows the key.
fn object(
    lexer: &mut Lexer<'_>,
    param: &str,
    mut member: impl FnMut(&mut Lexer<'_>, &str, &str) -> Result<bool, Oops>,
) -> Result<(), Oops> {
    if lexer.peek() != Some(b'{') {
        return Err(refuse(param, format!("'{param}' must be an object")));
    }
    lexer.expect(b'{', "expected an object")?;
    let (mut first, mut seen) = (true, Vec::new());
    while let Some(key) = lexer.member(&mut first)? {
        let name: String = key.unescape().unwrap_or_default().chars().take(64).collect();
        let inner = format!("{param}.{name}");
        if seen.contains(&name) {
            return Err(refuse(&inner, format!("'{inner}' is given twice")));
        }
        if !member(lexer, &name, &inner)? {
            return Err(refuse(param, format!("Unrecognized key(s) in '{param}': '{name}'")));
        }
        seen.push(name);
    }
    Ok(())
}

/// A number from 0, also as a text, or null.
fn number(lexer: &mut Lexer<'_>, param: &str) -> Result<Option<f64>, Oops> {
    let byte = lexer.peek();
    let (start, end) = lexer.value(3, &mut Blind)?;
    if byte == Some(b'n') {
        return Ok(None);
    }
    let text = lexer.slice(start, end).map(|text| text.trim_matches('"'));
    let number = text.and_then(|text| text.parse::<f64>().ok());
    match number.filter(|n| (0.0..=NUMBER_MAX).contains(n)) {
        Some(number) => Ok(Some(number)),
        None => Err(refuse(param, format!("'{param}' must be a number from 0"))),
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
