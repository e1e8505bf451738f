//! Files that were damaged: a torn tail, a changed bit, a lost index.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use turnpike::dialect::Dialect;

use super::{Dice, books, export, sound, stop, verified};
use crate::support::gateway::MODEL;
use crate::support::{Gateway, Setup, ask, providers};

fn last_segment(gateway: &Gateway) -> PathBuf {
    let files = std::fs::read_dir(gateway.data().join("journal")).expect("the journal");
    let files =
        files.map(|f| f.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e == "seg"));
    files.max().expect("a segment")
}

/// Asks once and gives the generation's id.
fn answered(gateway: &Gateway) -> String {
    let answer = gateway.client().chat(&ask(MODEL, "Say something", true, 8));
    assert!(answer.is_good(), "{}", answer.text());
    answer.header("x-generation-id").expect("an id").to_owned()
}

#[test]
fn a_torn_tail_is_cut_off() {
    let running = providers(&[("one", Dialect::OpenAi)]);
    let mut gateway = Gateway::start(&running, &Setup::default());
    let mut ids = vec![answered(&gateway)];
    let mut dice = Dice::new();
    for round in 0..4 {
        gateway.kill();
        let path = last_segment(&gateway);
        let sound_len = cut_space(&path);
        let garbage: Vec<u8> = match round {
            0 => vec![0xa5; 100],
            1 => vec![0xff; 5_000],
            // The beginning of a frame, as a write that was cut leaves it.
            2 => vec![0x40, 0, 0, 0, 1, 2, 3, 4, 0, 0, 1],
            _ => (0..777).map(|_| dice.roll(256).to_le_bytes()[0]).collect(),
        };
        let mut file = std::fs::File::options().append(true).open(&path).unwrap();
        file.write_all(&garbage).unwrap();
        drop(file);
        let report = sound(&gateway, &format!("garbage {round}"));
        assert_eq!(
            verified(&report, "torn tail"),
            format!("{} bytes", garbage.len()),
            "garbage {round} after {sound_len} bytes: {report}"
        );
        gateway.restart();
        ids.push(answered(&gateway));
    }
    stop(&mut gateway);
    let report = sound(&gateway, "at the end");
    assert_eq!(verified(&report, "torn tail"), "0 bytes", "{report}");
    let books = books(&export(&gateway));
    for id in &ids {
        assert!(books.charged.contains_key(id), "{id}: {books:?}");
    }
}

/// Cuts the unwritten space off that a killed process leaves behind its last entry; gives where the
/// entries end.
fn cut_space(segment: &Path) -> u64 {
    let bytes = std::fs::read(segment).unwrap();
    let mut end = 56;
    // A frame is a length, six other bytes, and so much payload.
    while let Some(len) = bytes.get(end..).and_then(<[u8]>::first_chunk::<4>)
        && *len != [0; 4]
    {
        end += 10 + usize::try_from(u32::from_le_bytes(*len)).unwrap();
    }
    assert!(bytes[end..].iter().all(|byte| *byte == 0), "zeros to the end");
    let end = u64::try_from(end).unwrap();
    std::fs::File::options().write(true).open(segment).unwrap().set_len(end).unwrap();
    end
}

#[test]
fn a_lost_index_is_built_anew() {
    let running = providers(&[("one", Dialect::OpenAi)]);
    let mut gateway = Gateway::start(&running, &Setup::default());
    let ids: Vec<String> = (0..20).map(|_| answered(&gateway)).collect();
    for (killed, damage) in [(true, "gone"), (false, "gone"), (true, "damaged")] {
        if killed {
            gateway.kill();
        } else {
            stop(&mut gateway);
        }
        let index = gateway.data().join("index");
        if damage == "gone" {
            std::fs::remove_dir_all(&index).expect("an index");
        } else {
            overwrite(&index);
        }
        gateway.restart();
        let mut client = gateway.client();
        for id in &ids {
            let found = client.get(&format!("/api/v1/generation?id={id}"));
            assert_eq!(found.status, 200, "{damage} {id}: {}", found.text());
        }
        let _id = answered(&gateway);
    }
    stop(&mut gateway);
    let report = sound(&gateway, "at the end");
    assert!(verified(&report, "index").starts_with("at entry"), "{report}");
    assert_eq!(books(&export(&gateway)).charged.len(), ids.len() + 3);
}

/// Writes nonsense over every file below.
fn overwrite(dir: &Path) {
    for file in std::fs::read_dir(dir).unwrap() {
        let path = file.unwrap().path();
        if path.is_dir() {
            overwrite(&path);
        } else {
            let len = std::fs::metadata(&path).unwrap().len();
            std::fs::write(&path, vec![0x5a; usize::try_from(len).unwrap()]).unwrap();
        }
    }
}

/// Where the frames of a segment begin, and where the last one ends.
fn frames(bytes: &[u8]) -> Vec<usize> {
    let mut starts = vec![56];
    while let Some(len) = bytes.get(starts[starts.len() - 1]..).and_then(<[u8]>::first_chunk::<4>)
        && *len != [0; 4]
    {
        let last = starts[starts.len() - 1];
        starts.push(last + 10 + usize::try_from(u32::from_le_bytes(*len)).unwrap());
    }
    starts
}

/// Starts the process, which must not come up; gives what it said.
fn refused(gateway: &Gateway) -> String {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_turnpike"))
        .args(["serve", "-c", "turnpike.toml"])
        .current_dir(gateway.dir.path())
        .env("SIM_KEY", "k")
        .env("ADMIN_TOKEN", "admin-token-of-the-test")
        .output()
        .expect("the gateway runs");
    assert!(!output.status.success(), "it came up");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn what_was_durable_and_is_damaged_is_refused_and_left_alone() {
    let running = providers(&[("one", Dialect::OpenAi)]);
    let mut gateway = Gateway::start(&running, &Setup::default());
    let mut ids: Vec<String> = (0..8).map(|_| answered(&gateway)).collect();
    stop(&mut gateway);
    let path = last_segment(&gateway);
    let whole = std::fs::read(&path).unwrap();
    let frames = frames(&whole);
    // In the middle, where later entries show it; and in the very last entry, which the index of a
    // gateway that was stopped properly has.
    for hit in [frames.len() / 2, frames.len() - 2] {
        let mut bytes = whole.clone();
        bytes[frames[hit] + 30] ^= 4;
        std::fs::write(&path, &bytes).unwrap();
        let report = gateway.verify().expect_err("verify finds it");
        assert!(report.contains("NOT SOUND"), "entry {hit}: {report}");
        let said = refused(&gateway);
        assert!(said.contains("journal"), "entry {hit}: {said}");
        assert!(std::fs::read(&path).unwrap() == bytes, "entry {hit}: left as it is");
    }
    std::fs::write(&path, &whole).unwrap();
    gateway.restart();
    ids.push(answered(&gateway));
    stop(&mut gateway);
    sound(&gateway, "put right again");
    let books = books(&export(&gateway));
    assert!(ids.iter().all(|id| books.charged.contains_key(id)), "{books:?}");
}
