//! The list of formats.
