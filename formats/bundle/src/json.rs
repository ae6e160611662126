//! JSON in one form: what is signed can be written in one way only.

use serde::{Serialize, de::DeserializeOwned};

/// Why some bytes are no document of its one form.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// More bytes than are read.
    #[error("{found} bytes, where {limit} is the most it may have")]
    TooLong {
        /// How many there are.
        found: usize,
        /// The most.
        limit: usize,
    },
    /// No JSON, an unknown member, or a value out of its range.
    #[error("{0}")]
    Parse(serde_json::Error),
    /// Right in content and written otherwise: spaces, order of members, escapes.
    #[error(
        "it is not written in its one form (members in the order of the specification, two spaces, one line feed at the end)"
    )]
    Form,
}

/// Writes a document: members in their order of declaration, indented by two spaces, one line feed at the end.
pub(crate) fn encode<T: Serialize>(document: &T) -> Result<Vec<u8>, serde_json::Error> {
    let mut bytes = serde_json::to_vec_pretty(document)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Reads a document of at most `limit` bytes and refuses any form but the one that [`encode`] writes.
pub(crate) fn decode<T: Serialize + DeserializeOwned>(bytes: &[u8], limit: usize) -> Result<T, JsonError> {
    if bytes.len() > limit {
        return Err(JsonError::TooLong { found: bytes.len(), limit });
    }
    let document: T = serde_json::from_slice(bytes).map_err(JsonError::Parse)?;
    if encode(&document).map_err(JsonError::Parse)? == bytes { Ok(document) } else { Err(JsonError::Form) }
}
