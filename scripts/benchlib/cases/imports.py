"""Importing: hashing a file in place against `b3sum`, and with a copy against `cp` and `b3sum`."""

import shutil

from .. import measure, tools
from ..case import Case

B3SUM = "1.8.7"


class B3sum(Case):
    name, group, quick = "b3sum", "import", True

    def start(self, place, stack):
        self.tool, self.file = tools.cargo("b3sum", B3SUM), place.file

    def turn(self):
        return measure.run([self.tool, self.file])

    def version(self):
        return tools.first_line([self.tool, "--version"])


class CopyAndB3sum(B3sum):
    name = "cp + b3sum"

    def start(self, place, stack):
        super().start(place, stack)
        self.copy = place.work / "copied.bin"

    def turn(self):
        run = measure.run(["sh", "-c", 'cp --reflink=never "$1" "$2" && "$3" "$2"', "sh", self.file, self.copy,
                           self.tool])
        self.copy.unlink()
        return run

    def version(self):
        return None


class Add(Case):
    group, quick = "import", True

    def __init__(self, name, *flags):
        self.name, self.flags = name, flags

    def start(self, place, stack):
        self.home, self.source = place.work / "add", place.source

    def turn(self):
        run = measure.run([tools.HUBLESS, "--home", self.home, "add", self.source, *self.flags])
        shutil.rmtree(self.home)
        return run


CASES = [B3sum(), Add("hubless add, in place", "--in-place"), CopyAndB3sum(), Add("hubless add, copied")]
