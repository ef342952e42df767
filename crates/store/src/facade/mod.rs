//! What the store offers: methods that delegate to the layers below.

mod care;
mod chunks;
mod digests;
mod models;
mod publishers;
mod repos;
