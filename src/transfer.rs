//! Room `transfer`.
