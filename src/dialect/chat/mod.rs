//! The client surface `POST /v1/chat/completions`.
