//! The files: one per generation, below the last day on which it is kept and its account.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::Owner;
use crate::catalog::date;
use crate::vocab::AccountId;

const DAY_SECS: u64 = 86_400;

/// A folder of kept content.
#[derive(Clone, Debug)]
pub struct Folder {
    root: PathBuf,
}

impl Folder {
    /// The folder at a path; it need not exist.
    pub fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn path(&self, day: &str, owner: &Owner) -> PathBuf {
        let name = owner.generation.text();
        self.root.join(day).join(folder_of(&owner.account)).join(name.as_str())
    }

    /// Writes a file that is kept through this day, counted from 1970.
    ///
    /// # Errors
    /// The file system's; then there is no such file.
    pub(super) fn write(&self, last_day: u64, owner: &Owner, bytes: &[u8]) -> io::Result<()> {
        let path = self.path(&date::day_text(last_day * DAY_SECS), owner);
        let folder = path.parent().unwrap_or(&self.root);
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&path)?;
        file.write_all(bytes).inspect_err(|_| {
            // A part of a file is no file. If it cannot be removed either, its day removes it.
            let _removed_or_left_to_its_day = fs::remove_file(&path);
        })
    }

    /// Reads a generation's file, if there is one that is kept through `today` or longer.
    ///
    /// # Errors
    /// The file system's.
    pub fn read(&self, owner: &Owner, today: u64) -> io::Result<Option<Vec<u8>>> {
        for day in self.days()? {
            if day.ends < today {
                continue;
            }
            match File::open(self.path(&day.name, owner)) {
                Ok(mut file) => {
                    let mut bytes = Vec::new();
                    file.read_to_end(&mut bytes)?;
                    return Ok(Some(bytes));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Deletes a generation's file; says how long it was, if there was one.
    ///
    /// # Errors
    /// The file system's: then it may still be there.
    pub fn delete(&self, owner: &Owner) -> io::Result<Option<u64>> {
        for day in self.days()? {
            if let Some(len) = erase(&self.path(&day.name, owner))? {
                return Ok(Some(len));
            }
        }
        Ok(None)
    }

    /// Deletes everything of an account; says how many files there were, and how many bytes.
    ///
    /// # Errors
    /// The file system's: then some may still be there.
    pub fn delete_account(&self, account: &AccountId) -> io::Result<(u64, u64)> {
        let (mut count, mut bytes) = (0, 0);
        for day in self.days()? {
            let folder = self.root.join(day.name).join(folder_of(account));
            for file in entries(&folder)? {
                if let Some(len) = erase(&file)? {
                    count += 1;
                    bytes += len;
                }
            }
            match fs::remove_dir(&folder) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        Ok((count, bytes))
    }

    /// Removes the days that ended before `today`.
    ///
    /// # Errors
    /// The file system's: then some may still be there.
    pub(super) fn sweep(&self, today: u64) -> io::Result<()> {
        for day in self.days()?.into_iter().filter(|day| day.ends < today) {
            fs::remove_dir_all(self.root.join(day.name))?;
        }
        Ok(())
    }

    /// How many bytes all files have.
    ///
    /// # Errors
    /// The file system's.
    pub(super) fn bytes(&self) -> io::Result<u64> {
        let mut bytes = 0;
        for day in self.days()? {
            for account in entries(&self.root.join(day.name))? {
                for file in entries(&account)? {
                    // It may have been deleted in between.
                    bytes += fs::metadata(&file).map_or(0, |file| file.len());
                }
            }
        }
        Ok(bytes)
    }

    /// The days that there are.
    fn days(&self) -> io::Result<Vec<Day>> {
        let day = |path: PathBuf| {
            let name = path.file_name()?.to_str()?.to_owned();
            Some(Day { ends: date::parse_day(&name)? / DAY_SECS, name })
        };
        Ok(entries(&self.root)?.into_iter().filter_map(day).collect())
    }
}

struct Day {
    /// The last day on which its files are kept, counted from 1970.
    ends: u64,
    name: String,
}

/// Ids have characters that mean something in paths, so that their hash stands for them.
fn folder_of(account: &AccountId) -> String {
    blake3::hash(account.as_str().as_bytes()).to_hex()[..32].to_owned()
}

/// What is in a folder; nothing, if there is no such folder.
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| entry.map(|entry| entry.path())).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Overwrites a file and removes it; says how long it was, if it was there.
fn erase(path: &Path) -> io::Result<Option<u64>> {
    let mut file = match OpenOptions::new().write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let len = file.metadata()?.len();
    file.rewind()?;
    io::copy(&mut io::repeat(0).take(len), &mut file)?;
    file.sync_all()?;
    fs::remove_file(path)?;
    if let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    Ok(Some(len))
}
