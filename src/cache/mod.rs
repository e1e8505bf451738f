//! Identical answers: when, under which key, and a bounded store in memory.
