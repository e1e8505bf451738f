//! Sealing, keeping, deleting and showing.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use bytes::Bytes;

use super::seal::NotOurs;
use super::*;
use crate::dialect::scan::Form;

const DAY_MS: u64 = 86_400_000;
const TODAY: u64 = 20_700;
const SECRET: &str = "the-quick-brown-fox";

fn key(digit: char) -> MasterKey {
    MasterKey::parse(&digit.to_string().repeat(64)).unwrap()
}

fn owner(account: &str, n: u128) -> Owner {
    let account = AccountId::parse(account).unwrap();
    Owner { account, generation: GenerationId::from_bits(n) }
}

fn kept() -> Kept {
    let request = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{SECRET}"}}]}}"#);
    let answer = r#"{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"jumps","reasoning":"over"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}"#;
    Kept {
        form: Form::Chat,
        stream: false,
        status: 200,
        request: request.into(),
        answer: Bytes::from_static(answer.as_bytes()),
    }
}

const LIMITS: Limits =
    Limits { bytes_max: 1 << 20, generation_bytes_max: 4_096, queue_bytes_max: 1 << 20 };

fn job(owner: Owner, days: u64) -> Job {
    Job { owner, last_day: TODAY + days, salt: [7; 32], kept: kept() }
}

fn keeper(root: &Path, limits: Limits) -> Keeper {
    Keeper::start(Folder::new(root.to_owned()), key('a'), limits, || TODAY * DAY_MS).unwrap()
}

/// Every file below a folder.
fn files(root: &Path) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(root).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path));
        } else {
            all.push(fs::read(path).unwrap());
        }
    }
    all
}

#[test]
fn only_the_owner_s_file_under_the_same_key_opens() {
    let (mine, text) = (owner("acme", 1), b"hello".as_slice());
    let file = key('a').seal(&mine, &[1; 32], text).unwrap();
    assert_eq!(key('a').open(&mine, &file).unwrap(), text);
    assert_ne!(file, key('a').seal(&mine, &[2; 32], text).unwrap(), "the salt makes the key");
    for (key, owner) in
        [(key('b'), mine.clone()), (key('a'), owner("acme", 2)), (key('a'), owner("acm", 1))]
    {
        assert_eq!(key.open(&owner, &file), Err(NotOurs));
    }
    for at in 0..file.len() {
        let mut damaged = file.clone();
        damaged[at] ^= 1;
        assert_eq!(key('a').open(&mine, &damaged), Err(NotOurs), "byte {at}");
        assert_eq!(key('a').open(&mine, &file[..at]), Err(NotOurs), "cut at {at}");
    }
    for bad in ["", "ab", &"g".repeat(64), &"a".repeat(63), &"é".repeat(32)] {
        assert!(MasterKey::parse(bad).is_none(), "{bad}");
    }
}

#[test]
fn what_is_kept_is_found_by_its_owner_and_nowhere_in_clear() {
    let dir = tempfile::tempdir().unwrap();
    let keeper = keeper(dir.path(), LIMITS);
    let mine = owner("a/../b", 1);
    keeper.keep(job(mine.clone(), 3));
    keeper.close();
    let now = TODAY * DAY_MS;
    assert_eq!(keeper.find(&mine, now).unwrap(), Some(kept()));
    assert_eq!(keeper.find(&owner("acme", 1), now).unwrap(), None);
    assert_eq!(keeper.find(&mine, now + 3 * DAY_MS).unwrap(), Some(kept()), "the last day");
    assert_eq!(keeper.find(&mine, now + 4 * DAY_MS).unwrap(), None, "its time is over");
    let files = files(dir.path());
    assert_eq!(files.len(), 1);
    let clear = |text: &str| files[0].windows(text.len()).any(|part| part == text.as_bytes());
    assert!(!clear(SECRET) && !clear("jumps") && !clear("messages"));
    let stats = keeper.stats();
    assert_eq!((stats.written, stats.dropped, stats.failed), (1, 0, 0));
    assert_eq!(stats.bytes, files[0].len() as u64);
}

#[test]
fn deleted_is_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let keeper = keeper(dir.path(), LIMITS);
    for n in 1..=3 {
        keeper.keep(job(owner("acme", n), u64::try_from(n).unwrap()));
    }
    keeper.keep(job(owner("other", 9), 1));
    keeper.close();
    let whole = files(dir.path()).len();
    assert_eq!(whole, 4);
    // Another name for the same blocks shows what became of them.
    let day = fs::read_dir(dir.path()).unwrap().map(|d| d.unwrap().path()).min().unwrap();
    let link = dir.path().join("still");
    let one = owner("acme", 1);
    let folder = blake3::hash(b"acme").to_hex()[..32].to_owned();
    fs::hard_link(day.join(folder).join(one.generation.to_string()), &link).unwrap();
    assert!(keeper.delete(&one).unwrap());
    assert!(fs::read(&link).unwrap().iter().all(|byte| *byte == 0), "overwritten");
    fs::remove_file(link).unwrap();
    assert!(!keeper.delete(&one).unwrap(), "once");
    assert_eq!(keeper.find(&one, TODAY * DAY_MS).unwrap(), None);
    assert_eq!(keeper.delete_account(&one.account).unwrap(), 2);
    let left = files(dir.path());
    assert_eq!(left.len(), 1, "another account's stays");
    assert_eq!(keeper.stats().bytes, left[0].len() as u64);
}

#[test]
fn days_that_are_over_are_removed_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let first = keeper(dir.path(), LIMITS);
    first.keep(job(owner("acme", 1), 0));
    first.keep(job(owner("acme", 2), 1));
    first.close();
    let root = Folder::new(dir.path().to_owned());
    let next = Keeper::start(root, key('a'), LIMITS, || (TODAY + 1) * DAY_MS).unwrap();
    next.close();
    assert_eq!(files(dir.path()).len(), 1);
    assert!(next.find(&owner("acme", 2), (TODAY + 1) * DAY_MS).unwrap().is_some());
    assert_eq!(next.stats().bytes, files(dir.path())[0].len() as u64, "counted anew");
}

#[test]
fn what_does_not_fit_is_dropped_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let small = Limits { generation_bytes_max: 10, ..LIMITS };
    let large = keeper(&dir.path().join("large"), small);
    large.keep(job(owner("acme", 1), 1));
    large.close();
    assert_eq!((large.stats().written, large.stats().dropped), (0, 1), "too large");
    large.keep(job(owner("acme", 1), 1));
    assert_eq!(large.stats().dropped, 2, "closed");
    let full = keeper(&dir.path().join("full"), Limits { bytes_max: 10, ..LIMITS });
    full.keep(job(owner("acme", 1), 1));
    full.close();
    assert_eq!((full.stats().written, full.stats().dropped), (0, 1), "no room on the disk");
    // The thread asks for the time before it takes a job: until it is told, all wait.
    let gate = Arc::new((Mutex::new(false), Condvar::new()));
    let (held, asked) = (Arc::clone(&gate), AtomicU64::new(0));
    let clock = move || {
        if asked.fetch_add(1, Ordering::Relaxed) == 0 {
            let open = held.0.lock().unwrap();
            let _opened = held.1.wait_while(open, |open| !*open).unwrap();
        }
        TODAY * DAY_MS
    };
    let limits = Limits { queue_bytes_max: 2 * kept().len() as u64, ..LIMITS };
    let root = Folder::new(dir.path().join("queue"));
    let waiting = Keeper::start(root, key('a'), limits, clock).unwrap();
    for n in 1..=5 {
        waiting.keep(job(owner("acme", n), 1));
    }
    assert_eq!(waiting.stats().dropped, 3, "two fit into the queue");
    *gate.0.lock().unwrap() = true;
    gate.1.notify_all();
    waiting.close();
    assert_eq!(waiting.stats().written, 2);
}

fn shown(kept: &Kept) -> serde_json::Value {
    serde_json::from_str(show(kept).unwrap().get()).unwrap()
}

#[test]
fn content_is_shown_as_openrouter_does() {
    let whole = shown(&kept());
    assert_eq!(whole["input"]["messages"][0]["content"], SECRET);
    assert_eq!(whole["output"]["completion"], "jumps");
    assert_eq!(whole["output"]["reasoning"], "over");
    let chunk = |delta: &str| {
        format!("data: {{\"id\":\"c\",\"choices\":[{{\"index\":0,\"delta\":{delta}}}]}}\n\n")
    };
    let cut = chunk(r#"{"reasoning":"hm"}"#) + &chunk(r#"{"content":"Hal"}"#) + "data: {\"id";
    let stream = Kept { stream: true, answer: cut.into(), ..kept() };
    assert_eq!(shown(&stream)["output"]["completion"], "Hal", "as far as it went");
    assert_eq!(shown(&stream)["output"]["reasoning"], "hm");
    let failed = Kept {
        status: 502,
        answer: Bytes::from_static(br#"{"error":{"code":502,"message":"x"}}"#),
        ..kept()
    };
    let failed = shown(&failed);
    assert_eq!(
        (&failed["error"]["status"], &failed["output"]["completion"]),
        (&502.into(), &().into())
    );
    let vectors = Kept {
        form: Form::Embeddings,
        request: Bytes::from_static(br#"{"model":"m","input":["a","b"]}"#),
        answer: Bytes::from_static(br#"{"data":[{"embedding":[1,2]}]}"#),
        ..kept()
    };
    let vectors = shown(&vectors);
    assert_eq!(vectors["input"]["prompt"][1], "b");
    assert_eq!(vectors["output"]["raw"]["data"][0]["embedding"][1], 2);
    assert!(show(&Kept { request: Bytes::from_static(b"{"), ..kept() }).is_err());
}

#[test]
fn messages_and_responses_are_shown_too() {
    let messages = Kept {
        form: Form::Messages,
        request: Bytes::from_static(
            br#"{"model":"m","max_tokens":9,"system":"Be kind.","messages":[{"role":"user","content":"Hi"}]}"#,
        ),
        answer: Bytes::from_static(
            br#"{"id":"a","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"Hello"}],"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":1}}"#,
        ),
        ..kept()
    };
    let messages = shown(&messages);
    assert_eq!(messages["input"]["system"], "Be kind.");
    assert_eq!(messages["output"]["completion"], "Hello");
    let request = Bytes::from_static(br#"{"model":"m","input":"Hi"}"#);
    let responses = Kept { form: Form::Responses, request, answer: Bytes::new(), ..kept() };
    assert_eq!(shown(&responses)["input"]["prompt"], "Hi");
}
