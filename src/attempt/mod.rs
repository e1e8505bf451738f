//! What the outcome of one try means: the error-policy table.
