//! Credential → caller: key format, keyed hash, and the immutable key table.
