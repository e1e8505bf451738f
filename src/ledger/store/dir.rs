//! The ledger's directory: its paths, its lock and its secret.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::OpenError;
use super::segments::Segments;

/// A ledger's directory, locked for as long as this lives.
pub(crate) struct Dir {
    root: PathBuf,
    /// The operating system gives the lock up when the file is closed, also by a crash.
    _lock: File,
}

impl Dir {
    /// Makes the directory if there is none, and locks it.
    pub(crate) fn create(root: &Path) -> Result<Self, OpenError> {
        for path in [root.to_owned(), root.join("journal")] {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&path)
                .map_err(OpenError::at(&path))?;
        }
        Self::lock(root)
    }

    /// Locks an existing directory.
    pub(crate) fn existing(root: &Path) -> Result<Self, OpenError> {
        let journal = root.join("journal");
        fs::read_dir(&journal).map_err(OpenError::at(&journal))?;
        Self::lock(root)
    }

    fn lock(root: &Path) -> Result<Self, OpenError> {
        let path = root.join("lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(OpenError::at(&path))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { root: root.to_owned(), _lock: file }),
            Err(TryLockError::WouldBlock) => Err(OpenError::Locked(path)),
            Err(TryLockError::Error(error)) => Err(OpenError::Io(path, error)),
        }
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.root.join("journal")
    }

    pub(crate) fn archive(&self) -> PathBuf {
        self.root.join("archive")
    }

    /// Where an imported journal is until it is whole.
    pub(crate) fn staging(&self) -> PathBuf {
        self.root.join("journal.importing")
    }

    pub(crate) fn segments(&self) -> Segments {
        Segments::new(self.journal(), self.archive())
    }

    pub(crate) fn index(&self) -> PathBuf {
        self.root.join("index")
    }

    /// Where the index's rows of generations are.
    pub(crate) fn generations(&self) -> PathBuf {
        self.root.join("generations")
    }

    pub(crate) fn progress(&self) -> PathBuf {
        self.root.join("progress")
    }

    /// Reads the secret, or makes it if the ledger is new.
    ///
    /// A lost secret is not replaced silently while there are keys: they would all stop working.
    pub(crate) fn secret(&self, may_create: bool) -> Result<[u8; 32], OpenError> {
        let path = self.root.join("secret");
        match fs::read(&path) {
            Ok(bytes) => bytes.try_into().map_err(|_| {
                OpenError::Io(path, io::Error::other("must have exactly 32 bytes; restore it"))
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound && may_create => {
                self.make_secret(&path).map_err(OpenError::at(&path))
            }
            Err(error) => Err(OpenError::Io(path, error)),
        }
    }

    fn make_secret(&self, path: &Path) -> io::Result<[u8; 32]> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(|error| io::Error::other(error.to_string()))?;
        // Under its final name only once it is whole.
        let temporary = path.with_extension("new");
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(&secret)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        sync_dir(&self.root)?;
        Ok(secret)
    }
}

/// Makes a directory's entries durable.
pub(crate) fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
