//! The pure core: the codec, and the state machine against a model that is too simple to be wrong.

use std::sync::Arc;

use proptest::prelude::*;

use super::entry::{Cause, Entry, Event, Frame, GENESIS, NOTE_MAX, NewKeyEntry, PAYLOAD_MAX};
use super::state::{History, NoHistory, Refused, State};
use super::*;
use crate::terms::{
    AccountTerms, AutoTopUp, KeyTerms, MemberTerms, OrganisationTerms, Policy, Reset, Role,
};
use crate::vocab::{
    AccountId, EndpointId, GenerationId, KeyId, ModelId, NanoUsd, PicoUsd, ProviderId, Usage,
};

mod model;

fn account(n: u8) -> AccountId {
    AccountId::parse(&format!("acct-{n}")).unwrap()
}

fn key(n: u8) -> KeyId {
    KeyId::parse(&format!("key-{n}")).unwrap()
}

fn leg(endpoint: &str) -> Leg {
    Leg {
        endpoint: EndpointId::parse(endpoint).unwrap(),
        usage: Usage { completion: 9, estimated: true, ..Usage::default() },
        cost: NanoUsd(77),
    }
}

fn full_record(id: GenerationId) -> GenerationRecord {
    GenerationRecord {
        model: Some(ModelId::parse("meta/llama-3.3:free").unwrap()),
        provider: Some(ProviderId::parse("fast").unwrap()),
        endpoint: Some(EndpointId::parse("fast/llama-3.3").unwrap()),
        upstream_id: Some("chatcmpl-ü".to_owned()),
        streamed: true,
        cancelled: true,
        finish_reason: Some("stop".to_owned()),
        native_finish_reason: Some(String::new()),
        usage: Usage { prompt: 1, searches: u64::MAX, estimated: true, ..Usage::default() },
        cost: NanoUsd(123_456_789),
        cache_hit: true,
        latency_ms: u32::MAX,
        ttft_ms: Some(0),
        generation_ms: 7,
        attempts: 3,
        status: 200,
        recovered: true,
        legs: vec![leg("slow/llama-3.3"), leg("a/b")],
        details: full_details(),
        ..GenerationRecord::bare(id, 1_700_000_000_000, account(1), key(1))
    }
}

fn full_details() -> Details {
    let text = |text: &str| Some(text.into());
    let prices = UnitPrices {
        prompt: PicoUsd(3_000_000),
        cache_read: Some(PicoUsd(0)),
        search: Some(PicoUsd(u64::MAX)),
        ..UnitPrices::default()
    };
    Details {
        requested_model: text("meta/llama-3.3:floor"),
        router: text("turnpike/auto"),
        preset: text("p"),
        request_id: text("req"),
        session_id: text("s"),
        app_title: text("Äpp"),
        http_referer: text("https://app.example/"),
        origin: text("https://other.example"),
        user_agent: text("curl/8"),
        external_user: text("u-1"),
        service_tier: text("flex"),
        data_region: text("eu"),
        error: text("bad_gateway"),
        api: Some(ApiType::Rerank),
        had_tools: true,
        tool_calls: 300,
        media_prompt: 2,
        cache_source: Some(GenerationId::from_bits(7)),
        tried: vec![Tried {
            endpoint: EndpointId::parse("slow/llama-3.3").unwrap(),
            outcome: "dns".into(),
            status: 0,
            ms: 31,
        }],
        prices: Some(prices),
        leg_prices: vec![UnitPrices::default(), prices],
        discount: NanoUsd(12),
        upstream_cost: Some(NanoUsd(4_000)),
        plugins: NanoUsd(5),
        ended_by: text("credit"),
        drained: true,
        insured: true,
    }
}

fn events() -> Vec<Event> {
    let id = GenerationId::new(1_700_000_000_000, 77);
    let bare = Arc::new(GenerationRecord::bare(id, 0, account(1), key(1)));
    let adjusted = |against| Event::Adjusted {
        account: account(1),
        against,
        amount: NanoUsd(-5),
        reason: "why".to_owned(),
        receipt: "r".to_owned(),
    };
    let new_key = NewKeyEntry {
        key: key(1),
        account: account(1),
        hash: [0xab; 32],
        shown: "sk-tp-v1-abcd...".to_owned(),
        terms: KeyTerms {
            label: "laptop".to_owned(),
            limit: Some(NanoUsd::MAX),
            expires_ms: Some(u64::MAX),
            ..KeyTerms::default()
        },
    };
    let policy = Policy {
        allowed_models: vec!["a/*".to_owned(), "b/c".to_owned()],
        ignored_providers: vec!["slow".to_owned()],
        no_training: true,
        rpm: Some(5),
        tpm: Some(u64::MAX),
        concurrency: Some(u32::MAX),
        ..Policy::default()
    };
    let terms = KeyTerms {
        reset: Some(Reset::Monthly),
        byok_in_limit: true,
        management: true,
        member: Some("ann".to_owned()),
        preset: Some("p".to_owned()),
        variant: Some("floor".to_owned()),
        policy: policy.clone(),
        ..new_key.terms.clone()
    };
    let full_key = NewKeyEntry { terms: terms.clone(), ..new_key.clone() };
    let account_terms = Box::new(AccountTerms {
        name: "Acme".to_owned(),
        organisation: Some(account(3)),
        policy: policy.clone(),
        low_balance: Some(NanoUsd(1)),
        auto_top_up: Some(AutoTopUp { below: NanoUsd(2), amount: NanoUsd(3) }),
        content_days: 30,
        discount_logging: true,
    });
    let organisation = OrganisationTerms { name: "Group".to_owned(), policy };
    let member =
        MemberTerms { role: Role::Admin, limit: Some(NanoUsd(9)), reset: Some(Reset::Daily) };
    let topped_up = |fee| Event::ToppedUp {
        account: account(1),
        method: account(9),
        amount: NanoUsd(i64::MAX),
        fee: NanoUsd(fee),
        receipt: "once".to_owned(),
    };
    vec![
        Event::AccountCreated { account: account(1), terms: Box::default() },
        Event::AccountCreated { account: account(1), terms: account_terms.clone() },
        Event::AccountChanged { account: account(1), terms: account_terms },
        Event::AccountChanged { account: account(1), terms: Box::default() },
        Event::OrganisationSet { organisation: account(3), terms: Box::new(organisation) },
        Event::MemberSet { account: account(1), user: "ann".to_owned(), terms: member },
        Event::MemberRemoved { account: account(1), user: "ann".to_owned() },
        topped_up(0),
        topped_up(80),
        Event::Moved {
            from: account(1),
            to: account(2),
            amount: NanoUsd(7),
            reason: "why".to_owned(),
            receipt: "m".to_owned(),
        },
        Event::KeyCreated(Box::new(full_key)),
        Event::KeyChanged { key: key(1), terms: Box::new(terms) },
        Event::KeyDeleted { key: key(1) },
        adjusted(Book::Fees),
        adjusted(Book::Promotions),
        adjusted(Book::Unattributed),
        adjusted(Book::CashIn(account(2))),
        adjusted(Book::Provider(ProviderId::parse("p").unwrap())),
        Event::KeyCreated(Box::new(new_key)),
        Event::KeyDisabled { key: key(1) },
        Event::Held { generation: id, key: key(1), granted: NanoUsd(5), placed_ms: 9 },
        Event::HeldAhead { generation: id, key: key(1), placed_ms: 9 },
        Event::Unused { cause: Cause::Recovered, generation: id },
        Event::Settled { cause: Cause::Asked, record: Arc::new(full_record(id)) },
        Event::Settled { cause: Cause::Recovered, record: Arc::clone(&bare) },
        Event::Voided { cause: Cause::Dropped, record: Arc::clone(&bare) },
        Event::Recorded { record: bare },
    ]
}

#[test]
fn entries_round_trip_and_every_flipped_bit_is_found() {
    let mut prev = GENESIS;
    for (seq, event) in (1..).zip(events()) {
        let entry = Entry { seq, time_ms: seq << 40, event };
        let mut bytes = Vec::new();
        let hash = entry.write(&prev, 300, &mut bytes);
        let frame = Frame::parse(&bytes).unwrap();
        assert_eq!((frame.len, frame.back), (bytes.len(), 300));
        assert_eq!(Entry::read(frame.payload), Ok((entry.clone(), prev)), "{}", entry.event.name());
        assert_eq!(*blake3::hash(frame.payload).as_bytes(), hash);
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(Frame::parse(&bytes).is_err(), "{} bit {bit}", entry.event.name());
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        for len in 0..bytes.len() {
            assert!(Frame::parse(&bytes[..len]).is_err(), "cut at {len}");
        }
        prev = hash;
    }
}

fn longest_details() -> Details {
    let long = |len| "x".repeat(len);
    let text = || Some(long(100_000).into());
    let endpoint = EndpointId::parse(&long(EndpointId::LEN_MAX)).unwrap();
    let tried = Tried { endpoint, outcome: long(1_000).into(), status: u16::MAX, ms: u32::MAX };
    let dear = Some(PicoUsd(u64::MAX));
    let prices = UnitPrices {
        prompt: PicoUsd(u64::MAX),
        completion: PicoUsd(u64::MAX),
        cache_read: dear,
        cache_write_5m: dear,
        cache_write_1h: dear,
        reasoning: dear,
        audio_prompt: dear,
        audio_completion: dear,
        request: dear,
        image: dear,
        search: dear,
    };
    Details {
        requested_model: text(),
        router: text(),
        preset: text(),
        request_id: text(),
        session_id: text(),
        app_title: text(),
        http_referer: text(),
        origin: text(),
        user_agent: text(),
        external_user: text(),
        service_tier: text(),
        data_region: text(),
        error: text(),
        ended_by: text(),
        tool_calls: u32::MAX,
        media_prompt: u32::MAX,
        tried: vec![tried; 99],
        prices: Some(prices),
        leg_prices: vec![prices; 9],
        discount: NanoUsd(i64::MIN),
        upstream_cost: Some(NanoUsd(i64::MIN)),
        ..full_details()
    }
}

#[test]
fn the_longest_entry_fits() {
    let long = |len| "x".repeat(len);
    let id = GenerationId::from_bits(u128::MAX);
    let endpoint = EndpointId::parse(&long(EndpointId::LEN_MAX)).unwrap();
    let usage = Usage {
        prompt: u64::MAX,
        cache_read: u64::MAX,
        cache_write_5m: u64::MAX,
        cache_write_1h: u64::MAX,
        audio_prompt: u64::MAX,
        completion: u64::MAX,
        reasoning: u64::MAX,
        audio_completion: u64::MAX,
        images: u64::MAX,
        searches: u64::MAX,
        estimated: true,
    };
    let mut record = GenerationRecord {
        account: AccountId::parse(&long(AccountId::LEN_MAX)).unwrap(),
        key: KeyId::parse(&long(KeyId::LEN_MAX)).unwrap(),
        model: Some(ModelId::parse(&long(ModelId::LEN_MAX)).unwrap()),
        provider: Some(ProviderId::parse(&long(ProviderId::LEN_MAX)).unwrap()),
        endpoint: Some(endpoint.clone()),
        upstream_id: Some(long(100_000)),
        finish_reason: Some(long(100_000)),
        native_finish_reason: Some("é".repeat(100_000)),
        usage,
        legs: vec![Leg { endpoint: endpoint.clone(), usage, cost: NanoUsd(i64::MIN) }; 9],
        details: longest_details(),
        ..full_record(id)
    };
    record.bound();
    let event = Event::Settled { cause: Cause::Asked, record: Arc::new(record) };
    let entry = Entry { seq: u64::MAX, time_ms: u64::MAX, event };
    let mut bytes = Vec::new();
    entry.write(&GENESIS, 0, &mut bytes);
    assert!(bytes.len() <= PAYLOAD_MAX - 256, "{} bytes", bytes.len());
    assert_eq!(Entry::read(Frame::parse(&bytes).unwrap().payload).unwrap().0, entry);
    const { assert!(NOTE_MAX < 256, "notes are short") };
}

#[test]
fn debug_shows_no_hash_and_no_pepper() {
    let table = KeyTable::new([0x42; 32]);
    assert!(!format!("{table:?}").contains("66"), "{table:?}");
}

proptest! {
    #[test]
    fn hostile_payloads_are_errors(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        // A right version and kind, so that it gets as far as it can.
        let mut payload = vec![1];
        payload.extend_from_slice(&[0; 32]);
        payload.extend_from_slice(&[1, 1]);
        payload.extend_from_slice(&bytes);
        if let Ok((entry, prev)) = Entry::read(&payload) {
            let mut frame = Vec::new();
            entry.write(&prev, 0, &mut frame);
            prop_assert_eq!(Frame::parse(&frame).unwrap().payload, &payload[..], "one spelling");
        }
        if let Ok(frame) = Frame::parse(&bytes) {
            prop_assert!(frame.len <= bytes.len());
        }
    }
}

#[test]
fn entries_that_do_not_fit_leave_the_state_alone() {
    let mut state = State::default();
    let at = |seq, time_ms, event: &Event| Entry { seq, time_ms, event: event.clone() };
    let open = Event::AccountCreated { account: account(1), terms: Box::default() };
    assert_eq!(state.apply(&at(2, 0, &open), &NoHistory), Err(Refused::Sequence));
    state.apply(&at(1, 10, &open), &NoHistory).unwrap();
    assert_eq!(state.apply(&at(2, 9, &open), &NoHistory), Err(Refused::Time));
    assert_eq!(state.apply(&at(2, 10, &open), &NoHistory), Err(Refused::AccountExists));
    let top_up = |amount| Event::ToppedUp {
        account: account(1),
        method: account(1),
        fee: NanoUsd::ZERO,
        amount,
        receipt: "r".to_owned(),
    };
    let too_much = NanoUsd(TRANSFER_MAX.0 + 1);
    assert_eq!(state.apply(&at(2, 10, &top_up(too_much)), &NoHistory), Err(Refused::Amount));
    state.apply(&at(2, 10, &top_up(TRANSFER_MAX)), &NoHistory).unwrap();
    assert_eq!(state.seq(), 2);
}
