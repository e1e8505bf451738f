//! The codec of records, apart from entries.

use super::*;
use crate::ledger::wire::{Put, Take};
use crate::vocab::PicoUsd;

fn bare() -> GenerationRecord {
    let id = GenerationId::new(1_700_000_000_000, 77);
    GenerationRecord::bare(
        id,
        1_700_000_000_000,
        AccountId::parse("acct").unwrap(),
        KeyId::parse("key").unwrap(),
    )
}

fn bytes(record: &GenerationRecord) -> Vec<u8> {
    let mut bytes = Vec::new();
    record.put(&mut Put(&mut bytes));
    bytes
}

fn read(bytes: &[u8]) -> Result<GenerationRecord, Malformed> {
    let mut from = Take(bytes);
    let record = GenerationRecord::take(&mut from)?;
    from.end("test")?;
    Ok(record)
}

/// As an answered request leaves it, before there were details.
fn answered() -> GenerationRecord {
    GenerationRecord {
        model: ModelId::parse("meta/llama-3.3").ok(),
        provider: ProviderId::parse("fast").ok(),
        endpoint: EndpointId::parse("fast/llama-3.3").ok(),
        upstream_id: Some("chatcmpl-1".to_owned()),
        streamed: true,
        finish_reason: Some("stop".to_owned()),
        native_finish_reason: Some("eos".to_owned()),
        usage: Usage { prompt: 1_000, completion: 200, ..Usage::default() },
        cost: NanoUsd(55_000),
        ttft_ms: Some(220),
        latency_ms: 1_900,
        generation_ms: 1_800,
        attempts: 1,
        status: 200,
        ..bare()
    }
}

#[test]
fn records_without_details_are_read_as_ever() {
    // Written by the version before details, whose model and provider were always spelled.
    let mut written = Vec::new();
    let record = answered();
    let mut to = Put(&mut written);
    to.u128(record.id.bits());
    to.u64(record.created_ms);
    to.text("acct", 64);
    to.text("key", 64);
    to.opt_text(Some("meta/llama-3.3"), 256);
    to.opt_text(Some("fast"), 64);
    to.opt_text(Some("fast/llama-3.3"), 320);
    to.opt_text(Some("chatcmpl-1"), 256);
    to.opt_text(Some("stop"), 256);
    to.opt_text(Some("eos"), 256);
    to.u8(1);
    for count in [1_000, 0, 0, 0, 0, 200, 0, 0, 0, 0] {
        to.u64(count);
    }
    to.i64(55_000);
    to.u64(1_900);
    to.opt_u64(Some(220));
    for number in [1_800, 1, 200] {
        to.u64(number);
    }
    assert_eq!(read(&written), Ok(record));
}

#[test]
fn what_another_field_says_is_not_spelled_again() {
    let mut record = answered();
    let spelled = bytes(&record).len();
    record.model = ModelId::parse("llama-3.3").ok();
    record.native_finish_reason = Some("stop".to_owned());
    let said = bytes(&record);
    assert_eq!(read(&said), Ok(record.clone()));
    assert_eq!(spelled - said.len(), "meta/llama-3.3".len() + 1 + "eos".len() + 1);
    record.model = ModelId::parse("fast/llama-3.3").ok();
    assert_eq!(bytes(&record).len(), said.len(), "a model that is called as the endpoint");
    assert_eq!(read(&bytes(&record)), Ok(record.clone()));
    record.endpoint = None;
    assert_eq!(read(&bytes(&record)), Ok(record), "without an endpoint all is spelled");
}

#[test]
fn a_reference_to_nothing_is_malformed() {
    let mut record = bare();
    record.model = ModelId::parse("m").ok();
    let mut damaged = bytes(&record);
    let at = damaged.iter().rposition(|b| *b == b'm').unwrap();
    damaged.splice(at - 2..=at, [2]);
    assert_eq!(read(&damaged), Err(Malformed("model")));
}

#[test]
fn unknown_parts_and_parts_out_of_order_are_malformed() {
    let mut record = bare();
    record.details.user_agent = Some("ua".into());
    let good = bytes(&record);
    assert_eq!(read(&good), Ok(record));
    let at = good.len() - 5;
    assert_eq!(good[at..], [9, 2, b'u', b'a', 0]);
    let with = |parts: &[u8]| [&good[..at], parts].concat();
    assert_eq!(read(&with(&[9, 2, b'u', b'a', 0])), read(&good));
    for bad in [
        &[99, 0, 0][..],
        &[9, 1, b'u', 9, 1, b'u', 0],
        &[9, 1, b'u', 8, 1, b'u', 0],
        &[9, 1, 0xff, 0],
        &[9, 2, b'u'],
        &[32, 1, 6, 0],
        &[32, 2, 1, 1, 0],
        &[33, 1, 0, 0],
        &[33, 1, 8, 0],
    ] {
        assert!(read(&with(bad)).is_err(), "{bad:?}");
    }
}

#[test]
fn a_usual_record_is_short() {
    let mut record = answered();
    record.model = ModelId::parse("llama-3.3").ok();
    record.native_finish_reason = Some("stop".to_owned());
    let plain = bytes(&record).len();
    record.details.api = Some(ApiType::Chat);
    record.details.prices = Some(UnitPrices {
        prompt: PicoUsd(150_000),
        completion: PicoUsd(600_000),
        ..UnitPrices::default()
    });
    let details = bytes(&record).len() - plain;
    assert!(details <= 16, "{details} bytes");
    assert!(plain <= 110, "{plain} bytes");
}

#[test]
fn json_round_trips() {
    let mut record = answered();
    record.details.cache_source = Some(record.id);
    record.details.prices = Some(UnitPrices::default());
    let text = serde_json::to_string(&record).unwrap();
    assert_eq!(serde_json::from_str::<GenerationRecord>(&text).unwrap(), record);
    let old: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut old = old.as_object().unwrap().clone();
    old.remove("details");
    record.details = Details::default();
    let read: GenerationRecord = serde_json::from_value(old.into()).unwrap();
    assert_eq!(read, record, "an export from before there were details");
}

#[test]
fn the_variant_is_the_name_s_that_was_asked_for() {
    let mut record = answered();
    assert_eq!(record.variant(), None);
    record.model = ModelId::parse("meta/llama-3.3:free").ok();
    assert_eq!(record.variant(), Some("free"));
    record.details.requested_model = Some("meta/llama-3.3:nitro".into());
    assert_eq!(record.variant(), Some("nitro"));
}
