//! TLS towards clients: rustls with HTTP/2 and HTTP/1.1.

use std::path::Path;

use pingora::Result;
use pingora::listeners::tls::TlsSettings;
use pingora::{Error, ErrorType};

/// Settings for a listener with this certificate chain and key (PEM files).
///
/// # Errors
/// A path is not UTF-8, or a file cannot be read or is no certificate or key.
pub(super) fn settings(cert: &Path, key: &Path) -> Result<TlsSettings> {
    let text = |path: &Path| match path.to_str() {
        Some(text) => Ok(text.to_owned()),
        None => Error::e_explain(ErrorType::FileReadError, "the path of a TLS file is not UTF-8"),
    };
    for path in [cert, key] {
        // Pingora panics on an unreadable file; this error names it.
        if let Err(error) = std::fs::File::open(path) {
            let what = format!("{}: {error}", path.display());
            return Error::e_explain(ErrorType::FileReadError, what);
        }
    }
    let mut settings = TlsSettings::intermediate(&text(cert)?, &text(key)?)?;
    settings.enable_h2();
    Ok(settings)
}
