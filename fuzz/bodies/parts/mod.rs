//! What several fuzz targets share.

#![allow(dead_code, unreachable_pub, reason = "each target uses a part of it")]

pub(crate) mod asked;
pub(crate) mod draw;
pub(crate) mod host;
pub(crate) mod said;
