//! Request features + catalog + health + seed → a plan: ordered candidates with reasons.
