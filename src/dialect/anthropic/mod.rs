//! The provider dialect Anthropic Messages.
