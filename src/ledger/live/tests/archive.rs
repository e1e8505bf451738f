//! Old segments become an archive: with a crash between any two steps, while the ledger works, and
//! what is left when the archive is damaged, moved away, or all that there is.

use std::sync::atomic::AtomicUsize;

use super::crash::{copy, segments};
use super::*;
use crate::ledger::store::compact::compact;
use crate::ledger::store::files::Files;
use crate::ledger::{VerifyFrom, verify_from};

/// Segments of a few entries each.
fn small() -> Options {
    Options { segment_bytes: 4_096, archive_every: Duration::from_secs(3_600), ..options() }
}

/// A closed ledger with generations 0 to `count`, and many segments.
fn closed(dir: &Path, count: u64) {
    let (ledger, key) = with_credit(dir, small(), 1_000_000);
    work(&ledger, &key, 0, count);
    ledger.close().unwrap();
}

fn files(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(dir).unwrap().map(|f| f.unwrap().path()).collect();
    paths.sort();
    paths
}

fn packed(dir: &Path) -> Vec<std::path::PathBuf> {
    let is = |path: &std::path::PathBuf| path.to_string_lossy().ends_with(".seg.zst");
    files(&dir.join("archive")).into_iter().filter(is).collect()
}

fn pack(dir: &Path, keep: usize) -> crate::ledger::Compacted {
    compact(&segments(dir), keep, &Files::default(), &|| false).unwrap()
}

/// Every generation is there, with its charge.
fn assert_all_found(dir: &Path, count: u64) {
    let (ledger, recovery) = Ledger::open(dir, small()).unwrap();
    assert!(!recovery.rebuilt_index, "{recovery:?}");
    assert_found(&ledger, count);
}

fn assert_found(ledger: &Ledger, count: u64) {
    for n in 0..count {
        let record = ledger.generation(id(n)).unwrap().unwrap_or_else(|| panic!("generation {n}"));
        let cost = [17, 0, 1][usize::try_from(n % 3).unwrap()];
        assert_eq!(record.cost, NanoUsd(cost), "generation {n}");
    }
}

#[test]
fn nothing_is_lost_by_a_crash_between_any_two_steps() {
    let original = tempfile::tempdir().unwrap();
    closed(original.path(), 100);
    let before = assert_sound(original.path());
    let mut steps = 0;
    loop {
        let dir = tempfile::tempdir().unwrap();
        copy(original.path(), dir.path());
        let left = Arc::new(AtomicUsize::new(steps));
        let dying = Files { steps_left: Some(Arc::clone(&left)) };
        let outcome = compact(&segments(dir.path()), 1, &dying, &|| false);
        let after = assert_sound(dir.path());
        assert_eq!(after.entries, before.entries, "after {steps} steps");
        assert_eq!(after.total_debits, before.total_debits, "after {steps} steps");
        // Opening costs some milliseconds of sled.
        if steps % 7 == 0 {
            assert_all_found(dir.path(), 100);
        }
        pack(dir.path(), 1);
        let whole = assert_sound(dir.path());
        assert_eq!(whole.snapshot_seq.is_some(), whole.archived_segments > 0);
        assert_eq!(files(&dir.path().join("journal")).len(), 2, "after {steps} steps");
        assert!(
            files(&dir.path().join("archive"))
                .iter()
                .all(|path| !path.to_string_lossy().ends_with(".new")),
            "nothing half done is left"
        );
        if outcome.is_ok() {
            assert!(whole.archived_segments >= 3, "{whole}");
            assert_all_found(dir.path(), 100);
            break;
        }
        steps += 1;
    }
    assert!(steps > 40, "there were {steps} steps");
}

#[test]
fn a_working_ledger_packs_and_still_finds_everything() {
    let dir = tempfile::tempdir().unwrap();
    let busy = Options { archive_every: Duration::from_millis(1), archive_keep: 1, ..small() };
    let (ledger, key) = with_credit(dir.path(), busy, 1_000_000);
    let mut count = 0;
    while ledger.stats().archived_segments < 5 {
        work(&ledger, &key, count, 12);
        count += 12;
        assert!(count < 20_000, "nothing is packed: {:?}", ledger.stats());
        assert!(ledger.healthy());
    }
    // An end is found once it is durable: closing waits for the last ones.
    assert_eq!(ledger.stats().archive_errors, 0);
    ledger.close().unwrap();
    assert!(packed(dir.path()).len() >= 5);
    assert_sound(dir.path());
    assert_all_found(dir.path(), count);
}

#[test]
fn the_index_is_made_anew_from_snapshot_and_archive() {
    let dir = tempfile::tempdir().unwrap();
    closed(dir.path(), 90);
    let done = pack(dir.path(), 1);
    assert!(done.segments >= 3 && done.entries > 0 && done.bytes_after < done.bytes_before);
    let before = assert_sound(dir.path());
    fs::remove_dir_all(dir.path().join("index")).unwrap();
    let (ledger, recovery) = Ledger::open(dir.path(), small()).unwrap();
    assert!(recovery.rebuilt_index, "{recovery:?}");
    assert!(recovery.replayed < before.entries / 2, "the snapshot saved the rest: {recovery:?}");
    assert_found(&ledger, 90);
    ledger.close().unwrap();
    assert_eq!(assert_sound(dir.path()).total_debits, before.total_debits);

    // A snapshot that does not read is left aside.
    fs::remove_dir_all(dir.path().join("index")).unwrap();
    let is = |path: &&std::path::PathBuf| path.to_string_lossy().ends_with(".snapshot.zst");
    let archive = files(&dir.path().join("archive"));
    let snapshot = archive.iter().find(is).unwrap();
    flip(snapshot, 40);
    let report = verify(dir.path()).unwrap();
    assert!(report.findings.iter().any(|f| f.starts_with("snapshot")), "{report}");
    let (ledger, recovery) = Ledger::open(dir.path(), small()).unwrap();
    assert_eq!(recovery.replayed, before.entries, "all of it");
    assert_found(&ledger, 90);
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn what_was_moved_away_is_not_needed_to_go_on() {
    let dir = tempfile::tempdir().unwrap();
    closed(dir.path(), 90);
    pack(dir.path(), 0);
    let before = assert_sound(dir.path());
    let elsewhere = packed(dir.path());
    for path in &elsewhere {
        fs::remove_file(path).unwrap();
    }
    let report = verify(dir.path()).unwrap();
    assert!(report.findings.iter().any(|f| f.contains("moved away")), "{report}");
    let report = verify_from(dir.path(), VerifyFrom::Snapshot).unwrap();
    assert!(report.ok(), "{report}");
    assert_eq!(report.archived_elsewhere, elsewhere.len() as u64);
    assert_eq!(report.generations_charged, before.generations_charged);

    let (ledger, recovery) = Ledger::open(dir.path(), small()).unwrap();
    assert!(!recovery.rebuilt_index, "{recovery:?}");
    assert_eq!(ledger.generation(id(0)).unwrap(), None, "its record is elsewhere");
    let balance = ledger.account(&acme()).unwrap();
    let key = key_of(&ledger);
    work(&ledger, &key, 1_000, 12);
    ledger.close().unwrap();

    fs::remove_dir_all(dir.path().join("index")).unwrap();
    let (ledger, recovery) = Ledger::open(dir.path(), small()).unwrap();
    assert!(recovery.rebuilt_index, "{recovery:?}");
    let spent = NanoUsd(4 * 17 + 4);
    assert_eq!(ledger.account(&acme()).unwrap().balance, balance.balance - spent);
    assert!(ledger.generation(id(1_000)).unwrap().is_some());
    ledger.close().unwrap();
    let report = verify_from(dir.path(), VerifyFrom::Snapshot).unwrap();
    assert!(report.ok(), "{report}");
}

/// A sound index and the live segments are enough to serve; without an index all is read.
#[test]
fn a_damaged_manifest_stops_no_start() {
    let dir = tempfile::tempdir().unwrap();
    closed(dir.path(), 90);
    pack(dir.path(), 1);
    let before = assert_sound(dir.path());
    flip(&dir.path().join("archive/manifest.json"), 40);
    let report = verify(dir.path()).unwrap();
    assert!(report.findings.iter().any(|f| f.contains("restore it from a copy")), "{report}");
    assert_all_found(dir.path(), 90);

    fs::remove_dir_all(dir.path().join("index")).unwrap();
    let (ledger, recovery) = Ledger::open(dir.path(), small()).unwrap();
    assert!(recovery.snapshot_refused.is_some_and(|why| why.contains("manifest")));
    assert_eq!(recovery.replayed, before.entries);
    assert_found(&ledger, 90);
}

#[test]
fn packing_that_fails_is_told_once_and_when_it_works_again() {
    let dir = tempfile::tempdir().unwrap();
    closed(dir.path(), 90);
    pack(dir.path(), 1);
    let manifest = dir.path().join("archive/manifest.json");
    let sound = fs::read(&manifest).unwrap();
    flip(&manifest, 40);
    let (say, heard) = std::sync::mpsc::channel();
    let tell: Tell = Arc::new(move |condition: &Condition| say.send(condition.clone()).unwrap());
    let busy = Options { archive_every: Duration::from_millis(1), tell, ..small() };
    let (ledger, _) = Ledger::open(dir.path(), busy).unwrap();
    match heard.recv().unwrap() {
        Condition::ArchiveFails(why) => assert!(why.contains("manifest.json"), "{why}"),
        other => panic!("{other:?}"),
    }
    assert!(ledger.healthy() && ledger.stats().archive_errors > 0);
    fs::write(&manifest, sound).unwrap();
    assert_eq!(heard.recv().unwrap(), Condition::Archives, "and not once more that it fails");
}

#[test]
fn a_plain_segment_whose_packed_one_was_moved_away_stays() {
    let dir = tempfile::tempdir().unwrap();
    closed(dir.path(), 90);
    let first = files(&dir.path().join("journal")).remove(0);
    let plain = fs::read(&first).unwrap();
    pack(dir.path(), 1);
    fs::write(&first, plain).unwrap();
    fs::remove_file(&packed(dir.path())[0]).unwrap();
    pack(dir.path(), 0);
    assert!(first.exists());
    assert_sound(dir.path());
    assert_all_found(dir.path(), 90);
}

#[test]
fn damage_of_the_archive_is_found() {
    let original = tempfile::tempdir().unwrap();
    closed(original.path(), 60);
    pack(original.path(), 0);
    let archive: Vec<_> = files(&original.path().join("archive"));
    for path in archive {
        let dir = tempfile::tempdir().unwrap();
        copy(original.path(), dir.path());
        let path = dir.path().join("archive").join(path.file_name().unwrap());
        let len = usize::try_from(fs::metadata(&path).unwrap().len()).unwrap();
        flip(&path, len / 2);
        let report = verify(dir.path()).unwrap();
        assert!(!report.ok(), "{}", path.display());
    }
    // One that is missing in between is no archive that was moved away.
    let gone = &packed(original.path())[1];
    fs::remove_file(gone).unwrap();
    assert!(!verify(original.path()).unwrap().ok());
    assert!(!verify_from(original.path(), VerifyFrom::Snapshot).unwrap().ok());
}
