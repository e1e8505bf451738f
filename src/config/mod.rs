//! `turnpike.toml` → [`Config`], or every fault at once.
//!
//! Three steps: `read` turns text into [`file::File`] (exactly what was typed), `resolve` turns
//! that into typed [`settings`] and a [`crate::catalog::Catalog`]; after that no module checks
//! again. A fault of one key hides no other: reading goes on with a stand-in, and the result is
//! given only if there was no fault. Environment and files are arguments ([`parse`]), so that all
//! of it can be tested and a demo can configure itself from a text; [`load`] passes the real ones.

mod byok;
mod choices;
mod endpoints;
mod facts;
mod fault;
pub mod file;
pub mod import;
mod market;
mod models;
mod options;
mod outside;
mod payment;
mod plugins;
mod pool;
mod prices;
mod probe;
mod providers;
mod read;
mod resolve;
pub mod settings;
pub mod sheet;
mod shipped;
mod url;
mod webhooks;

#[cfg(test)]
mod tests;

use std::io::{self, Read as _};
use std::path::Path;

pub use fault::{Fault, Faults};
pub use settings::{Byok, Config};

use crate::catalog::Catalog;

/// The largest file that is read, in bytes: a configuration, a catalog, or what they refer to.
pub const FILE_BYTES_MAX: u64 = 64 << 20;

/// Reads the configuration from a file, with the process's environment and file system.
///
/// # Errors
/// Every fault of the file: those of shape first, then the others in the order of the sections.
pub fn load(path: &Path) -> Result<Config, Faults> {
    let text = read_file(path, FILE_BYTES_MAX).map_err(|e| {
        Faults(vec![Fault::new(path.display().to_string(), format!("cannot be read: {e}"))])
    })?;
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    let env = |name: &str| std::env::var(name).ok();
    parse(&text, &env, &|path| read_file(path, FILE_BYTES_MAX))
}

/// Reads the configuration from a text; `env` gives the value of an environment variable and
/// `read_file` the text of a file (secrets, certificate and key).
///
/// # Errors
/// As [`load`].
pub fn parse(
    text: &str,
    env: &dyn Fn(&str) -> Option<String>,
    read_file: &dyn Fn(&Path) -> io::Result<String>,
) -> Result<Config, Faults> {
    let mut faults = Faults::none();
    let file = read::read(text, &mut faults);
    if faults.is_fatal() {
        return Err(faults);
    }
    let config = resolve::resolve(&file, outside::Outside { env, read_file }, &mut faults);
    if faults.0.is_empty() { Ok(config) } else { Err(faults) }
}

/// Reads catalog files, or the shipped catalog if there is none, and judges every line as if each
/// provider had its key. `name` of a file is what its faults are told by.
///
/// # Errors
/// Every fault.
pub fn judge_catalog(files: &[(String, String)]) -> Result<(sheet::Sheet, Catalog), Faults> {
    let mut faults = Faults::none();
    let mut rows = sheet::Sheet::default();
    if files.is_empty() {
        rows = shipped::read(&mut faults);
    }
    for (name, text) in files {
        rows.read(name, text, &mut faults);
    }
    let env = |_: &str| Some("x".to_owned());
    let account = r#"{"client_email":"x","private_key":"x","token_uri":"x"}"#;
    let read_file = |_: &Path| Ok(account.to_owned());
    let outside = outside::Outside { env: &env, read_file: &read_file };
    let catalog = market::of_sheet(&rows, outside, &mut faults);
    if faults.0.is_empty() { Ok((rows, catalog)) } else { Err(faults) }
}

/// Reads a file of UTF-8 text up to a limit, without trusting what the file system says of its
/// size (it may be a device).
pub(crate) fn read_file(path: &Path, bytes_max: u64) -> io::Result<String> {
    let mut text = String::new();
    let read = std::fs::File::open(path)?.take(bytes_max + 1).read_to_string(&mut text)?;
    if u64::try_from(read).is_ok_and(|n| n <= bytes_max) {
        return Ok(text);
    }
    Err(io::Error::other(format!("it is larger than {bytes_max} bytes")))
}
