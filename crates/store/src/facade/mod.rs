//! What the store offers: methods that delegate to the layers below.

mod models;
mod repos;
