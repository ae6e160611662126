//! Keys of the design that come alive in a later version: refused by name, never ignored.

use serde::{Deserializer, de::Error as _};

/// What follows the name of a key that is not there yet.
pub(super) const MARK: &str = "is not supported yet";

macro_rules! not_yet {
    ($($key:ident),*) => {$(
        #[doc = concat!("Refuses the key `", stringify!($key), "`.")]
        pub(super) fn $key<'de, D: Deserializer<'de>>(_: D) -> Result<(), D::Error> {
            Err(D::Error::custom(concat!("`", stringify!($key), "` is not supported yet")))
        }
    )*};
}
not_yet!(filters, views, helm, apk, hosted);
