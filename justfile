# The commands of a day; `just` alone lists them.

_list:
    @just --list

# Format, lints and documentation: the quick part of `test`.
check:
    cargo fmt --all --check
    cargo clippy --locked --release --workspace --all-targets -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --quiet --locked --release --workspace --no-deps

# Unit tests of all crates: no root, no network beyond loopback, no browser.
unit:
    cargo nextest run --locked --workspace --lib --bins

# All checks and tests, as CI runs them.
test:
    scripts/test

# Tests that CI runs for a minute, run for long: crash, model, index or clients.
soak *args:
    scripts/soak {{args}}

# Seed and fetch a model on this machine.
demo *path:
    scripts/demo {{path}}

# hubless beside its alternatives; `just bench --quick` is the regression guard.
bench *args:
    scripts/bench {{args}}

# Benchmarks of the parts: hashing, chunk lists, frames, commits, the scheduler. `just bench-parts scheduler` runs one.
bench-parts *args:
    cargo bench --locked --manifest-path benches/Cargo.toml --target-dir target/benches -- {{args}}

# The release tarball and its SHA-256, in target/dist-tarball (see RELEASE.md).
dist:
    scripts/dist
