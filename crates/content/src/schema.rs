//! JSON Schemas of the types that are a text in JSON.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::{
    hash::{CommitId, ContentHash, FileHash},
    identity::PublisherId,
    path::ModelPath,
    ref_name::RefName,
    repo::RepoId,
};

/// A schema that others refer to by a name.
macro_rules! named {
    ($name:literal, $schema:tt, $($type:ty),+) => {
        $(impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn schema_id() -> Cow<'static, str> {
                concat!("hubless-content::", $name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        })+
    };
}

/// A schema that stands where it is used.
macro_rules! inline {
    ($name:literal, $schema:tt, $type:ty) => {
        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

named!("Hash", {
    "type": "string",
    "pattern": "^[0-9a-f]{64}$",
    "description": "BLAKE3, as `b3sum` prints it"
}, ContentHash, FileHash);

named!("CommitId", { "type": "string", "pattern": "^[0-9a-f]{40}$" }, CommitId);

named!("PublisherId", { "type": "string", "pattern": "^[a-z2-7]{52}$" }, PublisherId);

inline!("ModelPath", { "type": "string" }, ModelPath);

inline!("RefName", { "type": "string" }, RefName);

inline!("RepoId", {
    "type": "string",
    "description": "`ORG/NAME`, `datasets/ORG/NAME` or `spaces/ORG/NAME`"
}, RepoId);
