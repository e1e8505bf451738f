//! The detectors that come with the plugin.
//!
//! Each is a pattern and, where a pattern cannot tell, a function that looks at what it found.
//! Forms of credentials are those of their issuers' documentation, 2026-10.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::detector::{Check, Detector};

/// What a built-in detector is made from.
pub(crate) struct Builtin {
    /// Its name.
    pub(crate) name: &'static str,
    /// It is used unless the operator says which are.
    pub(crate) usual: bool,
    pattern: &'static str,
    /// The most bytes for which a match may be open.
    limit: usize,
    after: Option<fn(char) -> bool>,
    check: Check,
}

/// All of them, in order of precedence. None of their matches has a bracket, so that none takes a
/// replacement with it.
pub(crate) const BUILTINS: &[Builtin] = &[
    Builtin {
        name: "private_key",
        // PEM and OpenPGP (RFC 7468, RFC 9580), also with its lines' ends as `\n` in a JSON text,
        // and without an end. In JSON text an `n` may be right before it.
        pattern: concat!(
            r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----",
            r"(?:(?:\s|\\r|\\n){1,8}(?:Proc-Type|DEK-Info|Version|Comment|Hash): ?[ -~&&[^\\\x22\[\]]]{1,80})*",
            r"(?:(?:\s|\\r|\\n){0,8}[A-Za-z0-9+/=]{16,})*",
            r"(?:(?:\s|\\r|\\n){0,8}[A-Za-z0-9+/=]{0,80}(?:(?:\s|\\r|\\n){1,8}=[A-Za-z0-9+/]{4})?",
            r"(?:\s|\\r|\\n){0,8}-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----)?",
        ),
        after: None,
        ..SECRET
    },
    Builtin {
        name: "jwt",
        // RFC 7519: `eyJ` is `{"` in base64.
        pattern: r"eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)*",
        limit: 1024,
        ..SECRET
    },
    Builtin {
        name: "ai_key",
        // OpenAI, Anthropic, OpenRouter. A key of no known kind has a digit early on.
        pattern: concat!(
            r"sk-(?:(?:proj|svcacct|admin|ant|or)-[A-Za-z0-9_-]{20,}",
            r"|[A-Za-z_-]{0,40}[0-9][A-Za-z0-9_-]{15,})",
        ),
        ..SECRET
    },
    Builtin {
        name: "aws_key",
        // Ids of access keys, and secret keys that are named as such.
        pattern: concat!(
            r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}\b",
            r"|(?i:aws_?secret_?(?:access_?)?key)[\x22']?\s{0,3}[=:]\s{0,3}[\x22']?[A-Za-z0-9/+]{40}",
        ),
        ..SECRET
    },
    Builtin { name: "google_key", pattern: r"AIza[A-Za-z0-9_-]{35,}", ..SECRET },
    Builtin {
        name: "github_token",
        pattern: r"gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,}",
        ..SECRET
    },
    Builtin {
        name: "slack_token",
        pattern: r"(?:xoxe\.)?xox[abceoprsd]-[A-Za-z0-9-]{10,}|xapp-[0-9]-[A-Za-z0-9-]{10,}",
        ..SECRET
    },
    Builtin {
        name: "email",
        // RFC 5321's lengths, without quotes; letters of Latin, Greek and Cyrillic (RFC 6531).
        // Others often stand beside an address without a blank.
        pattern: concat!(
            r"[A-Za-z0-9_\u{C0}-\u{24F}\u{370}-\u{52F}]",
            r"[A-Za-z0-9_.%+'\-\u{C0}-\u{24F}\u{370}-\u{52F}]{0,63}@",
            r"(?:[A-Za-z0-9\u{C0}-\u{24F}\u{370}-\u{52F}]",
            r"[A-Za-z0-9\-\u{C0}-\u{24F}\u{370}-\u{52F}]{0,62}\.){1,8}",
            r"(?:xn--[A-Za-z0-9-]{2,59}|[A-Za-z\u{C0}-\u{24F}\u{370}-\u{52F}]{2,24})",
        ),
        limit: 512,
        after: Some(|c| !in_name(c)),
        ..SECRET
    },
    Builtin {
        name: "iban",
        pattern: r"[A-Za-z]{2}[0-9]{2}(?:[ -]?[A-Za-z0-9]){11,30}\b",
        check: Check::By(iban),
        ..SECRET
    },
    Builtin {
        name: "card",
        pattern: r"[2-6](?:[ -]?[0-9]){12,18}\b",
        after: Some(|c| in_number(c) && c != '.'),
        check: Check::By(card),
        ..SECRET
    },
    Builtin {
        name: "ssn",
        pattern: r"[0-8][0-9]{2}(?:-[0-9]{2}-| [0-9]{2} )[0-9]{4}\b",
        after: Some(|c| in_number(c) && c != '.' && c != '-'),
        check: Check::By(ssn),
        ..SECRET
    },
    Builtin {
        name: "ip",
        usual: false,
        pattern: r"[0-9]{1,3}(?:\.[0-9]{1,3}){3,9}\b|[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:.]{1,44}",
        after: Some(|c| in_number(c) && c != '.' && c != ':'),
        check: Check::By(ip),
        ..SECRET
    },
    Builtin {
        name: "phone",
        // E.164 with `+` or `00`; North America's national form; the national forms that begin
        // with 0. Digits without any separator are no number unless `+` or `00` is before them.
        pattern: concat!(
            r"(?:\+|00)[1-9](?:[ ./()-]{0,2}[0-9]){7,14}\b",
            r"|(?:1[ .-])?(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}[ .-])[2-9][0-9]{2}[ .-][0-9]{4}\b",
            r"|(?:\(0[1-9][0-9]{0,4}\) ?|0[1-9][0-9]{0,4}[ ./-])[0-9]{2,8}(?:[ .-][0-9]{2,8}){0,4}\b",
        ),
        after: Some(|c| in_number(c) && !matches!(c, '.' | '-' | '/' | '+' | '$' | '€' | '£')),
        check: Check::By(phone),
        ..SECRET
    },
];

/// What most of them share.
const SECRET: Builtin = Builtin {
    name: "",
    usual: true,
    pattern: "",
    limit: 256,
    after: Some(|c| !(c.is_ascii_alphanumeric() || c == '_')),
    check: Check::Always,
};

impl Builtin {
    /// Compiles it.
    ///
    /// # Errors
    /// Never, as the tests have it.
    pub(crate) fn detector(&self) -> Result<Detector, String> {
        let mut detector = Detector::new(self.name, self.pattern, self.limit)?;
        (detector.after, detector.check) = (self.after, self.check);
        Ok(detector)
    }
}

/// Characters that belong to the name in an e-mail address.
fn in_name(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || matches!(c, '_' | '.' | '%' | '+' | '-')
        || matches!(c, '\u{C0}'..='\u{24F}' | '\u{370}'..='\u{52F}')
}

/// A number may begin after it.
fn in_number(c: char) -> bool {
    !(c.is_ascii_alphanumeric() || c == '_')
}

fn digits(text: &str) -> impl Iterator<Item = u32> {
    text.chars().filter_map(|c| c.to_digit(10))
}

/// Ends of the text's words, the longest first: after each character that is followed by another
/// kind or by nothing.
fn ends(text: &str) -> impl Iterator<Item = usize> {
    let bytes = text.as_bytes();
    let is_end = |at: &usize| {
        let before = at.checked_sub(1).and_then(|i| bytes.get(i));
        let after = bytes.get(*at).is_some_and(u8::is_ascii_alphanumeric);
        before.is_some_and(u8::is_ascii_alphanumeric) && !after
    };
    (1..=text.len()).rev().filter(is_end)
}

/// A payment card's number (ISO/IEC 7812): 13 to 19 digits whose check digit is right. Where it is
/// written in groups, the first has four.
fn card(text: &str) -> Option<usize> {
    let first = text.bytes().take_while(u8::is_ascii_digit).count();
    let is_card = |end: &usize| {
        let number = text.get(..*end).unwrap_or_default();
        let count = digits(number).count();
        (13..=19).contains(&count) && (first == 4 || first >= *end) && luhn(number, count)
    };
    ends(text).find(is_card)
}

fn luhn(number: &str, count: usize) -> bool {
    let sum: u32 = digits(number)
        .enumerate()
        .map(|(i, digit)| match (count - i).is_multiple_of(2) {
            true if digit > 4 => digit * 2 - 9,
            true => digit * 2,
            false => digit,
        })
        .sum();
    sum.is_multiple_of(10)
}

/// Lengths of account numbers by country (SWIFT IBAN Registry, 2026-10).
const IBANS: &str = "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 \
    CZ24 DE22 DJ27 DK18 DO28 EE20 EG29 ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 \
    HN28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 \
    MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 PT25 QA29 RO24 \
    RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 \
    XK20 YE30";

/// An account number (ISO 13616): as long as its country has it, and 1 modulo 97.
fn iban(text: &str) -> Option<usize> {
    let country = text.get(..2)?.to_ascii_uppercase();
    let entry = IBANS.split(' ').find(|entry| entry.starts_with(&country))?;
    let length: usize = entry.get(2..)?.parse().ok()?;
    let mut signs = text.bytes().enumerate().filter(|(_, b)| b.is_ascii_alphanumeric());
    let end = signs.nth(length - 1)?.0 + 1;
    if text.as_bytes().get(end).is_some_and(u8::is_ascii_alphanumeric) {
        return None;
    }
    // The first four signs are counted last; letters are 10 to 35.
    let number = text.get(..end)?.chars().filter_map(|c| c.to_digit(36));
    let turned = number.clone().skip(4).chain(number.take(4));
    let rest = turned.fold(0, |rest, sign| (rest * if sign > 9 { 100 } else { 10 } + sign) % 97);
    (rest == 1).then_some(end)
}

/// A social security number of the United States: no area 000, 666 or 9xx, no group 00, no serial
/// 0000 (SSA, "Social Security Number Randomization").
fn ssn(text: &str) -> Option<usize> {
    let (area, group, serial) = (text.get(..3)?, text.get(4..6)?, text.get(7..11)?);
    let sound = !matches!(area, "000" | "666") && group != "00" && serial != "0000";
    sound.then_some(text.len())
}

/// An address of either version. One of version 6 has a digit: `abc::def` is more often a name.
fn ip(text: &str) -> Option<usize> {
    let whole = text.trim_end_matches(['.', ':']);
    if whole.parse::<Ipv4Addr>().is_ok() {
        return Some(whole.len());
    }
    let is_v6 = |address: &str| {
        address.parse::<Ipv6Addr>().is_ok() && address.bytes().any(|b| b.is_ascii_digit())
    };
    // `fe80::` ends in colons that are its own.
    let own = text.trim_end_matches('.');
    [own, whole].into_iter().find(|address| is_v6(address)).map(str::len)
}

/// A telephone number. One that begins with a single 0 has 9 to 12 digits and is no date.
fn phone(text: &str) -> Option<usize> {
    let trunk = text.strip_prefix('(').unwrap_or(text);
    if !trunk.starts_with('0') || trunk.starts_with("00") {
        return Some(text.len());
    }
    let sound = |end: &usize| {
        let number = text.get(..*end).unwrap_or_default();
        (9..=12).contains(&digits(number).count())
    };
    if is_date(trunk) { None } else { ends(text).find(sound) }
}

/// Whether a text begins as `31.12.2026` does.
fn is_date(text: &str) -> bool {
    let mut groups = text.split([' ', '.', '/', '-']).map(str::len);
    let first: [Option<usize>; 3] = [groups.next(), groups.next(), groups.next()];
    matches!(first, [Some(1 | 2), Some(1 | 2), Some(4)])
}
