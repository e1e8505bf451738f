//! Changes of files that are whole or not there, whenever the process or the machine dies.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::dir::sync_dir;

/// What a file is called while it is written.
pub(crate) const UNFINISHED: &str = ".new";

/// Makes such changes, step by step.
#[derive(Clone, Debug, Default)]
pub(crate) struct Files {
    /// How many steps are left before the process "dies": from then on every step fails.
    #[cfg(test)]
    pub(crate) steps_left: Option<std::sync::Arc<std::sync::atomic::AtomicUsize>>,
}

impl Files {
    /// Writes a file under another name, makes it durable, and gives it its own name, which is
    /// durable as well when this returns. A file of that name is replaced.
    pub(crate) fn put<T>(
        &self,
        path: &Path,
        write: impl FnOnce(&mut BufWriter<File>) -> io::Result<T>,
    ) -> io::Result<T> {
        let unfinished = unfinished(path);
        let result = self.put_as(path, &unfinished, write);
        if result.is_err() && self.step().is_ok() {
            // Its space may be what is missing. What cannot be removed is written over next time.
            let _gone_or_overwritten = fs::remove_file(&unfinished);
        }
        result
    }

    fn put_as<T>(
        &self,
        path: &Path,
        unfinished: &Path,
        write: impl FnOnce(&mut BufWriter<File>) -> io::Result<T>,
    ) -> io::Result<T> {
        self.step()?;
        let file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(unfinished)?;
        self.step()?;
        let mut writer = BufWriter::with_capacity(1 << 18, file);
        let written = write(&mut writer)?;
        writer.flush()?;
        self.step()?;
        writer.get_ref().sync_all()?;
        self.step()?;
        fs::rename(unfinished, path)?;
        self.step()?;
        self.sync_parent(path)?;
        Ok(written)
    }

    /// Removes a file for good. That it is gone already is no error.
    pub(crate) fn remove(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        self.step()?;
        self.sync_parent(path)
    }

    fn sync_parent(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        path.parent().map_or(Ok(()), sync_dir)
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "tests can end it anywhere")]
    const fn step(&self) -> io::Result<()> {
        Ok(())
    }

    #[cfg(test)]
    fn step(&self) -> io::Result<()> {
        use std::sync::atomic::Ordering::{AcqRel, Acquire};
        let Some(left) = &self.steps_left else { return Ok(()) };
        let more = left.fetch_update(AcqRel, Acquire, |left| left.checked_sub(1));
        more.map(|_| ()).map_err(|_| io::Error::other("the process is dead"))
    }
}

fn unfinished(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(UNFINISHED);
    name.into()
}
