"""What a case is, and where it works."""

import os
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Place:
    """Where a run works: one file to move, and room beside it."""

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
    """One row of the table. `start` gets servers ready (on the stack, so that they end), `turn` is measured."""

    #: The row's name.
    name = ""
    #: Cases of a group share a base and are chosen together.
    group = "fetch"
    #: Whether it is part of `--quick`.
    quick = False
    #: By which flag it has to be asked for, besides `--only` and `--all`, if it takes long to build: `--with-` this.
    on_request = None
    #: What one run moves, in the unit that the table shows.
    unit = "MB"

    def start(self, place: Place, stack: ExitStack):
        """Installs, prepares and starts what `turn` needs."""

    def turn(self):
        """One run, measured: a `measure.Run`."""
        raise NotImplementedError

    def amount(self, place: Place):
        """Bytes, or files, of one run."""
        return place.size

    def import_seconds(self):
        """Seconds that making the file ready to be shared took; None where there is nothing to make."""
        return None

    def version(self):
        """What was measured."""
        return None


def write_random(path, size):
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        while (left := size - file.tell()) > 0:
            file.write(os.urandom(min(left, 1 << 24)))
