//! The admin listener: health, readiness, metrics, and management of keys and credit.
