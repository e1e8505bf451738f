//! Metrics and the access log. Never a prompt, an answer or a key.
//!
//! Both are updated once per request, at its end and in one place, from plain data: nothing here
//! is called while bytes flow, save for a counter per attempt. Names that leave the process stand
//! in two files: [`fields`] for log lines, [`names`] for metrics; the values that a label can take
//! are closed lists in [`labels`]. What a caller can choose freely (keys, users, request ids, model
//! names that the catalog does not have) is never a label, so that no caller can make the number
//! of series grow.

pub mod fields;
pub mod labels;
pub mod names;

pub mod gauges;
pub mod meters;
pub mod metrics;

pub mod access;
pub mod access_log;
pub mod log;

mod write;

pub use access::{AccessLine, AttemptMark};
pub use access_log::{AccessLog, LineFormat, Target};
pub use gauges::Readings;
pub use labels::{
    BreakerState, CacheStatus, CallResult, HedgeResult, Outcome, StatusClass, Surface,
};
pub use meters::{Meters, ModelMeter, ProviderMeter};
pub use metrics::{BadMetric, InFlight, Metrics, Report};
