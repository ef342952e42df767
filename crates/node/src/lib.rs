//! The composition: publish, fetch, serve, events, config, start and stop.
