//! What a configuration refers to but does not hold: environment variables and files.

use std::io;
use std::path::Path;

use super::fault::At;
use crate::catalog::Secret;

/// The environment and the file system, as arguments.
#[derive(Clone, Copy)]
pub(super) struct Outside<'a> {
    /// The value of an environment variable.
    pub(super) env: &'a dyn Fn(&str) -> Option<String>,
    /// The text of a file.
    pub(super) read_file: &'a dyn Fn(&Path) -> io::Result<String>,
}

/// The longest secret, in bytes: it has to fit a request header.
const SECRET_LEN_MAX: usize = 8_192;

const HOW: &str = "must be a reference, \"env:NAME\" or \"file:/path\"; \
                   a key itself never stands in this file";

/// Whether the text has the form of a reference; a fault is noted if not. The text itself is never
/// repeated: it may be the secret.
pub(super) fn is_reference(at: &mut At<'_>, key: &str, text: &str) -> bool {
    let ok = match text.split_once(':') {
        Some(("env", name)) => is_env_name(name),
        Some(("file", path)) => !path.is_empty() && !path.contains('\0'),
        _ => false,
    };
    if !ok {
        at.fault(key, HOW);
    }
    ok
}

fn is_env_name(name: &str) -> bool {
    let first = |b: u8| b.is_ascii_alphabetic() || b == b'_';
    name.len() <= 128
        && name.bytes().next().is_some_and(first)
        && name.bytes().all(|b| first(b) || b.is_ascii_digit())
}

/// The secret that the text refers to; `None` after a fault.
pub(super) fn secret(
    at: &mut At<'_>,
    key: &str,
    text: &str,
    outside: Outside<'_>,
) -> Option<Secret> {
    let value = document(at, key, text, outside)?;
    let value = value.trim();
    let wrong = if value.is_empty() {
        Some("is empty".to_owned())
    } else if value.len() > SECRET_LEN_MAX {
        Some(format!("has more than {SECRET_LEN_MAX} bytes"))
    } else if !value.bytes().all(|b| b.is_ascii_graphic()) {
        Some("has characters that cannot be sent in a header".to_owned())
    } else {
        None
    };
    match wrong {
        Some(wrong) => {
            at.fault(key, format!("refers to a secret that {wrong}"));
            None
        }
        None => Some(Secret::new(value.to_owned())),
    }
}

/// The text that a reference leads to, whatever it holds; `None` after a fault.
pub(super) fn document(
    at: &mut At<'_>,
    key: &str,
    text: &str,
    outside: Outside<'_>,
) -> Option<zeroize::Zeroizing<String>> {
    if !is_reference(at, key, text) {
        return None;
    }
    let value = match text.split_once(':')? {
        ("env", name) => (outside.env)(name)
            .ok_or_else(|| format!("refers to the environment variable {name}, which is not set")),
        (_, path) => (outside.read_file)(Path::new(path))
            .map_err(|e| format!("refers to the file {path}, which cannot be read: {e}")),
    };
    match value {
        Ok(value) => Some(zeroize::Zeroizing::new(value)),
        Err(message) => {
            at.fault(key, message);
            None
        }
    }
}

/// The text with each `${NAME}` replaced by the environment variable of that name; a variable that
/// is not set is a fault.
pub(super) fn expand(at: &mut At<'_>, key: &str, text: &str, outside: Outside<'_>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, name, after)) = next_variable(rest) {
        out.push_str(before);
        match (outside.env)(name) {
            Some(value) => out.push_str(value.trim()),
            None => {
                let text = format!("refers to the environment variable {name}, which is not set");
                at.fault(key, text);
            }
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// The environment variables that a text names: as `env:NAME`, or as `${NAME}` within it.
pub(super) fn variables(text: &str) -> Vec<&str> {
    let mut names: Vec<&str> = text.strip_prefix("env:").into_iter().collect();
    let mut rest = text;
    while let Some((_, name, after)) = next_variable(rest) {
        names.push(name);
        rest = after;
    }
    names
}

/// What is before the next `${NAME}`, the name, and what is after it.
fn next_variable(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once("${")?;
    let (name, after) = rest.split_once('}')?;
    is_env_name(name).then_some((before, name, after))
}

/// Whether the file is there and holds a PEM block whose label ends in `label`.
pub(super) fn check_pem(at: &mut At<'_>, key: &str, path: &str, label: &str, outside: Outside<'_>) {
    match (outside.read_file)(Path::new(path)).map(zeroize::Zeroizing::new) {
        Err(e) => at.fault(key, format!("is {path}, which cannot be read: {e}")),
        Ok(text) => {
            let head =
                |l: &str| l.starts_with("-----BEGIN ") && l.ends_with(&format!("{label}-----"));
            if !text.lines().any(|line| head(line.trim_end())) {
                at.fault(key, format!("is {path}, which has no PEM block of a {label}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::fault::Faults;

    #[test]
    fn variables_are_found_and_replaced() {
        assert_eq!(variables("env:KEY"), ["KEY"]);
        assert_eq!(variables("file:${DIR}/x-${NAME}.json"), ["DIR", "NAME"]);
        assert_eq!(variables("https://h/${not a name}"), [""; 0]);
        let env = |name: &str| (name != "UNSET").then(|| name.to_lowercase());
        let outside = Outside { env: &env, read_file: &|_| Err(io::Error::other("no files")) };
        let mut faults = Faults::none();
        let mut at = At::new("p", &mut faults);
        assert_eq!(expand(&mut at, "a", "https://${HOST}/${ID}", outside), "https://host/id");
        assert_eq!(expand(&mut at, "b", "x${UNSET}y", outside), "xy");
        assert_eq!(faults.0.len(), 1);
        assert_eq!(faults.0[0].path, "p.b");
    }
}
