//! The shape of what says how prompts and answers are kept.

use serde::{Deserialize, Serialize};

/// Prompts and answers of accounts that have asked for them to be kept. Of others nothing is kept,
/// and without a key of nobody: no account can ask for it then.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Content {
    /// What they are encrypted with, as `env:NAME` or `file:/path`: 64 hexadecimal digits, for
    /// instance of `openssl rand -hex 32`. Optional. What was kept under another key cannot be read
    /// any more.
    pub key: Option<String>,
    /// The folder that they are kept in. Optional; `content` in the ledger's directory.
    pub dir: Option<String>,
    /// The most that is kept altogether, 1 to 1125899906842624 bytes; what is more is not kept, and
    /// counted. Default `10737418240`.
    pub bytes_max: i64,
    /// The largest request that is kept, together with its answer, 1 to 1073741824 bytes. Default
    /// `1048576`.
    pub generation_bytes_max: i64,
    /// The most memory for what waits to be written, 1 to 1099511627776 bytes. Default `67108864`.
    pub queue_bytes_max: i64,
}

impl Default for Content {
    fn default() -> Self {
        Self {
            key: None,
            dir: None,
            bytes_max: 10_737_418_240,
            generation_bytes_max: 1_048_576,
            queue_bytes_max: 67_108_864,
        }
    }
}
