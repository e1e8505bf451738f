//! What the built-in detectors find, and what they leave alone.

use std::sync::Arc;

use crate::builtin::BUILTINS;
use crate::filter::{Filter, Reading, Tally, Values};
use crate::scan::Rules;

/// Rules of the built-in detectors of these names; of none: of all.
pub(super) fn rules(names: &[&str]) -> Rules {
    let wanted = BUILTINS.iter().filter(|b| names.is_empty() || names.contains(&b.name));
    Rules::new(wanted.map(|b| Arc::new(b.detector().expect("it compiles"))).collect())
}

/// The text after a whole look.
pub(super) fn redacted(rules: &Rules, text: &str) -> String {
    let (noting, mut tally) = (Rules::new(Vec::new()), Tally::default());
    let mut with =
        Reading { acting: rules, noting: &noting, values: Values::Drop, tally: &mut tally };
    Filter::whole(&mut with, text).unwrap_or_else(|| text.to_owned())
}

#[test]
fn they_find_what_they_should() {
    let rules = rules(&[]);
    let (a16, a36, a40) = ("A1B2C3D4E5F6G7H8", "a1".repeat(18), "Zz9/+".repeat(8));
    let cases = [
        ("mail a.b+c@sub.example.co.uk, please", "mail [EMAIL], please"),
        ("<jörg@exämple.de>", "<[EMAIL]>"),
        ("O'Brien@example.org.", "[EMAIL]."),
        ("请联系foo@example.com谢谢", "请联系[EMAIL]谢谢"),
        ("x@xn--bcher-kva.example!", "[EMAIL]!"),
        ("call +49 170 1234567 now", "call [PHONE] now"),
        ("+14155552671", "[PHONE]"),
        ("tel:+1 (415) 555-2671.", "tel:[PHONE]."),
        ("0049 30/1234567", "[PHONE]"),
        ("(415) 555-2671 or 415.555.2671", "[PHONE] or [PHONE]"),
        ("1-415-555-2671", "[PHONE]"),
        ("020 7946 0958, 06 12 34 56 78, 0170-1234567", "[PHONE], [PHONE], [PHONE]"),
        ("(030) 1234567", "[PHONE]"),
        ("4111 1111 1111 1111", "[CARD]"),
        ("card:4111111111111111;", "card:[CARD];"),
        ("3782-822463-10005", "[CARD]"),
        ("5555 5555 5555 4444 123", "[CARD] 123"),
        ("IBAN DE89 3704 0044 0532 0130 00 AND", "IBAN [IBAN] AND"),
        ("gb82west12345698765432", "[IBAN]"),
        ("123-45-6789 and 123 45 6789", "[SSN] and [SSN]"),
        ("at 192.168.0.1:8080", "at [IP]:8080"),
        ("ping 2001:db8::1, fe80::1. ::1", "ping [IP], [IP]. [IP]"),
        (&format!("AKIA{a16} and ASIA{a16}"), "[AWS_KEY] and [AWS_KEY]"),
        (&format!("aws_secret_access_key = {a40}"), "[AWS_KEY]"),
        ("sk-proj-abcdefghijklmnopqrstuv_wxyz", "[AI_KEY]"),
        ("sk-ant-api03-abcdEFGHijkl_mnop-qrst", "[AI_KEY]"),
        ("key=sk-or-v1-0123456789abcdef0123456789abcdef", "key=[AI_KEY]"),
        ("sk-abcDEF1234567890123456", "[AI_KEY]"),
        ("AIzaSyA-0123456789_abcdefghijklmnopqrstu", "[GOOGLE_KEY]"),
        (&format!("ghp_{a36} github_pat_{a36}_x"), "[GITHUB_TOKEN] [GITHUB_TOKEN]"),
        ("xoxb-123456789012-abcdef", "[SLACK_TOKEN]"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc-_def x", "[JWT] x"),
    ];
    let wrong = cases.iter().filter_map(|(text, expected)| {
        let got = redacted(&rules, text);
        (got != *expected).then(|| format!("{text}: {got}"))
    });
    assert_eq!(wrong.collect::<Vec<_>>(), Vec::<String>::new());
}

#[test]
fn a_private_key_goes_with_its_body() {
    let rules = rules(&[]);
    let line = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj";
    let body = format!("{line}\n").repeat(20);
    let pem =
        |kind: &str| format!("a\n-----BEGIN {kind}-----\n{body}Qg==\n-----END {kind}-----\nb");
    for kind in ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "OPENSSH PRIVATE KEY"] {
        assert_eq!(redacted(&rules, &pem(kind)), "a\n[PRIVATE_KEY]\nb", "{kind}");
        let escaped = pem(kind).replace('\n', "\\n");
        assert_eq!(redacted(&rules, &escaped), "a\\n[PRIVATE_KEY]\\nb", "{kind} in JSON");
    }
    let head = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\
                DEK-Info: AES-128-CBC,0011\n\n";
    let text = format!("{head}{body}-----END RSA PRIVATE KEY-----");
    assert_eq!(redacted(&rules, &text), "[PRIVATE_KEY]", "encrypted");
    let cut = redacted(&rules, &format!("{head}{body}MIIE"));
    assert_eq!(cut, "[PRIVATE_KEY]\nMIIE", "without its end all whole lines go");
    let none = "-----BEGIN PUBLIC KEY-----";
    assert_eq!(redacted(&rules, none), none, "a public key is public");
    let said = "A file with -----BEGIN PRIVATE KEY----- is a key.";
    assert_eq!(redacted(&rules, said), "A file with [PRIVATE_KEY] is a key.");
}

#[test]
fn they_leave_alone_what_is_none() {
    let rules = rules(&[]);
    let texts = [
        "a @ b, @name, name@host, x@y., https://example.com/@user",
        "On 2024-01-02 at 10:30:45, 31.12.2026, 01-02-2024 1530.",
        "1234567890123456 is no card, nor is 4111 1111 1111 1112.",
        "0.4111111111111111 is a number, 12345678901234567890123 is one.",
        "2020 2021 2022 2023 are years; 20 30 40 50 60 70 80 are numbers.",
        "000-12-3456, 666-12-3456, 900-12-3456, 123-00-4567, 123-45-0000",
        "DE89 1704 9944 9532 9130 99 has a wrong check digit; ZZ89370400440532013000",
        "Version 1.2.3 of std::vector, a::b, abc::def, 1.2.3.4.5, 300.1.1.1",
        "$415 555 2671, 415-555-26711, 4155552671, 1-2-3, 5 + 12, 10-20-30",
        "risk-adjusted, sk-learn-pipelines-are-simple, task-1234567890",
        "AKIA is a prefix; AKIA1234 is short; eyJ is a beginning.",
        "550e8400-e29b-41d4-a716-446655440000",
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "[EMAIL] and [PHONE_1]",
    ];
    let wrong = texts.iter().map(|text| redacted(&rules, text));
    let wrong = wrong.zip(&texts).filter(|(got, text)| got != *text).map(|(got, _)| got);
    assert_eq!(wrong.collect::<Vec<_>>(), Vec::<String>::new());
}

#[test]
fn at_one_place_the_earlier_rule_wins() {
    let rules = rules(&[]);
    assert_eq!(redacted(&rules, "123-45-6789@example.com"), "[EMAIL]");
    assert_eq!(redacted(&rules, "a@b.example,c@d.example"), "[EMAIL],[EMAIL]");
    assert_eq!(redacted(&rules, "4111111111111111 4111111111111111"), "[CARD] [CARD]");
}
