//! Terms that are possible, names that fit, and days that begin where they should.

use super::*;

fn ms(day: u64, hour: u64) -> u64 {
    (day * 24 + hour) * 3_600_000
}

#[test]
fn patterns_fit_as_people_expect() {
    let fits = [("*", ""), ("a*c", "abbc"), ("openai/*", "OpenAI/gpt-4o"), ("*:free", "a/b:free")];
    for (pattern, name) in fits.into_iter().chain([("a", "a"), ("*a*b", "xaab"), ("**", "x")]) {
        assert!(matches(pattern, name), "{pattern} {name}");
    }
    for (pattern, name) in [("a", "ab"), ("a*c", "ab"), ("", "a"), ("openai/*", "x/openai/y")] {
        assert!(!matches(pattern, name), "{pattern} {name}");
    }
}

#[test]
fn periods_begin_in_utc_at_midnight_on_monday_and_on_the_first() {
    // 2026-11-26 is a Thursday, day 20,783; 2026-11-30 a Monday.
    let thursday = ms(20_783, 13);
    assert_eq!(Reset::Daily.ends_ms(thursday), ms(20_784, 0));
    assert_eq!(Reset::Weekly.ends_ms(thursday), ms(20_787, 0));
    assert_eq!(Reset::Monthly.ends_ms(thursday), ms(20_788, 0), "2026-12-01");
    assert_eq!(Reset::Monthly.period(thursday), 56 * 12 + 10);
    // Every day of two centuries falls into the month that its neighbour says.
    let mut month = 0;
    let (mut year, mut of_month, mut day_of_month) = (1970, 0, 1);
    for day in 0..73_000 {
        assert_eq!(Reset::Monthly.period(ms(day, 23)), month, "day {day}");
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let lengths = [31, 28 + u32::from(leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        if day_of_month == lengths[of_month] {
            (day_of_month, of_month, month) = (1, of_month + 1, month + 1);
            assert_eq!(Reset::Monthly.ends_ms(ms(day, 5)), ms(day + 1, 0), "day {day}");
            if of_month == 12 {
                (of_month, year) = (0, year + 1);
            }
        } else {
            day_of_month += 1;
        }
    }
}

#[test]
fn spans_count_the_latest_period_only() {
    let mut span = Span::default();
    span.add(ms(20_783, 1), 5, 1);
    span.add(ms(20_783, 23), 2, 0);
    assert_eq!(span.in_period(Reset::Daily, ms(20_783, 23)), (7, 1));
    span.add(ms(20_784, 0), 10, 0);
    span.add(ms(20_783, 5), 100, 0);
    assert_eq!(span.in_period(Reset::Daily, ms(20_784, 2)), (10, 0), "late ones are not counted");
    assert_eq!(span.in_period(Reset::Weekly, ms(20_784, 2)), (117, 1));
    assert_eq!(span.in_period(Reset::Daily, ms(20_785, 2)), (0, 0), "a new day");
}

#[test]
fn impossible_terms_name_their_field() {
    let with = |policy| KeyTerms { policy, ..KeyTerms::default() };
    let list = |text: &str, n| vec![text.to_owned(); n];
    let cases = [
        (KeyTerms { label: "x".repeat(TEXT_MAX + 1), ..KeyTerms::default() }, "label"),
        (KeyTerms { limit: Some(NanoUsd(-1)), ..KeyTerms::default() }, "limit"),
        (KeyTerms { reset: Some(Reset::Daily), ..KeyTerms::default() }, "limit_reset"),
        (KeyTerms { preset: Some(String::new()), ..KeyTerms::default() }, "preset"),
        (with(Policy { allowed_models: list("a b", 1), ..Policy::default() }), "allowed_models"),
        (with(Policy { ignored_models: list("a", 65), ..Policy::default() }), "ignored_models"),
        (with(Policy { rpm: Some(0), ..Policy::default() }), "rpm"),
    ];
    for (terms, field) in cases {
        assert_eq!(terms.check().unwrap_err().0, field);
    }
    let account = AccountTerms { discount_logging: true, ..AccountTerms::default() };
    assert_eq!(account.check().unwrap_err().0, "discount_logging");
    assert_eq!(KeyTerms::default().check(), Ok(()));
}

#[test]
fn each_policy_must_allow() {
    let policy = Policy {
        allowed_models: vec!["openai/*".to_owned()],
        ignored_models: vec!["*:free".to_owned()],
        ignored_providers: vec!["slow".to_owned()],
        ..Policy::default()
    };
    assert!(policy.allows_model("openai/gpt-4o") && !policy.allows_model("openai/x:free"));
    assert!(!policy.allows_model("meta/llama") && !policy.allows_provider("slow"));
    assert!(policy.allows_provider("fast") && !policy.is_open() && Policy::default().is_open());
}
