//! The node over HTTP: what Hugging Face clients, browsers and operators talk to.
//!
//! # Goals
//! Clients that know nothing of hubless work unchanged when `HF_ENDPOINT` points here, and every
//! byte they get was proven before.
//!
//! # Not here
//! Where bytes come from (`node`), and how they are stored (`store`).
