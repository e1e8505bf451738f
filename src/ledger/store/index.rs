//! The index: a key-value store behind one small trait, and sled as its implementation.
//!
//! sled is pinned to 0.34.7 and handled with care (issue numbers are spacejam/sled's):
//! - a kill during a snapshot leaves `snap.*.generating`, which makes the next open fail (#1533);
//!   such files are removed first;
//! - opening can panic on damage (#1509): it runs in a thread whose panic is an error;
//! - `flush` on Linux is `sync_file_range`, not fsync: the file `db` is fdatasynced after it;
//! - no transactions (#1134), no `flush_async` (#1308), one writer (#1412), rows below 4 KiB (#976).
//!
//! Whatever is lost here is rebuilt from the journal.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use parking_lot::RwLock;

/// Rows to write and to delete, atomically.
#[derive(Debug, Default)]
pub struct Rows {
    /// Keys and their new values.
    pub put: Vec<(Vec<u8>, Vec<u8>)>,
    /// Keys that go.
    pub delete: Vec<Vec<u8>>,
    /// The sequence of the last entry that the rows contain.
    pub seq: u64,
}

/// Why the index failed. The text names no content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreFailed(pub String);

impl fmt::Display for StoreFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StoreFailed {}

/// What [`Store::scan`] shows rows to; `false` ends the scan.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> bool + 'a;

/// A store of rows, written by one thread and read by many.
pub trait Store: Send + Sync {
    /// Writes rows, all or none, and makes them durable.
    ///
    /// # Errors
    /// Nothing may be assumed to be written; the same rows can be applied again after
    /// [`Self::reopen`].
    fn apply(&self, rows: &Rows) -> Result<(), StoreFailed>;

    /// A row's value.
    ///
    /// # Errors
    /// The store failed.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreFailed>;

    /// Visits the rows whose keys start with `prefix`, in order.
    ///
    /// # Errors
    /// The store failed.
    fn scan(&self, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreFailed>;

    /// Visits the rows whose keys start with `prefix` and come before `below`, backwards.
    ///
    /// # Errors
    /// The store failed.
    fn scan_back(
        &self,
        prefix: &[u8],
        below: &[u8],
        visit: &mut Visit<'_>,
    ) -> Result<(), StoreFailed>;

    /// The last entry of which every row is durable, rows of generations included. What comes after
    /// it is to be applied again at the next start.
    fn durable_rows(&self) -> u64 {
        u64::MAX
    }

    /// Makes every row durable.
    ///
    /// # Errors
    /// Not all of them are: see [`Self::durable_rows`].
    fn seal(&self) -> Result<(), StoreFailed> {
        Ok(())
    }

    /// What the store cannot do at the moment for its own upkeep. It works all the same.
    fn complaint(&self) -> Option<String> {
        None
    }

    /// Closes and opens the store, after a failure.
    ///
    /// # Errors
    /// The store cannot be opened.
    fn reopen(&self) -> Result<(), StoreFailed>;

    /// Closes the store and gives its files free; from then on everything but
    /// [`Self::reopen`] fails.
    fn close(&self);
}

/// Page cache, in bytes. The index is written in batches and seldom read.
const CACHE_BYTES: u64 = 8 << 20;

/// The index in sled.
pub(crate) struct SledStore {
    path: PathBuf,
    open: RwLock<Option<Open>>,
}

struct Open {
    db: sled::Db,
    /// The file that sled's own flush does not fsync.
    file: File,
}

impl SledStore {
    /// Opens the index, or makes it.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreFailed> {
        let open = open_guarded(path)?;
        Ok(Self { path: path.to_owned(), open: RwLock::new(Some(open)) })
    }

    /// Removes a damaged index and makes an empty one.
    pub(crate) fn recreate(path: &Path) -> Result<Self, StoreFailed> {
        match fs::remove_dir_all(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(StoreFailed(format!("{}: {error}", path.display())));
            }
            Ok(()) | Err(_) => {}
        }
        Self::open(path)
    }

    /// Writes and deletes rows, all or none, and makes that durable.
    pub(crate) fn put(
        &self,
        put: &[&(Vec<u8>, Vec<u8>)],
        delete: &[Vec<u8>],
    ) -> Result<(), StoreFailed> {
        let mut batch = sled::Batch::default();
        for key in delete {
            batch.remove(key.as_slice());
        }
        for (key, value) in put {
            batch.insert(key.as_slice(), value.as_slice());
        }
        self.with(|open| {
            open.db.apply_batch(batch).map_err(failed)?;
            open.db.flush().map_err(failed)?;
            open.file.sync_data().map_err(|error| StoreFailed(error.to_string()))
        })
    }

    fn with<T>(
        &self,
        deed: impl FnOnce(&Open) -> Result<T, StoreFailed>,
    ) -> Result<T, StoreFailed> {
        match &*self.open.read() {
            // sled panics on some kinds of damage; what it was doing is of no interest then.
            Some(open) => catch_unwind(AssertUnwindSafe(|| deed(open)))
                .unwrap_or_else(|_| Err(StoreFailed("sled panicked".to_owned()))),
            None => Err(StoreFailed("the index is closed".to_owned())),
        }
    }
}

impl Store for SledStore {
    fn apply(&self, rows: &Rows) -> Result<(), StoreFailed> {
        let put: Vec<_> = rows.put.iter().collect();
        self.put(&put, &rows.delete)
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreFailed> {
        self.with(|open| Ok(open.db.get(key).map_err(failed)?.map(|value| value.to_vec())))
    }

    fn scan(&self, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreFailed> {
        self.with(|open| {
            for row in open.db.scan_prefix(prefix) {
                let (key, value) = row.map_err(failed)?;
                if !visit(&key, &value) {
                    break;
                }
            }
            Ok(())
        })
    }

    fn scan_back(
        &self,
        prefix: &[u8],
        below: &[u8],
        visit: &mut Visit<'_>,
    ) -> Result<(), StoreFailed> {
        if below <= prefix {
            return Ok(());
        }
        self.with(|open| {
            for row in open.db.range(prefix..below).rev() {
                let (key, value) = row.map_err(failed)?;
                if !key.starts_with(prefix) || !visit(&key, &value) {
                    break;
                }
            }
            Ok(())
        })
    }

    fn reopen(&self) -> Result<(), StoreFailed> {
        let mut open = self.open.write();
        *open = None;
        *open = Some(open_guarded(&self.path)?);
        Ok(())
    }

    fn close(&self) {
        *self.open.write() = None;
    }
}

fn failed(error: sled::Error) -> StoreFailed {
    StoreFailed(error.to_string())
}

fn open_guarded(path: &Path) -> Result<Open, StoreFailed> {
    remove_stale_snapshots(path)
        .map_err(|error| StoreFailed(format!("{}: {error}", path.display())))?;
    let mut tries = 0;
    let db = loop {
        match open_once(path) {
            Err(error) if tries < LOCK_TRIES && error.0.contains("acquire lock") => tries += 1,
            opened => break opened?,
        }
        thread::sleep(LOCK_PAUSE);
    };
    let file = File::open(path.join("db")).map_err(|error| StoreFailed(error.to_string()))?;
    Ok(Open { db, file })
}

/// Nobody else can have the index open, since the ledger's directory has a lock of its own. But a
/// thread of sled's gives the lock of one that was just closed free a little later.
const LOCK_TRIES: u32 = 100;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

fn open_once(path: &Path) -> Result<sled::Db, StoreFailed> {
    let at = path.to_owned();
    let opener = thread::Builder::new()
        .name("ledger-open".to_owned())
        .spawn(move || {
            sled::Config::new()
                .path(at)
                .cache_capacity(CACHE_BYTES)
                // We flush at every checkpoint, and nothing in between is worth a write.
                .flush_every_ms(None)
                .open()
        })
        .map_err(|error| StoreFailed(error.to_string()))?;
    match opener.join() {
        Ok(opened) => opened.map_err(failed),
        Err(_) => Err(StoreFailed("sled panicked while it was opened".to_owned())),
    }
}

fn remove_stale_snapshots(path: &Path) -> io::Result<()> {
    let files = match fs::read_dir(path) {
        Ok(files) => files,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for file in files {
        let file = file?;
        let name = file.file_name();
        let stale = name
            .to_str()
            .is_some_and(|name| name.starts_with("snap.") && name.ends_with(".generating"));
        if stale {
            fs::remove_file(file.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// What any implementation must do.
    pub(crate) fn conforms(store: &dyn Store) {
        let put = |pairs: &[(&str, &str)], delete: &[&str]| Rows {
            put: pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect(),
            delete: delete.iter().map(|key| (*key).into()).collect(),
            seq: 0,
        };
        store.apply(&put(&[("a1", "x"), ("a2", "y"), ("b1", "z")], &[])).unwrap();
        store.apply(&put(&[("a2", "w")], &["b1"])).unwrap();
        assert_eq!(store.get(b"a2").unwrap().as_deref(), Some(&b"w"[..]));
        assert_eq!(store.get(b"b1").unwrap(), None);
        store.close();
        assert!(store.get(b"a2").is_err() && store.apply(&Rows::default()).is_err(), "closed");
        store.reopen().unwrap();
        let mut seen = Vec::new();
        store
            .scan(b"a", &mut |key, value| {
                seen.push((key.to_vec(), value.to_vec()));
                true
            })
            .unwrap();
        assert_eq!(
            seen,
            [(b"a1".to_vec(), b"x".to_vec()), (b"a2".to_vec(), b"w".to_vec())],
            "in order, after a restart"
        );
        let mut count = 0;
        store
            .scan(b"", &mut |_, _| {
                count += 1;
                false
            })
            .unwrap();
        assert_eq!(count, 1, "a scan can be ended");
        let back = |prefix: &str, below: &str| {
            let mut seen = Vec::new();
            store
                .scan_back(prefix.as_bytes(), below.as_bytes(), &mut |key, _| {
                    seen.push(String::from_utf8(key.to_vec()).unwrap());
                    true
                })
                .unwrap();
            seen
        };
        assert_eq!(back("a", "b"), ["a2", "a1"], "backwards");
        assert_eq!(back("a", "a2"), ["a1"], "what comes before");
        assert!(
            back("a", "a").is_empty() && back("b", "a").is_empty() && back("c", "d").is_empty()
        );
    }

    #[test]
    fn sled_conforms() {
        let dir = tempfile::tempdir().unwrap();
        conforms(&SledStore::open(&dir.path().join("index")).unwrap());
    }

    #[test]
    fn a_stale_snapshot_does_not_stop_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index");
        drop(SledStore::open(&path).unwrap());
        fs::write(path.join("snap.0000000000000001.generating"), b"half").unwrap();
        SledStore::open(&path).unwrap();
        assert!(!path.join("snap.0000000000000001.generating").exists(), "removed");
    }
}
