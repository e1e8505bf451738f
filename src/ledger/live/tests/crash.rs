//! What a crash, a torn write, a lost index or a forger leaves, and what becomes of it.

use super::*;
use crate::ledger::entry::{Entry, Event, Frame};
use crate::ledger::store::journal::HEADER;
use crate::ledger::store::replay::replay;
use crate::ledger::store::segments::Segments;

pub(super) fn segments(dir: &Path) -> Segments {
    Segments::new(dir.join("journal"), dir.join("archive"))
}

fn segment(dir: &Path) -> std::path::PathBuf {
    dir.join("journal/00000000000000000001.seg")
}

/// What a crash would leave: the files as they are, without anything being closed. In order of
/// name: so what is copied of the journal is a whole beginning of it.
pub(super) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    let mut names: Vec<_> = fs::read_dir(from).unwrap().map(|f| f.unwrap().file_name()).collect();
    names.sort();
    for name in names {
        let (from, to) = (from.join(&name), to.join(&name));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            // sled may have renamed or removed a file in between.
            fs::copy(from, to).ok();
        }
    }
}

#[test]
fn after_a_crash_open_holds_end_by_their_progress() {
    let dir = tempfile::tempdir().unwrap();
    let crashed = tempfile::tempdir().unwrap();
    let (ledger, key) = with_credit(dir.path(), options(), 1_000);
    let [silent, begun, done, free] = [1, 2, 3, 4].map(|n| {
        let hold = ledger.hold(&key, ask(n, 100, 1)).unwrap();
        block_on(hold.durable()).unwrap();
        hold
    });
    begun.progress(NanoUsd(10)).unwrap();
    for cost in [20, 30, 33] {
        done.progress(NanoUsd(cost)).unwrap();
    }
    free.progress(NanoUsd(0)).unwrap();
    copy(dir.path(), crashed.path());
    let (after, recovery) = Ledger::open(crashed.path(), options()).unwrap();
    assert_eq!((recovery.settled, recovery.voided), (3, 1));
    assert_eq!(after.account(&acme()).unwrap().balance, NanoUsd(1_000 - 10 - 33));
    assert_eq!(after.account(&acme()).unwrap().held, NanoUsd(0));
    let record = after.generation(id(3)).unwrap().unwrap();
    assert!(record.recovered && record.cost == NanoUsd(33), "{record:?}");
    drop(after);
    assert_sound(crashed.path());
    let (_, again) = Ledger::open(crashed.path(), options()).unwrap();
    assert_eq!((again.settled, again.voided), (0, 0), "once");

    // In the process that lives on, dropping them follows the same rule.
    drop((silent, begun, done, free));
    assert_eq!(ledger.account(&acme()).unwrap().balance, NanoUsd(1_000 - 10 - 33));
    drop(ledger);
    let report = assert_sound(dir.path());
    assert_eq!((report.generations_charged, report.generations_free), (3, 1));
}

#[test]
fn a_torn_tail_is_cut_wherever_it_was_torn() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, key) = with_credit(dir.path(), options(), 1_000);
    let keep = written(&fs::read(segment(dir.path())).unwrap()).len();
    let before = u64::try_from(keep).unwrap();
    let hold = ledger.hold(&key, ask(1, 100, 1)).unwrap();
    block_on(hold.durable()).unwrap();
    let whole = fs::read(segment(dir.path())).unwrap();
    let bytes = written(&whole);
    assert!(bytes.len() > keep && whole.len() > bytes.len(), "there is space ahead");
    torn_within_space(&bytes[..keep + 30], &whole, keep);
    for cut in keep..bytes.len() {
        let copy_dir = tempfile::tempdir().unwrap();
        fs::create_dir(copy_dir.path().join("journal")).unwrap();
        fs::copy(dir.path().join("secret"), copy_dir.path().join("secret")).unwrap();
        fs::write(segment(copy_dir.path()), &bytes[..cut]).unwrap();
        let found = replay(&segments(copy_dir.path()), 0, &mut |_| Ok(())).unwrap();
        assert_eq!((found.torn_bytes, found.len), ((cut - keep) as u64, before), "cut at {cut}");
        // Opening costs some milliseconds of sled: a few cuts show that it cuts as it should.
        if cut % 16 == 0 || cut + 1 == bytes.len() {
            let (ledger, recovery) = Ledger::open(copy_dir.path(), options()).unwrap();
            assert_eq!(recovery.truncated_tail_bytes, (cut - keep) as u64, "cut at {cut}");
            assert_eq!(ledger.account(&acme()).unwrap().balance, NanoUsd(1_000));
            drop(ledger);
            assert_sound(copy_dir.path());
        }
    }
    // The same damage with a later commit behind it is no torn tail.
    hold.settle(charge(&key, 1, 1));
    ledger.close().unwrap();
    let mut bytes = fs::read(segment(dir.path())).unwrap();
    bytes[keep + 20] ^= 1;
    fs::write(segment(dir.path()), &bytes).unwrap();
    fs::remove_dir_all(dir.path().join("index")).unwrap();
    match Ledger::open(dir.path(), options()) {
        Err(OpenError::Corrupt(what)) => assert!(what.contains("is sound"), "{what}"),
        other => panic!("{other:?}"),
    }
    assert!(!verify(dir.path()).unwrap().ok());
    assert_eq!(fs::read(segment(dir.path())).unwrap(), bytes, "left untouched");
}

/// A segment without the unwritten space at its end.
fn written(segment: &[u8]) -> &[u8] {
    let mut end = HEADER;
    while let Ok(frame) = Frame::parse(&segment[end..]) {
        end += frame.len;
    }
    assert!(segment[end..].iter().all(|byte| *byte == 0), "zeros to the end");
    &segment[..end]
}

/// A torn group is found as such also where zeros follow it, and zeros alone are no tail.
fn torn_within_space(torn: &[u8], whole: &[u8], keep: usize) {
    let dir = tempfile::tempdir().unwrap();
    // Zeros that it ends with cannot be told from space.
    let torn = &torn[..=torn.iter().rposition(|byte| *byte != 0).unwrap()];
    for sound_and_torn in [torn, &torn[..keep]] {
        let mut bytes = sound_and_torn.to_vec();
        bytes.resize(whole.len(), 0);
        fs::write(dir.path().join("00000000000000000001.seg"), &bytes).unwrap();
        let found = replay(
            &Segments::new(dir.path().to_owned(), dir.path().join("archive")),
            0,
            &mut |_| Ok(()),
        )
        .unwrap();
        let expected = ((sound_and_torn.len() - keep) as u64, keep as u64);
        assert_eq!((found.torn_bytes, found.len), expected);
    }
}

#[test]
fn verify_finds_what_was_changed_by_hand() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, key) = with_credit(dir.path(), options(), 1_000);
    work(&ledger, &key, 0, 8);
    drop(ledger);
    assert_sound(dir.path());
    // The top-up is made a thousand nano-dollars larger, and its checksum is put right.
    let mut bytes = fs::read(segment(dir.path())).unwrap();
    let mut at = HEADER;
    let (entry, prev, back, len) = loop {
        let frame = Frame::parse(&bytes[at..]).unwrap();
        let (entry, prev) = Entry::read(frame.payload).unwrap();
        if entry.event.name() == "topped_up" {
            break (entry, prev, frame.back, frame.len);
        }
        at += frame.len;
    };
    let mut forged = entry;
    if let Event::ToppedUp { amount, .. } = &mut forged.event {
        amount.0 += 1_000;
    }
    let mut frame = Vec::new();
    forged.write(&prev, back, &mut frame);
    assert_eq!(frame.len(), len);
    bytes.splice(at..at + len, frame);
    fs::write(segment(dir.path()), &bytes).unwrap();
    let report = verify(dir.path()).unwrap();
    assert!(report.to_string().contains("chain of hashes"), "{report}");
    assert!(report.to_string().ends_with("NOT SOUND"), "{report}");
    assert!(matches!(export(dir.path(), &mut Vec::new()), Err(OpenError::Corrupt(_))));
}

#[test]
fn copies_taken_at_any_moment_recover() {
    let dir = tempfile::tempdir().unwrap();
    let small =
        Options { segment_bytes: 8 << 10, checkpoint_every: Duration::from_millis(3), ..options() };
    let (ledger, key) = with_credit(dir.path(), small.clone(), 1_000_000);
    thread::scope(|scope| {
        let worker = scope.spawn(|| work(&ledger, &key, 0, 600));
        let mut copies = 0;
        while !worker.is_finished() || copies < 2 {
            let crashed = tempfile::tempdir().unwrap();
            // What was acknowledged before the copy must be in it.
            let acknowledged = ledger.stats().entries;
            copy(dir.path(), crashed.path());
            let (after, _) = Ledger::open(crashed.path(), small.clone()).unwrap();
            drop(after);
            let report = assert_sound(crashed.path());
            assert!(report.entries >= acknowledged, "{} < {acknowledged}", report.entries);
            assert_eq!(report.open_holds, 0);
            copies += 1;
        }
    });
    drop(ledger);
    let report = assert_sound(dir.path());
    assert_eq!((report.generations_charged, report.generations_free), (400, 200));
    assert_eq!(report.total_debits, 1_000_000 + 200 * 17 + 200);
    let segments = fs::read_dir(dir.path().join("journal")).unwrap().count();
    assert!(segments > 3, "{segments} segments: it rotated");
}

#[test]
fn the_index_is_rebuilt_when_it_is_lost_or_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let small = Options { segment_bytes: 4 << 10, ..options() };
    let (ledger, key) = with_credit(dir.path(), small.clone(), 1_000_000);
    work(&ledger, &key, 0, 60);
    drop(ledger);
    let old = tempfile::tempdir().unwrap();
    let parts = ["index", "generations"];
    parts.iter().for_each(|part| copy(&dir.path().join(part), &old.path().join(part)));
    let (ledger, recovery) = Ledger::open(dir.path(), small.clone()).unwrap();
    assert!(!recovery.rebuilt_index, "{recovery:?}");
    work(&ledger, &key_of(&ledger), 60, 60);
    drop(ledger);
    let entries = assert_sound(dir.path()).entries;

    let check = |what: &str, rebuilt: bool| {
        let (ledger, recovery) = Ledger::open(dir.path(), small.clone()).unwrap();
        assert_eq!(recovery.rebuilt_index, rebuilt, "{what}: {recovery:?}");
        assert_eq!(ledger.generation(id(3)).unwrap().unwrap().cost, NanoUsd(17), "{what}");
        assert_eq!(ledger.generation_by_upstream("up-3").unwrap().unwrap().id, id(3), "{what}");
        drop(ledger);
        assert_eq!(assert_sound(dir.path()).entries, entries, "{what}");
    };
    fs::remove_dir_all(dir.path().join("index")).unwrap();
    check("lost", true);
    for part in parts {
        fs::remove_dir_all(dir.path().join(part)).unwrap();
        copy(&old.path().join(part), &dir.path().join(part));
    }
    check("behind", false);
    fs::remove_dir_all(dir.path().join("generations")).unwrap();
    check("its generations are lost", false);
    fs::remove_dir_all(dir.path().join("index")).unwrap();
    copy(&old.path().join("index"), &dir.path().join("index"));
    check("behind its generations", true);
    fs::write(dir.path().join("index/db"), vec![0x5a; 100_000]).unwrap();
    check("garbage", true);

    // Ahead of the journal, or of another journal.
    let other = tempfile::tempdir().unwrap();
    let (ledger, key) = with_credit(other.path(), small.clone(), 5_000_000);
    work(&ledger, &key, 0, 200);
    drop(ledger);
    fs::remove_dir_all(dir.path().join("index")).unwrap();
    copy(&other.path().join("index"), &dir.path().join("index"));
    assert!(!verify(dir.path()).unwrap().ok(), "verify finds it");
    check("another's", true);
    let strange = tempfile::tempdir().unwrap();
    let (ledger, key) = with_credit(strange.path(), small.clone(), 5_000_000);
    work(&ledger, &key, 1_000, 10);
    drop(ledger);
    fs::remove_dir_all(dir.path().join("generations")).unwrap();
    copy(&strange.path().join("generations"), &dir.path().join("generations"));
    assert!(!verify(dir.path()).unwrap().ok(), "verify finds them");
    check("another's generations", true);
}

#[test]
fn closing_on_a_broken_disk_gives_up_and_the_next_start_recovers() {
    let dir = tempfile::tempdir().unwrap();
    let options = options();
    let broken = Arc::clone(&options.broken);
    let (ledger, key) = with_credit(dir.path(), options.clone(), 1_000);
    let hold = ledger.hold(&key, ask(1, 100, 1)).unwrap();
    block_on(hold.durable()).unwrap();
    hold.progress(NanoUsd(44)).unwrap();
    broken.store(true, Ordering::Release);
    hold.settle(charge(&key, 1, 44));
    assert_eq!(ledger.close(), Err(LedgerDown));
    drop(ledger);
    broken.store(false, Ordering::Release);
    let (ledger, recovery) = Ledger::open(dir.path(), options).unwrap();
    assert_eq!((recovery.settled, recovery.voided), (1, 0));
    assert_eq!(ledger.account(&acme()).unwrap().balance, NanoUsd(956));
    drop(ledger);
    assert_sound(dir.path());
}
