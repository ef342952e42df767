//! The messages as `prost` generates them from `proto/`.

include!(concat!(env!("OUT_DIR"), "/hubless.v1.rs"));
