//! The run: every case with every proxy, round by round.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::args::Args;
use super::cases::{Case, Load, Requests};
use super::check::{self, Expected};
use super::conn::Conn;
use super::gateway::Gateway;
use super::load::{Crowd, Seen};
use super::pin::Cores;
use super::proc::{self, Cpu};
use super::provider::{Provider, QUICK_TOKENS};
use super::report::{Measured, Report};
use super::stats::percentile;
use super::target::{Kind, Site, Target};
use super::{Fault, cases, nginx, note, say, slow};

/// How long the phases are.
#[derive(Clone, Copy)]
struct Times {
    warm: Duration,
    closed: Duration,
    paced: Duration,
    /// Tokens of a slow stream.
    slow_tokens: u32,
}

const FULL: Times = Times {
    warm: Duration::from_millis(800),
    closed: Duration::from_millis(3000),
    paced: Duration::from_millis(2000),
    slow_tokens: 100,
};
const QUICK: Times = Times {
    warm: Duration::from_millis(300),
    closed: Duration::from_millis(1000),
    paced: Duration::from_millis(700),
    slow_tokens: 50,
};

/// How often a trial is tried on a machine that is too busy for it.
const TRIES_MAX: usize = 3;

/// Measures everything that was asked for and prints it; says whether nothing failed.
///
/// # Errors
/// Something could not be started, or does not behave at all.
pub(super) async fn all(args: &Args, cores: &Cores) -> Result<bool, Fault> {
    let dir = tempfile::Builder::new().prefix("turnpike-e2e-").tempdir();
    let mut dir = dir.map_err(|e| format!("no temporary directory: {e}"))?;
    dir.disable_cleanup(args.keep);
    let dir = dir.path();
    let turnpike = Path::new(env!("CARGO_BIN_EXE_turnpike"));
    let times = if args.quick { QUICK } else { FULL };
    let provider = Provider::start(turnpike, dir, times.slow_tokens).await?;
    let mut kinds = args.targets.clone();
    let nginx = nginx::version();
    if nginx.is_none() && kinds.contains(&Kind::Nginx) {
        note("nginx is not installed, so its rows are left out: apt-get install nginx");
        kinds.retain(|&kind| kind != Kind::Nginx);
    }
    let gateway = match kinds.contains(&Kind::Gateway) {
        true => Some(Gateway::prepare(turnpike, dir)?),
        false => None,
    };
    let site = Site { dir, cores, provider: provider.at, gateway: gateway.as_ref() };
    let mut expected = Vec::new();
    for case in &args.cases {
        expected.push(learn(case, &site).await?);
    }
    let mut report = Report::new(args, nginx);
    let start = Instant::now();
    for round in 0..args.rounds {
        for (case, expected) in args.cases.iter().zip(&expected) {
            // Who goes first changes, so that the order favours nobody.
            kinds.rotate_left(usize::from(round > 0 && case.name == first_name(args)));
            for &kind in kinds.iter().filter(|kind| kind.takes_part(case)) {
                let (n, of) = (round + 1, args.rounds);
                note(format_args!("round {n}/{of}  {:16} {}", case.name, kind.name()));
                let measured = steadily(kind, case, expected, &site, &times)
                    .await
                    .map_err(|e| format!("{} with {}: {e}", case.name, kind.name()))?;
                report.add(case, kind, measured);
            }
        }
    }
    if let Some(gateway) = &gateway {
        report.ledger = Some(gateway.verify()?);
    }
    report.took = start.elapsed();
    say(report.text());
    report.write()?;
    if args.keep {
        note(format_args!("kept: {}", dir.display()));
    }
    Ok(report.failures() == 0)
}

fn first_name(args: &Args) -> &'static str {
    args.cases.first().map_or("", |case| case.name)
}

/// Asks the provider itself what the right answer is.
async fn learn(case: &Case, site: &Site<'_>) -> Result<Expected, Fault> {
    let direct = Target::start(Kind::Direct, case, site).await?;
    let nothing = Expected { form: case.form(), text: Vec::new() };
    let ask = direct.ask(case, &nothing, site);
    let mut conn = Conn::open(ask.to).await?;
    check::learn(&mut conn, &ask.request, case.form()).await
}

/// A trial, anew if the machine was too busy for it.
async fn steadily(
    kind: Kind,
    case: &Case,
    expected: &Expected,
    site: &Site<'_>,
    times: &Times,
) -> Result<Measured, Fault> {
    for _ in 0..TRIES_MAX {
        if let Some(measured) = once(kind, case, expected, site, times).await? {
            return Ok(measured);
        }
        note("                the machine was too busy for steady streams; once more");
    }
    Err("the machine is too busy for steady streams".to_owned())
}

/// One case, once, with a proxy that was started for it; nothing if nothing was steady.
async fn once(
    kind: Kind,
    case: &Case,
    expected: &Expected,
    site: &Site<'_>,
    times: &Times,
) -> Result<Option<Measured>, Fault> {
    let target = Target::start(kind, case, site).await?;
    let ask = Arc::new(target.ask(case, expected, site));
    let measured = match case.load {
        Load::Requests(requests) => {
            let mut crowd = Crowd::open(ask, requests.connections).await?;
            Some(throughput(&mut crowd, &target, requests, times).await?)
        }
        Load::Streams { .. } => {
            warm(&target, site, times).await?;
            slow::run(ask, times.slow_tokens, &target.pids).await?.map(streams)
        }
    };
    target.end().await?;
    Ok(measured)
}

/// Warms a proxy with short requests, so that what it needs once is not counted per stream.
async fn warm(target: &Target, site: &Site<'_>, times: &Times) -> Result<(), Fault> {
    let case = cases::find("json-1k")?;
    let expected = learn(case, site).await?;
    let ask = Arc::new(target.ask(case, &expected, site));
    let seen = Crowd::open(ask, 32).await?.closed(times.warm).await?;
    if let Some(fault) = seen.fault {
        return Err(format!("the warm-up failed: {fault}"));
    }
    sleep(Duration::from_millis(200)).await;
    Ok(())
}

/// The cost under full load, then the latency under a light one.
async fn throughput(
    crowd: &mut Crowd,
    target: &Target,
    requests: Requests,
    times: &Times,
) -> Result<Measured, Fault> {
    let mut seen = crowd.closed(times.warm).await?;
    let before = Cpu::of(&target.pids)?;
    let full = crowd.closed(times.closed).await?;
    let cpu = Cpu::of(&target.pids)?.since(&before);
    let rss = proc::rss_bytes(&target.pids)?;
    let mut light = crowd.paced(times.paced, requests.rate).await?;

    let answered = f64::from(u32::try_from(full.answered).unwrap_or(u32::MAX).max(1));
    let chunks = if requests.stream { f64::from(QUICK_TOKENS) } else { 1.0 };
    let timed = if requests.stream { &mut light.first_us } else { &mut light.whole_us };
    let measured = Measured {
        cpu_us: cpu.as_secs_f64() * 1e6 / answered,
        per_second: answered / full.took.as_secs_f64(),
        chunks,
        p50_us: percentile(timed, 50).unwrap_or(f64::NAN),
        p99_us: percentile(timed, 99).unwrap_or(f64::NAN),
        rss_bytes: rss,
        rss_per_stream: None,
        answered: 0,
        failures: 0,
        fault: None,
    };
    seen.add(full);
    seen.add(light);
    Ok(counted(measured, seen))
}

fn streams(mut steady: slow::Steady) -> Measured {
    let measured = Measured {
        cpu_us: steady.cpu_us_per_chunk,
        per_second: steady.chunks_per_second,
        chunks: 1.0,
        p50_us: percentile(&mut steady.off_us, 50).unwrap_or(f64::NAN),
        p99_us: percentile(&mut steady.off_us, 99).unwrap_or(f64::NAN),
        rss_bytes: steady.rss_bytes,
        rss_per_stream: Some(steady.rss_per_stream),
        answered: 0,
        failures: 0,
        fault: None,
    };
    counted(measured, steady.seen)
}

fn counted(measured: Measured, seen: Seen) -> Measured {
    Measured { answered: seen.answered, failures: seen.failures, fault: seen.fault, ..measured }
}
