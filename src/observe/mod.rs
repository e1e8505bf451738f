//! Metrics and the access log. Never a prompt, an answer or a key.
