use std::collections::HashMap;

use proptest::prelude::*;
use serde_json::json;
use turnpike_plugin_api::{Request, Role, TextKind, Turn};
use turnpike_plugin_testkit::{Case, HeadCase, Played, TurnCase, build, play};

use crate::DEFINITION;

#[test]
fn the_cases_hold() {
    turnpike_plugin_testkit::cases(&DEFINITION, concat!(env!("CARGO_MANIFEST_DIR"), "/cases"));
}

#[test]
fn the_options_hold() {
    turnpike_plugin_testkit::options(&DEFINITION, &json!({}));
    let all = json!({"default_context_max": 0, "answer_tokens": 9, "margin_percent": 50, "messages_max": 2});
    turnpike_plugin_testkit::options(&DEFINITION, &all);
}

#[test]
fn what_is_wrong_is_named() {
    for (option, value) in [
        ("default_context_max", json!(100_000_001)),
        ("answer_tokens", json!(1_000_001)),
        ("margin_percent", json!(51)),
        ("messages_max", json!(1)),
        ("messages_max", json!(100_001)),
    ] {
        let bad = build(&DEFINITION, &json!({ option: value })).err().expect("a fault");
        assert_eq!(bad.option, option, "{bad}");
    }
    let bad = build(&DEFINITION, &json!({"margin_percent": -1})).err().expect("a fault");
    assert!(bad.to_string().contains("-1"), "{bad}");
}

#[test]
fn the_folder_holds() {
    turnpike_plugin_testkit::folder(&DEFINITION, env!("CARGO_MANIFEST_DIR"));
}

fn said(role: &str, text: &str) -> TurnCase {
    TurnCase { role: role.to_owned(), texts: vec![text.to_owned()], ..TurnCase::default() }
}

fn tool(id: &str, result: &str) -> [TurnCase; 2] {
    let ids = vec![id.to_owned()];
    let call = TurnCase { role: "assistant".to_owned(), calls: ids.clone(), ..TurnCase::default() };
    let returned = vec![result.to_owned()];
    let result = TurnCase { role: "tool".to_owned(), results: ids, returned, ..call.clone() };
    [call, TurnCase { calls: Vec::new(), ..result }]
}

fn run(context: u64, turns: Vec<TurnCase>) -> Played {
    let options = json!({"margin_percent": 0, "answer_tokens": 0});
    let plugin = build(&DEFINITION, &options).expect("a plugin");
    let head = HeadCase { context, ..HeadCase::default() };
    play(&*plugin, &Case { head, turns, ..Case::default() }, "run")
}

fn tokens(texts: &[Vec<String>]) -> usize {
    let bytes = |texts: &Vec<String>| texts.iter().map(String::len).sum::<usize>();
    texts.iter().map(|texts| bytes(texts).div_ceil(4) + 4).sum()
}

#[test]
fn one_long_message_keeps_its_ends() {
    let text: String = (0..2_000).map(|i| format!("{i:04} ")).collect();
    let texts = run(1_000, vec![said("system", "s"), said("user", &text)]).texts();
    assert!(tokens(&texts) <= 1_000 && tokens(&texts) > 950, "{}", tokens(&texts));
    let (head, tail) = texts[1][0].split_once(" […] ").expect("a mark");
    assert!(text.starts_with(head) && text.ends_with(tail));
    assert!(head.len().abs_diff(tail.len()) < 2, "{} {}", head.len(), tail.len());
}

#[test]
fn older_results_are_shortened_before_what_the_user_said_and_the_last_turn() {
    let long = "x".repeat(4_000);
    let mut turns = vec![said("user", &long)];
    for id in ["a", "b", "c"] {
        turns.extend(tool(id, &long));
    }
    let texts = run(3_000, turns.clone()).texts();
    let lengths: Vec<usize> = texts.iter().flatten().map(String::len).collect();
    assert!(lengths[1] < 2_000 && lengths[1] == lengths[2], "{lengths:?}");
    assert_eq!((lengths[0], lengths[3]), (4_000, 4_000), "{lengths:?}");
    let texts = run(1_000, turns).texts();
    let lengths: Vec<usize> = texts.iter().flatten().map(String::len).collect();
    assert_eq!((lengths[1], lengths[2]), (256, 256), "as short as they may be: {lengths:?}");
    assert!(lengths[0] == lengths[3] && lengths[0] > 1_000, "{lengths:?}");
}

#[test]
fn pictures_are_not_taken_for_text() {
    let mut turn = Turn::new(Role::User);
    let text = turnpike_plugin_api::Text::new(TextKind::Prose, "x".repeat(4_000));
    (turn.texts, turn.tokens, turn.has_media) = (vec![text], 3_000, true);
    let limits = crate::Limits { tokens: Some(2_500), messages: None };
    let crate::Verdict::Plan(plan) = crate::plan::make(&[turn.clone()], limits, 3_000) else {
        panic!("its text can be shortened");
    };
    assert!(plan.cuts[0].bytes_max < 2_000, "500 tokens of text are 2,000 bytes: {plan:?}");
    let limits = crate::Limits { tokens: Some(1_000), ..limits };
    assert_eq!(crate::plan::make(&[turn], limits, 3_000), crate::Verdict::Hopeless);
}

#[test]
fn what_an_earlier_plugin_took_out_is_gone() {
    let mut turns: Vec<Turn> = ["a", "b", "c"].iter().map(|_| Turn::new(Role::User)).collect();
    turns.iter_mut().for_each(|turn| turn.tokens = 100);
    let mut request = Request::new(turns);
    assert!(request.remove(2));
    let limits = crate::Limits { tokens: Some(150), messages: None };
    let crate::Verdict::Plan(plan) = crate::plan::make(request.turns(), limits, 200) else {
        panic!("the first can go");
    };
    assert_eq!((plan.removed, plan.tokens), (vec![0], 100), "the second is the last that is left");
}

/// Conversations: any roles, calls with results near and far, some fixed, some with pictures.
fn conversation() -> impl Strategy<Value = Vec<TurnCase>> {
    let role = prop_oneof![
        1 => Just("system"), 4 => Just("user"), 4 => Just("assistant"), 3 => Just("tool")
    ];
    let text = prop_oneof![3 => "[a-z ]{0,60}", 1 => "[a-zé […] 日]{200,900}"];
    let turn = (role, text, 0..6_usize, prop::bool::weighted(0.05));
    prop::collection::vec(turn, 0..24).prop_map(|turns| {
        let mut made: Vec<TurnCase> = Vec::new();
        for (role, text, id, fixed) in turns {
            let mut turn = said(role, &text);
            turn.fixed = fixed;
            match role {
                "assistant" if id > 2 => turn.calls = vec![format!("c{id}")],
                "tool" => {
                    turn.returned = std::mem::take(&mut turn.texts);
                    turn.results = vec![format!("c{id}")];
                }
                _ => {}
            }
            made.push(turn);
        }
        made
    })
}

/// For each turn with a result: the turn with the call, if there is one.
fn pairs(turns: &[TurnCase]) -> Vec<(usize, usize)> {
    let (mut calls, mut pairs) = (HashMap::new(), Vec::new());
    for (at, turn) in turns.iter().enumerate() {
        let known = turn.results.iter().filter_map(|id| calls.get(id));
        pairs.extend(known.map(|call| (*call, at)));
        calls.extend(turn.calls.iter().map(|id| (id.clone(), at)));
    }
    pairs
}

proptest! {
    #[test]
    fn it_fits_or_is_unchanged(
        turns in conversation(), context in 1_u64..1_200, cap in prop::option::of(2_usize..12),
    ) {
        let mut options = json!({"margin_percent": 0, "answer_tokens": 0});
        if let Some(cap) = cap {
            options["messages_max"] = json!(cap);
        }
        let plugin = build(&DEFINITION, &options).expect("a plugin");
        let head = HeadCase { context, ..HeadCase::default() };
        let case = Case { head, turns: turns.clone(), ..Case::default() };
        let played = play(&*plugin, &case, "any");
        let request = &played.request;
        let removed: Vec<bool> = request.turns().iter().map(Turn::is_removed).collect();
        for (call, result) in pairs(&turns) {
            prop_assert_eq!(removed[call], removed[result], "a call without its result");
        }
        let last = turns.iter().rposition(|turn| turn.role == "user");
        for (at, turn) in turns.iter().enumerate() {
            let stays = turn.role == "system" || turn.fixed || last.is_some_and(|last| at >= last);
            prop_assert!(!(stays && removed[at]), "turn {at} must stay");
        }
        if !request.is_changed() {
            return Ok(());
        }
        let texts = played.texts();
        prop_assert!(tokens(&texts) as u64 <= context, "{} tokens", tokens(&texts));
        let messages = turns.iter().zip(&removed).filter(|(t, gone)| !**gone && t.role != "system");
        prop_assert!(cap.is_none_or(|cap| messages.count() <= cap));
        // What is left is what was there, in its order, whole or without its middle.
        let left = turns.iter().zip(&removed).filter(|(_, gone)| !**gone);
        let mut again = Vec::new();
        for ((turn, _), now) in left.zip(&texts) {
            let mut turn = turn.clone();
            let was = turn.texts.iter_mut().chain(&mut turn.returned);
            for (was, now) in was.zip(now) {
                prop_assert!(was == now || turn.role != "system" && now.contains('…'));
                prop_assert!(now.len() <= was.len());
                *was = now.clone();
            }
            again.push(turn);
        }
        let second = play(&*plugin, &Case { turns: again, ..case }, "again");
        prop_assert!(!second.request.is_changed(), "once is enough");
    }
}

proptest! {
    #[test]
    fn whose_turn_it_is_still_alternates(count in 1_usize..30, context in 1_u64..900) {
        let roles = ["user", "assistant"].into_iter().cycle().take(2 * count - 1);
        let turns = roles.map(|role| said(role, &"x".repeat(100))).collect();
        let request = run(context, turns).request;
        let left: Vec<Role> =
            request.turns().iter().filter(|turn| !turn.is_removed()).map(|turn| turn.role).collect();
        prop_assert!(left.windows(2).all(|pair| pair[0] != pair[1]), "{left:?}");
        prop_assert_eq!((left[0], left[left.len() - 1]), (Role::User, Role::User));
    }
}
