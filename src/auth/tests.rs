//! What is a credential, and who is let in.

use super::*;
use crate::ledger::entry::NewKeyEntry;
use crate::ledger::state::AccountState;
use crate::terms::KeyTerms;
use crate::vocab::{AccountId, KeyId};

fn table(key: &KeyText, expires_ms: Option<u64>, disabled: bool) -> KeyTable {
    let mut table = KeyTable::new([7; 32]);
    let account = AccountId::parse("acme").unwrap();
    table.add_account(account.clone(), &AccountState::default());
    let entry = NewKeyEntry {
        key: KeyId::parse("key-1").unwrap(),
        account,
        hash: table.hash(key.reveal().as_bytes()),
        shown: key.shown(),
        terms: KeyTerms { expires_ms, disabled, ..KeyTerms::default() },
    };
    table.open_key(entry, 0);
    table
}

#[test]
fn credentials_are_found_or_explained() {
    let found: [(Option<&str>, Option<&str>, &str); 6] = [
        (Some("Bearer abc"), None, "abc"),
        (Some("bEARER \t abc "), None, "abc"),
        (Some("Bearer abc"), Some("def"), "abc"),
        (None, Some(" def "), "def"),
        (Some("  Bearer abc"), None, "abc"),
        (Some("Bearer a b"), None, "a b"),
    ];
    for (auth, api, want) in found {
        let got = credential(auth.map(str::as_bytes), api.map(str::as_bytes));
        assert_eq!(got, Ok(want.as_bytes()), "{auth:?} {api:?}");
    }
    let missing: [(Option<&str>, Option<&str>, &str); 6] = [
        (None, None, "No API key"),
        (None, Some("  "), "No API key"),
        (Some("Bearer"), None, "empty"),
        (Some("Bearer  "), None, "empty"),
        (Some("sk-tp-v1-abc"), None, "no scheme"),
        (Some("Basic dXNlcg=="), None, "other schemes"),
    ];
    for (auth, api, why) in missing {
        let error = credential(auth.map(str::as_bytes), api.map(str::as_bytes)).unwrap_err();
        assert_eq!(error.kind, Kind::Unauthenticated, "{auth:?}");
        assert!(error.message.contains(why), "{auth:?}: {}", error.message);
    }
}

#[test]
fn keys_have_one_shape_and_use_every_bit() {
    let key = KeyText::from_random(&[0xff; 32]);
    assert_eq!(key.reveal().len(), KEY_LEN);
    assert!(key.reveal().ends_with("____8"), "the last digit spells four bits: {}", key.reveal());
    let zero = KeyText::from_random(&[0; 32]);
    assert_eq!(zero.reveal(), format!("{KEY_PREFIX}{}", "A".repeat(43)));
    for bit in 0..256 {
        let mut random = [0; 32];
        random[bit / 8] = 1 << (bit % 8);
        assert_ne!(KeyText::from_random(&random).reveal(), zero.reveal(), "bit {bit} counts");
    }
    assert!(!format!("{key:?}").contains("___"), "Debug shows nothing of it");
}

#[test]
fn only_a_live_key_is_let_in() {
    let key = KeyText::from_random(&[3; 32]);
    let presented = key.reveal().as_bytes();
    let open = table(&key, Some(100), false);
    assert_eq!(authenticate(&open, presented, 99).unwrap().id().as_str(), "key-1");
    let other = KeyText::from_random(&[4; 32]);
    let cases = [
        (&open, presented, 100, "expired"),
        (&open, other.reveal().as_bytes(), 0, "not known"),
        (&open, &presented[..20], 0, "not an API key"),
        (&open, b"sk-or-v1-0123", 0, "not an API key"),
        (&table(&key, None, true), presented, 0, "disabled"),
    ];
    for (keys, presented, now_ms, why) in cases {
        let error = authenticate(keys, presented, now_ms).unwrap_err();
        assert_eq!(error.kind.status(), 401, "{why}");
        assert!(error.message.contains(why), "{}", error.message);
        assert!(!error.to_string().contains("AwMD"), "no part of a key in an error");
    }
}

#[test]
fn every_flipped_bit_of_a_key_is_refused() {
    let key = KeyText::from_random(&[9; 32]);
    let keys = table(&key, None, false);
    for bit in 0..key.reveal().len() * 8 {
        let mut presented = key.reveal().as_bytes().to_vec();
        presented[bit / 8] ^= 1 << (bit % 8);
        assert!(authenticate(&keys, &presented, 0).is_err(), "bit {bit}");
    }
}
