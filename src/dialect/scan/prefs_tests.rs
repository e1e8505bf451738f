//! Every field of `provider`: what is read, and what is refused.

use super::*;
use crate::vocab::PicoUsd;

fn read(provider: &str) -> Result<Prefs, GatewayError> {
    let body = format!(r#"{{"model":"a/b","messages":[{{}}],"provider":{provider}}}"#);
    scan(body.as_bytes()).map(|head| head.provider.expect("preferences"))
}

#[test]
fn every_field_is_read() {
    let of = Prefs::default;
    let cut = |cutoffs: [Option<u64>; 4]| Cutoffs(cutoffs);
    for (provider, want) in [
        ("{}", of()),
        (r#"{"data_collection":"deny"}"#, Prefs { deny_collection: true, ..of() }),
        (r#"{"data_collection":"allow"}"#, of()),
        (r#"{"data_collection":null,"zdr":null,"sort":null,"max_price":null}"#, of()),
        (r#"{"zdr":true}"#, Prefs { zdr: true, ..of() }),
        (r#"{"enforce_distillable_text":true}"#, Prefs { distillable: true, ..of() }),
        (r#"{"allow_continuation":false}"#, Prefs { allow_continuation: Some(false), ..of() }),
        (r#"{"require_parameters":true}"#, Prefs { require_parameters: true, ..of() }),
        (r#"{"quantizations":["fp8"]}"#, Prefs { quantizations: vec!["fp8".into()], ..of() }),
        (r#"{"sort":"price"}"#, Prefs { sort: Some(Sort::Price), ..of() }),
        (r#"{"sort":{"by":"latency"}}"#, Prefs { sort: Some(Sort::Latency), ..of() }),
        (
            r#"{"sort":{"by":"throughput","partition":"none"}}"#,
            Prefs { sort: Some(Sort::Throughput), together: true, ..of() },
        ),
        (
            r#"{"sort":{"partition":"model","by":"exacto"}}"#,
            Prefs { sort: Some(Sort::Exacto), ..of() },
        ),
        (
            r#"{"preferred_min_throughput":50.5}"#,
            Prefs { min_throughput: cut([Some(50_500), None, None, None]), ..of() },
        ),
        (
            r#"{"preferred_max_latency":{"p90":1.5,"p99":null,"p50":2}}"#,
            Prefs { max_latency: cut([Some(2_000_000), None, Some(1_500_000), None]), ..of() },
        ),
        (
            r#"{"max_price":{"prompt":1,"completion":"2.5","request":0.01,"image":0,"audio":3}}"#,
            Prefs {
                max_price: MaxPrice {
                    prompt: Some(PicoUsd(1_000_000)),
                    completion: Some(PicoUsd(2_500_000)),
                    request: Some(PicoUsd(10_000_000_000)),
                    image: Some(PicoUsd(0)),
                    audio: Some(PicoUsd(3_000_000)),
                },
                ..of()
            },
        ),
        (r#"{"options":{}}"#, of()),
        (r#"{"options":null}"#, of()),
        (
            r#"{"options":{"a":{"x": [1]},"b":null,"c":{}}}"#,
            Prefs {
                options: vec![
                    ("a".to_owned(), r#"{"x": [1]}"#.to_owned()),
                    ("c".to_owned(), "{}".to_owned()),
                ],
                ..of()
            },
        ),
    ] {
        assert_eq!(read(provider), Ok(want), "{provider}");
    }
}

#[test]
fn what_is_wrong_names_its_field() {
    for (provider, param) in [
        (r#"{"data_collection":"no"}"#, "provider.data_collection"),
        (r#"{"zdr":1}"#, "provider.zdr"),
        (r#"{"quantizations":["fp9"]}"#, "provider.quantizations"),
        (r#"{"quantizations":"fp8"}"#, "provider.quantizations"),
        (r#"{"sort":"cost"}"#, "provider.sort"),
        (r#"{"sort":3}"#, "provider.sort"),
        (r#"{"sort":{"by":"cost"}}"#, "provider.sort.by"),
        (r#"{"sort":{"partition":"all"}}"#, "provider.sort.partition"),
        (r#"{"sort":{"order":"price"}}"#, "provider.sort"),
        (r#"{"sort":{"by":"price","by":"price"}}"#, "provider.sort.by"),
        (r#"{"preferred_min_throughput":"fast"}"#, "provider.preferred_min_throughput"),
        (r#"{"preferred_min_throughput":-1}"#, "provider.preferred_min_throughput"),
        (r#"{"preferred_max_latency":{"p60":1}}"#, "provider.preferred_max_latency"),
        (r#"{"preferred_max_latency":{"p50":[]}}"#, "provider.preferred_max_latency.p50"),
        (r#"{"max_price":1}"#, "provider.max_price"),
        (r#"{"max_price":{"prompt":true}}"#, "provider.max_price.prompt"),
        (r#"{"max_price":{"total":1}}"#, "provider.max_price"),
        (r#"{"options":{"openai":[1]}}"#, "provider.options.openai"),
        (r#"{"options":{"a":{},"a":{}}}"#, "provider.options.a"),
        (r#"{"options":1}"#, "provider.options"),
        (r#"{"allow_continuation":"yes"}"#, "provider.allow_continuation"),
        (r#"{"zdr":true,"zdr":true}"#, "provider.zdr"),
        (r#"{"whatever":true}"#, "provider"),
    ] {
        let error = read(provider).expect_err(provider);
        assert_eq!(error.kind, Kind::InvalidRequest, "{provider}");
        assert_eq!(error.param.as_deref(), Some(param), "{provider}: {}", error.message);
    }
}

#[test]
fn preferences_survive_a_record() {
    let prefs = read(
        r#"{"order":["a"],"sort":{"by":"price","partition":"none"},"max_price":{"prompt":1},
            "preferred_max_latency":{"p99":3},"zdr":true}"#,
    )
    .expect("preferences");
    let text = serde_json::to_string(&prefs).expect("JSON");
    assert_eq!(serde_json::from_str::<Prefs>(&text).expect("the same"), prefs);
}
