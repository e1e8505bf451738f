//! The only folder that names Pingora.
