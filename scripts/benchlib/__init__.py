"""The modules of `scripts/bench`: `main` chooses cases, `cases/` has one file per system, `measure` reads the clocks."""
