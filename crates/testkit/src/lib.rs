//! Deterministic bytes, failing stores, simulated swarms, processes.
