"""What `scripts/bench` is made of: `main` chooses cases, `cases/` has one file a system, `measure` reads the clocks."""
