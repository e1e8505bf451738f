//! The provider dialect OpenAI Chat Completions.
