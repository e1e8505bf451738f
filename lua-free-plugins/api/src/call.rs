//! What a plugin may ask of the outside: one HTTP request at a time, made by the gateway.

use std::fmt;
use std::time::Duration;

/// An HTTP request that the gateway makes for a plugin, to one of its
/// [origins](crate::Plugin::origins). No redirect is followed.
pub struct Call {
    /// `GET` or `POST`.
    pub method: Method,
    /// The whole URL.
    pub url: String,
    /// Header names, lower case, with their values.
    pub headers: Vec<(String, String)>,
    /// The body of a `POST`.
    pub body: Vec<u8>,
    /// The most time that it may take, connecting included; at most a minute.
    pub timeout: Duration,
    /// The most bytes of an answer that are read; more is a fault. At most 4 MiB.
    pub bytes_max: usize,
    /// Answers to calls with the same name are kept for so long and given again, without asking;
    /// zero: they are not. The name holds everything that the answer depends on.
    pub keep: Option<(String, Duration)>,
}

impl Call {
    /// A request with what is usual: 10 seconds, 1 MiB, nothing kept.
    pub fn new(method: Method, url: impl Into<String>) -> Self {
        Self {
            method,
            url: url.into(),
            headers: Vec::new(),
            body: Vec::new(),
            timeout: Duration::from_secs(10),
            bytes_max: 1 << 20,
            keep: None,
        }
    }

    /// The same with a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// The same with a JSON body.
    #[must_use]
    pub fn json(mut self, body: &serde_json::Value) -> Self {
        self.body = body.to_string().into_bytes();
        self.header("content-type", "application/json")
    }
}

/// Neither the URL nor the body: they hold what a user asked.
impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("method", &self.method).finish_non_exhaustive()
    }
}

/// Methods of [`Call`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `GET`.
    Get,
    /// `POST`.
    Post,
}

/// What was answered, whatever the status.
#[derive(Clone, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
    /// It was kept from an earlier call.
    pub kept: bool,
}

impl Reply {
    /// A success, 200 to 299.
    pub const fn is_ok(&self) -> bool {
        self.status >= 200 && self.status < 300
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").field("status", &self.status).finish_non_exhaustive()
    }
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallFault {
    /// Nobody was reached, or the connection broke.
    Unreachable,
    /// It took too long.
    Timeout,
    /// The answer has more bytes than asked for.
    TooLarge,
    /// The plugin has too many calls under way, by the operator's limit.
    Busy,
    /// The URL is none of the plugin's own.
    Forbidden,
}

impl fmt::Display for CallFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreachable => "it could not be reached",
            Self::Timeout => "it did not answer in time",
            Self::TooLarge => "its answer is too large",
            Self::Busy => "too many requests to it are under way",
            Self::Forbidden => "its URL is not the plugin's own",
        })
    }
}
