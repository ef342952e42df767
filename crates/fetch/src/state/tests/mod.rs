//! Every state of a fetch, in virtual time.

mod ends;
mod fetching;
mod fixture;
mod locating;
mod reads;
