"""A case of the benchmark, and its working directory."""

import os
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Place:
    """The working directory of a run: one file to transfer, and room beside it."""

    work: Path
    source: Path
    size: int

    @property
    def file(self):
        return self.source / "weights.bin"

    def check(self, path):
        """Whether a fetched file has the size of the source; its bytes are checked once, in the first turn."""
        return path.stat().st_size == self.size


class Case:
    """One row of the table. `start` starts servers (on the stack, so that they are stopped), `turn` is measured."""

    #: The row's name.
    name = ""
    #: Cases of a group share a base and are chosen together.
    group = "fetch"
    #: Whether it is part of `--quick`.
    quick = False
    #: The flag `--with-...` that selects it, besides `--only` and `--all`, if it takes long to build.
    on_request = None
    #: The amount that one run transfers, in the unit of the table.
    unit = "MB"

    def start(self, place: Place, stack: ExitStack):
        """Installs, prepares and starts the servers that `turn` needs."""

    def turn(self):
        """One run, measured: a `measure.Run`."""
        raise NotImplementedError

    def amount(self, place: Place):
        """Bytes, or files, of one run."""
        return place.size

    def import_seconds(self):
        """Seconds of preparing the file for sharing; None where no preparation is needed."""
        return None

    def version(self):
        """The measured values."""
        return None


def write_random(path, size):
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        while (left := size - file.tell()) > 0:
            file.write(os.urandom(min(left, 1 << 24)))
