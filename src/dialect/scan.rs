//! One pass over a request body: valid JSON or not, and where its top-level fields are.
