use std::fmt::Write as _;

use super::*;
use crate::ledger::{GenerationRecord, Leg};
use crate::vocab::{
    AccountId, EndpointId, GenerationId, KeyId, ModelId, NanoUsd, ProviderId, Usage,
};

/// 2026-11-02, at noon.
const NOON_MS: u64 = 1_793_620_800_000;
const DAY_MS: u64 = 86_400_000;

fn record(day: u64, model: &str, usage: Usage, cost: i64) -> GenerationRecord {
    let created_ms = NOON_MS + day * DAY_MS;
    let mut record = GenerationRecord::bare(
        GenerationId::new(created_ms, 7),
        created_ms,
        AccountId::parse("acme").unwrap(),
        KeyId::parse("key-1").unwrap(),
    );
    record.model = Some(ModelId::parse(model).unwrap());
    record.provider = Some(ProviderId::parse("upstream").unwrap());
    record.endpoint = Some(EndpointId::parse("upstream/m").unwrap());
    record.usage = usage;
    record.cost = NanoUsd(cost);
    record.status = 200;
    record
}

fn usage(prompt: u64, cache_read: u64, completion: u64) -> Usage {
    Usage { prompt, cache_read, completion, ..Usage::default() }
}

fn ours(records: &[GenerationRecord]) -> Ours {
    let mut ours = Ours::of(ProviderId::parse("upstream").unwrap());
    records.iter().for_each(|record| ours.add(record));
    ours
}

/// Two days of two models, as the files below tell them.
fn used() -> Ours {
    ours(&[
        record(0, "openai/gpt-4o", usage(1_000, 256, 200), 3_860_000),
        record(0, "openai/gpt-4o:nitro", usage(500, 0, 50), 1_750_000),
        record(0, "anthropic/claude-opus-4.5", usage(4_000, 1_000, 300), 30_000_000),
        record(1, "openai/gpt-4o", usage(10, 0, 5), 75_000),
    ])
}

fn theirs(text: &str) -> Theirs {
    read(text, &Columns::default()).unwrap()
}

fn compared(ours: &Ours, text: &str) -> Report {
    Report::new(ours, &theirs(text), &Names::default(), &Limits::default())
}

/// The lines that are beyond the limits.
fn drifts(report: &Report) -> Vec<String> {
    let all = report.lines.iter().chain(&report.total).filter(|line| !line.within);
    let place = |line: &Line| line.day.map_or_else(|| "total".to_owned(), |day| day.to_string());
    all.map(|line| {
        format!("{} {} {} {:+}", place(line), line.model, line.measure.name(), line.drift)
    })
    .collect()
}

const OPENAI_USAGE: &str = "\
start_time,end_time,start_time_iso,end_time_iso,project_id,num_model_requests,user_id,api_key_id,model,batch,service_tier,input_tokens,output_tokens,input_cached_tokens\n\
1793577600,1793664000,2026-11-02T00:00:00+00:00,2026-11-03T00:00:00+00:00,proj_a,1,,key_1,gpt-4o-2024-08-06,,,1000,200,256\n\
1793577600,1793664000,2026-11-02T00:00:00+00:00,2026-11-03T00:00:00+00:00,proj_b,1,,key_2,gpt-4o-2024-08-06,,,500,50,0\n\
1793577600,1793664000,2026-11-02T00:00:00+00:00,2026-11-03T00:00:00+00:00,proj_b,1,,key_2,claude-opus-4-5,,,4000,300,1000\n\
1793664000,1793750400,2026-11-03T00:00:00+00:00,2026-11-04T00:00:00+00:00,proj_a,1,,key_1,gpt-4o,,,10,5,0\n\
1793750400,1793836800,2026-11-04T00:00:00+00:00,2026-11-05T00:00:00+00:00,,,,,,,,,,\n";

#[test]
fn what_agrees_is_found_to_agree() {
    let report = compared(&used(), OPENAI_USAGE);
    assert!(report.ok(), "{report}");
    assert_eq!(report.lines.len(), 3 * 4, "costs are not told: {report}");
    assert!(report.notes.is_empty(), "{report}");
    let tabs = OPENAI_USAGE.replace(',', "\t");
    assert_eq!(compared(&used(), &tabs), report, "with tabs");
    let marked = format!("\u{feff}{OPENAI_USAGE}").replace('\n', "\r\n");
    assert_eq!(compared(&used(), &marked), report, "as a spreadsheet saves it");
}

#[test]
fn every_difference_is_told_with_its_share() {
    let mut records = vec![
        // A request too many, a token too few, and one of a model that they do not know.
        record(0, "openai/gpt-4o", usage(1_000, 256, 200), 3_860_000),
        record(0, "openai/gpt-4o", usage(500, 0, 49), 1_740_000),
        record(0, "openai/gpt-4o", usage(1, 0, 0), 1),
        record(0, "anthropic/claude-opus-4.5", usage(4_000, 1_000, 300), 30_000_000),
        record(2, "openai/o9", usage(7, 0, 7), 7),
    ];
    let found = compared(&ours(&records), OPENAI_USAGE);
    let expected = [
        "2026-11-02 openai/gpt-4o requests +1",
        "2026-11-02 openai/gpt-4o prompt_tokens +1",
        "2026-11-02 openai/gpt-4o completion_tokens -1",
        "2026-11-03 gpt-4o requests -1",
    ];
    let drifts = drifts(&found);
    for line in &expected[..3] {
        assert!(drifts.contains(&(*line).to_owned()), "{line}: {found}");
    }
    assert!(drifts.contains(&"2026-11-03 openai/gpt-4o requests -1".to_owned()), "{found}");
    assert!(drifts.contains(&"2026-11-04 openai/o9 requests +1".to_owned()), "{found}");
    let tokens = found
        .lines
        .iter()
        .find(|line| line.measure == Measure::Completion && line.model == "openai/gpt-4o")
        .unwrap();
    assert_eq!((tokens.ours, tokens.theirs), (249, 250));
    assert_eq!(tokens.share.unwrap().millionths(), 4_000);
    assert!(found.to_string().contains("-0.40%  DRIFT"), "{found}");

    // Within 0.4 % it passes; beyond, it does not. Nothing is infinitely far from something.
    records = vec![record(0, "openai/gpt-4o", usage(1_500, 256, 249), 0)];
    let text = OPENAI_USAGE.lines().take(3).fold(String::new(), |mut text, line| {
        writeln!(text, "{line}").unwrap();
        text
    });
    for (tolerance, good) in [("0.4", true), ("0.39%", false)] {
        records[0].usage.completion = 249;
        let mut mine = ours(&records);
        mine.add(&record(0, "openai/gpt-4o", usage(0, 0, 0), 1));
        let limits = Limits { tolerance: Percent::parse(tolerance).unwrap(), ..Limits::default() };
        let report = Report::new(&mine, &theirs(&text), &Names::default(), &limits);
        assert_eq!(report.ok(), good, "{tolerance}: {report}");
    }
}

#[test]
fn anthropics_usage_is_read_from_the_table_and_from_the_api() {
    let table = "usage_date_utc,model_version,api_key,workspace,usage_type,context_window,usage_input_tokens_no_cache,usage_input_tokens_cache_write_5m,usage_input_tokens_cache_write_1h,usage_input_tokens_cache_read,usage_output_tokens,web_search_count\n\
        2026-11-02,claude-opus-4-5-20251101,k,Default,standard,≤ 200k,2000,600,400,1000,300,0\n";
    let api = r#"{"data":[{"starting_at":"2026-11-02T00:00:00Z","ending_at":"2026-11-03T00:00:00Z",
        "results":[{"uncached_input_tokens":2000,"cache_creation":{"ephemeral_1h_input_tokens":400,
        "ephemeral_5m_input_tokens":600},"cache_read_input_tokens":1000,"output_tokens":300,
        "server_tool_use":{"web_search_requests":0},"api_key_id":null,"workspace_id":null,
        "model":"claude-opus-4-5-20251101","service_tier":"standard","context_window":"0-200k"}]}],
        "has_more":true,"next_page":"page_x"}"#;
    let mine =
        ours(&[record(0, "anthropic/claude-opus-4.5", usage(4_000, 1_000, 300), 30_000_000)]);
    for (form, text) in [("table", table), ("api", api)] {
        let report = compared(&mine, text);
        assert!(report.ok() && report.lines.len() == 3, "{form}: {report}");
        assert_eq!(report.lines[0].model, "anthropic/claude-opus-4.5", "{form}");
        let more = report.notes.iter().any(|note| note.contains("more pages"));
        assert_eq!(more, form == "api", "{form}: {report}");
    }
}

#[test]
fn costs_are_read_from_tables_and_apis() {
    let openai_table = "start_time,end_time,start_time_iso,end_time_iso,amount_value,amount_currency,quantity,quantity_unit,line_item,project_id\n\
        1793577600,1793664000,x,x,0.0038600000000000000,usd,1,tokens,\"gpt-4o-2024-08-06, input\",\n\
        1793577600,1793664000,x,x,1.75e-3,usd,1,tokens,\"gpt-4o-2024-08-06, output\",\n\
        1793577600,1793664000,x,x,0.03,usd,,,claude-opus-4-5,\n\
        1793664000,1793750400,x,x,,,,,,\n\
        1793664000,1793750400,x,x,0.000075,usd,,,gpt-4o,\n";
    let openai_api = r#"[{"object":"page","data":[{"object":"bucket","start_time":1793577600,
        "end_time":1793664000,"results":[
        {"object":"organization.costs.result","amount":{"value":0.00561,"currency":"usd"},"line_item":"gpt-4o"},
        {"object":"organization.costs.result","amount":{"value":0.03,"currency":"usd"},"line_item":"Claude Opus 4.5"}]}],
        "has_more":true},
        {"data":[{"start_time":1793664000,"results":[
        {"amount":{"value":7.5e-05,"currency":"usd"},"line_item":"gpt-4o"}]}],"has_more":false}]"#;
    let anthropic_api = r#"{"data":[{"starting_at":"2026-11-02T00:00:00Z","results":[
        {"currency":"USD","amount":"0.561","model":"gpt-4o","token_type":"output_tokens"},
        {"currency":"USD","amount":"3","model":"claude-opus-4-5","token_type":null}]},
        {"starting_at":"2026-11-03T00:00:00Z","results":[
        {"currency":"USD","amount":"0.0075","model":"gpt-4o"}]}],"has_more":false}"#;
    let anthropic_table = "usage_date_utc,model,workspace,api_key,usage_type,context_window,token_type,cost_usd,list_price_usd,cost_type\n\
        2026-11-02,gpt-4o,Default,k,message,≤ 200k,output,0.00561,0.01,token\n\
        2026-11-02,Claude Opus 4.5,Default,k,message,≤ 200k,input_no_cache,0.03,0.03,token\n\
        2026-11-03,gpt-4o,Default,k,message,≤ 200k,output,0.000075,0.01,token\n";
    for (form, text) in [
        ("openai table", openai_table),
        ("openai api", openai_api),
        ("anthropic api", anthropic_api),
        ("anthropic table", anthropic_table),
    ] {
        let report = compared(&used(), text);
        assert!(report.ok() && report.notes.is_empty(), "{form}: {report}");
        assert_eq!(report.lines.len(), 3, "{form}: costs only: {report}");
    }
    // Rounded to cents, costs agree within a cent.
    let rounded = anthropic_table.replace("0.00561,", "0.01,").replace("0.000075,", "0.00,");
    assert_eq!(drifts(&compared(&used(), &rounded)).len(), 3);
    let limits = Limits { slack: NanoUsd(10_000_000), ..Limits::default() };
    let within = Report::new(&used(), &theirs(&rounded), &Names::default(), &limits);
    assert!(within.ok(), "{within}");
}

#[test]
fn any_table_with_named_columns_does() {
    let text = "date,model,requests,prompt_tokens,cached_tokens,completion_tokens,cost_usd\n\
        2026-11-02,gpt-4o,2,1500,256,250,0.00561\n\
        2026-11-02 00:00:00,Claude Opus 4.5,1,4000,1000,300,0.03\n\
        2026-11-03T00:00:00Z,gpt-4o,1,10.0,0,5,0.000075\n";
    let all = compared(&used(), text);
    assert!(all.ok() && all.lines.len() == 3 * 5, "{all}");

    let mut columns = Columns::default();
    columns.set("date", "Date").unwrap();
    columns.set("model", "Slug").unwrap();
    columns.set("requests", "Requests").unwrap();
    columns.set("cost_usd", "Usage").unwrap();
    let text =
        "Date,Slug,Usage,Requests\n\"2026-11-02 00:00:00\",\"openai/gpt-4o\",\"0.00561\",\"2\"\n";
    let read = read(text, &columns).unwrap();
    let mine = ours(&[
        record(0, "openai/gpt-4o", usage(1_000, 256, 200), 3_860_000),
        record(0, "openai/gpt-4o", usage(500, 0, 50), 1_750_000),
    ]);
    let named = Report::new(&mine, &read, &Names::default(), &Limits::default());
    assert!(named.ok() && named.lines.len() == 2, "{named}");
    let error = columns.set("tokens", "T").unwrap_err().to_string();
    assert!(error.contains("prompt_tokens"), "{error}");
}

#[test]
fn without_models_days_are_compared() {
    let text = r#"{"data":[{"start_time":1793577600,"results":[
        {"amount":{"value":0.03561,"currency":"usd"},"line_item":null}]}]}"#;
    let report = compared(&used(), text);
    assert!(report.ok(), "{report}");
    assert_eq!(report.lines.len(), 1);
    assert_eq!(report.lines[0].model, "(all models)");
}

#[test]
fn names_that_are_not_known_are_told_and_can_be_said() {
    let text = "date,model,requests\n2026-11-03,ft:custom-7,1\n";
    let mine = ours(&[record(1, "openai/gpt-4o", usage(10, 0, 5), 75_000)]);
    let strange = compared(&mine, text);
    assert!(!strange.ok() && strange.notes[0].contains("ft:custom-7"), "{strange}");
    let compare = |names: &Names| Report::new(&mine, &theirs(text), names, &Limits::default());
    let mut told = Names::default();
    told.tell("ft:custom-7", "openai/gpt-4o");
    assert!(compare(&told).ok());
    let mut configured = Names::default();
    configured.configured("ft:custom-7", "openai/gpt-4o:free");
    configured.configured("ft:custom-7", "openai/gpt-4o");
    assert!(compare(&configured).ok(), "suffixes are ours alone");
    configured.configured("ft:custom-7", "openai/gpt-5");
    assert!(!compare(&configured).ok(), "a name for two models is for none");
}

#[test]
fn each_provider_has_its_own_part_of_an_answer() {
    let part = |name: &str, usage, cost| Leg {
        endpoint: EndpointId::parse(name).unwrap(),
        usage,
        cost: NanoUsd(cost),
    };
    let mut whole = record(0, "openai/gpt-4o", usage(300, 20, 90), 900);
    whole.legs =
        vec![part("other/m", usage(100, 0, 20), 200), part("upstream/m", usage(100, 20, 30), 300)];
    let mut cached = record(0, "openai/gpt-4o", usage(100, 0, 20), 0);
    cached.cache_hit = true;
    let mut elsewhere = record(0, "openai/gpt-4o", usage(100, 0, 20), 200);
    elsewhere.provider = ProviderId::parse("other").ok();
    let mut own = record(0, "openai/gpt-4o", usage(5, 0, 5), 10);
    own.details.upstream_cost = Some(NanoUsd(1_000));
    let mut cheap = record(0, "openai/gpt-4o", usage(5, 0, 5), 99);
    cheap.details.discount = NanoUsd(1);
    cheap.usage.estimated = true;
    let refused = record(0, "openai/gpt-4o", Usage::default(), 0);
    let mut lost = record(0, "openai/gpt-4o", Usage::default(), 5);
    (lost.recovered, lost.provider, lost.model) = (true, None, None);
    let mine = ours(&[whole, cached, elsewhere, own, cheap, refused, lost]);
    let text = "date,model,requests,prompt_tokens,cached_tokens,completion_tokens,cost_usd\n\
        2026-11-02,gpt-4o,3,205,20,75,0.0000008\n";
    let report = compared(&mine, text);
    assert!(report.ok(), "{report}");
    let notes = report.notes.join(" ");
    assert!(notes.contains("tokens of 1 of") && notes.contains("1 generations for $0.000000005"));
}

#[test]
fn what_cannot_be_read_is_refused_with_its_place() {
    let refused = |text: &str| read(text, &Columns::default()).unwrap_err().to_string();
    for (text, part) in [
        ("a,b\n1,2\n", "--column"),
        ("", "--column"),
        ("date,requests\n02/11/2026,1\n", "line 2: date \"02/11/2026\""),
        ("date,requests\n2026-11-02T00:00:00+02:00,1\n", "day in UTC"),
        ("date,requests\n2026-11-02,1.5\n", "requests \"1.5\""),
        ("date,requests\n2026-11-02,-1\n", "requests \"-1\""),
        ("date,cost_usd\n2026-11-02,$5\n", "cost_usd"),
        ("start_time,amount_value,amount_currency\n1793577600,5,eur\n", "only USD"),
        ("{\"data\":5}", "no page"),
        ("{\"data\":[{\"results\":[]}]}", "neither"),
        (r#"{"data":[{"start_time":1,"results":[{"object":"x"}]}]}"#, "none of OpenAI's"),
        (
            r#"{"data":[{"start_time":1,"results":[{"amount":{"value":1,"currency":"eur"}}]}]}"#,
            "only USD",
        ),
    ] {
        let error = refused(text);
        assert!(error.contains(part), "{text:?}: {error}");
    }
}

#[test]
fn decimals_are_exact() {
    for (text, shift, value) in [
        ("0", 9, Some(0)),
        ("1", 9, Some(1_000_000_000)),
        ("-0.5", 9, Some(-500_000_000)),
        ("0.06000000000000000", 9, Some(60_000_000)),
        ("7.5e-05", 9, Some(75_000)),
        ("7.5E3", 0, Some(7_500)),
        ("0.0000000004", 9, Some(0)),
        ("0.0000000005", 9, Some(1)),
        ("0.00000000049999", 9, Some(0)),
        ("-0.0000000005", 9, Some(-1)),
        ("123.78912", 7, Some(1_237_891_200)),
        (".5", 1, Some(5)),
        ("5.", 0, Some(5)),
        ("", 9, None),
        (".", 9, None),
        ("1,000", 9, None),
        ("1e", 9, None),
        ("NaN", 9, None),
        ("1e99", 9, None),
        ("1e-99", 9, Some(0)),
    ] {
        assert_eq!(amounts::decimal(text, shift), value, "{text:?}");
    }
}

#[test]
fn days_are_days_in_utc() {
    let day = Day::of_secs(1_793_577_600);
    assert_eq!(day.to_string(), "2026-11-02");
    for text in [
        "2026-11-02",
        "2026-11-02T23:59:59Z",
        "2026-11-02 12:00:00.5",
        "2026-11-02T00:00:00+00:00",
        "2026-11-02 00:00:00 UTC",
        "1793663999",
    ] {
        assert_eq!(Day::parse(text), Some(day), "{text}");
    }
    for text in ["", "2026-11", "2026-11-31", "2026-11-02T00:00:00-05:00", "11/02/2026", "noon"] {
        assert_eq!(Day::parse(text), None, "{text}");
    }
}
