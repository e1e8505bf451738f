//! Health and latency of endpoints, and the choice among equals.
