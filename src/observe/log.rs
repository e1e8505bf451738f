//! Sets up the process's own log: what happens outside of a request's normal course.
//!
//! It goes to standard error, so that the access log can have standard output to itself.
//!
//! Levels below `info` are for our own code. At `debug` and `trace` the libraries below us (Pingora
//! 0.9.1 among them) print bodies and headers as they pass, prompts and keys included, so that
//! theirs are never written, whatever the level says.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::fmt;
use std::io::{self, IsTerminal};
use std::panic::{self, PanicHookInfo};

use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// How log lines are spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// For people.
    Text,
}

/// Why the log cannot be set up.
#[derive(Debug)]
pub enum BadLog {
    /// The level is neither a level nor a list of directives; what is wrong with it.
    Level(String),
    /// The process has a log already.
    Twice,
}

impl fmt::Display for BadLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Level(why) => write!(
                f,
                "the log level must be error, warn, info, debug, trace, off or a list such as \
                 \"info,turnpike=debug\": {why}"
            ),
            Self::Twice => f.write_str("the log is set up already"),
        }
    }
}

impl std::error::Error for BadLog {}

/// Checks a level without setting anything up, for `check`.
///
/// # Errors
/// It is not a level.
pub fn check_level(level: &str) -> Result<(), BadLog> {
    filter(level).map(drop)
}

/// Sets up the log of the whole process, panics included. `level` is `error`, `warn`, `info`, `debug`, `trace`,
/// `off` or a list of `tracing` directives.
///
/// # Errors
/// The level is not one, or there is a log already.
pub fn init(level: &str, format: LogFormat) -> Result<(), BadLog> {
    let colour = format == LogFormat::Text && io::stderr().is_terminal();
    subscriber(level, format, colour, io::stderr)?.try_init().map_err(|_| BadLog::Twice)?;
    panic::set_hook(Box::new(note_panic));
    Ok(())
}

/// Says where the program has failed, and not in its words: what a panic says may repeat a prompt,
/// as that of a text which is cut within a character does.
fn note_panic(info: &PanicHookInfo<'_>) {
    let at = info.location().map(ToString::to_string).unwrap_or_default();
    let thread = std::thread::current();
    // Only where the environment asks for it.
    let trace = Backtrace::capture();
    let trace = (trace.status() == BacktraceStatus::Captured).then(|| trace.to_string());
    let thread = thread.name().unwrap_or_default();
    tracing::error!(at, thread, trace, "The program has failed here (a panic); please report it.");
}

fn filter(level: &str) -> Result<EnvFilter, BadLog> {
    let level = level.trim();
    if level.is_empty() {
        return Err(BadLog::Level("it is empty".to_owned()));
    }
    // A word that is no level would be taken for the name of a module, and log nothing.
    let is_level = |word: &str| word.parse::<tracing_subscriber::filter::LevelFilter>().is_ok();
    let word = level.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if word && !is_level(level) {
        return Err(BadLog::Level(format!("{level:?} is not a level")));
    }
    EnvFilter::try_new(level).map_err(|error| BadLog::Level(error.to_string()))
}

/// Whether a line may be written at all: what others log below `info` may hold anything.
fn is_safe(line: &Metadata<'_>) -> bool {
    let of_ours = || {
        let root = line.target().split("::").next().unwrap_or_default();
        root == "turnpike" || root == "turnpike_plugin_api"
    };
    *line.level() <= Level::INFO || of_ours()
}

fn subscriber<W>(
    level: &str,
    format: LogFormat,
    colour: bool,
    writer: W,
) -> Result<Box<dyn Subscriber + Send + Sync>, BadLog>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter(level)?)
        .with_ansi(colour)
        .with_writer(writer);
    Ok(match format {
        LogFormat::Json => {
            Box::new(builder.json().flatten_event(true).finish().with(filter_fn(is_safe)))
        }
        LogFormat::Text => Box::new(builder.finish().with(filter_fn(is_safe))),
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Shown(Arc<Mutex<Vec<u8>>>);

    impl Write for Shown {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(level: &str, format: LogFormat) -> String {
        let shown = Shown::default();
        let writer = shown.clone();
        let subscriber = subscriber(level, format, false, move || writer.clone()).expect("a level");
        tracing::subscriber::with_default(subscriber, || {
            tracing::debug!("Quiet.");
            tracing::info!(answer = 42, "Heard.");
        });
        let text = shown.0.lock().clone();
        String::from_utf8(text).expect("UTF-8")
    }

    #[test]
    fn the_level_filters() {
        assert_eq!(logged("warn", LogFormat::Text), "");
        assert_eq!(logged("info", LogFormat::Text).lines().count(), 1);
        assert_eq!(logged("warn,turnpike=debug", LogFormat::Text).lines().count(), 2);
    }

    #[test]
    fn libraries_are_not_heard_below_info() {
        for (level, format) in [
            ("debug", LogFormat::Text),
            ("trace", LogFormat::Json),
            ("trace,a_library=trace", LogFormat::Json),
        ] {
            let shown = Shown::default();
            let writer = shown.clone();
            let subscriber = subscriber(level, format, false, move || writer.clone());
            tracing::subscriber::with_default(subscriber.expect("a level"), || {
                tracing::debug!(target: "a_library::proxy_h1", "A body.");
                tracing::trace!(target: "turnpikes", "A key.");
                tracing::info!(target: "a_library", "Heard.");
                tracing::debug!(target: "turnpike::edge", "Ours.");
            });
            let text = String::from_utf8(shown.0.lock().clone()).expect("UTF-8");
            assert_eq!(text.lines().count(), 2, "{level}: {text}");
            assert!(text.contains("Heard.") && text.contains("Ours."), "{level}: {text}");
        }
    }

    #[test]
    fn a_panic_is_told_without_its_words() {
        let shown = Shown::default();
        let writer = shown.clone();
        let subscriber = subscriber("info", LogFormat::Json, false, move || writer.clone());
        tracing::subscriber::with_default(subscriber.expect("a level"), || {
            let before = panic::take_hook();
            panic::set_hook(Box::new(note_panic));
            let failed = panic::catch_unwind(|| "a prompt: caf\u{e9}".split_at(14).0.len());
            panic::set_hook(before);
            assert!(failed.is_err());
        });
        let text = String::from_utf8(shown.0.lock().clone()).expect("UTF-8");
        assert!(text.contains("log.rs:") && text.contains("a panic"), "{text}");
        assert!(!text.contains("prompt"), "{text}");
    }

    #[test]
    fn json_lines_are_json() {
        let line = logged("info", LogFormat::Json);
        let json: serde_json::Value = serde_json::from_str(&line).expect("valid JSON");
        assert_eq!((&json["message"], &json["answer"]), (&"Heard.".into(), &42.into()), "{line}");
    }

    #[test]
    fn what_is_no_level_is_refused() {
        for bad in ["", "  ", "loud", "turnpike=loud", "info,a=b=c"] {
            assert!(matches!(check_level(bad), Err(BadLog::Level(_))), "{bad:?}");
        }
        for good in ["off", "INFO", "trace", "info,turnpike::edge=debug"] {
            assert!(check_level(good).is_ok(), "{good:?}");
        }
    }
}
