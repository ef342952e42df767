"""hubless to hubless: one large file, and many small ones."""

import json
import shutil
import subprocess
import sys

from .. import measure, tools
from ..case import Case, write_random

LOCAL_ONLY = ["--listen", "/ip4/127.0.0.1/tcp/0", "--no-mdns", "--no-upnp"]
SMALL_FILES, SMALL_BYTES = 10_000, 4096


class Get(Case):
    name, quick = "hubless get", True
    keeps = False

    def start(self, place, stack):
        self.place, self.turns = place, 0
        self.seeded = seed(place.source, place.work / "seeder", stack)

    def turn(self):
        home, out = (self.place.work / f"{name}-{self.turns}" for name in ("getter", "out"))
        run = measure.run([tools.HUBLESS, "--home", home, "get", self.seeded["hash"], "--peer",
                           self.seeded["address"], "-o", out, *LOCAL_ONLY], [self.seeded["pid"]])
        if self.turns == 0:
            subprocess.run(["diff", "--recursive", self.place.source, out], check=True)
        if not self.keeps:
            shutil.rmtree(home)
            shutil.rmtree(out)
        self.turns += 1
        return run

    def import_seconds(self):
        return self.seeded["import"]

    def version(self):
        return tools.first_line([tools.HUBLESS, "--version"])


class GetSmall(Get):
    name, group, unit = "hubless get, 10,000 files of 4 KiB", "small", "files"
    # ext4 without a journal reuses no inode for minutes after it was freed: creating files after so many
    # were removed searches through all of those, which took 79 % of the time.
    keeps = True

    def start(self, place, stack):
        source = place.work / "small"
        for number in range(SMALL_FILES):
            write_random(source / f"{number // 100:02}" / f"{number:04}.bin", SMALL_BYTES)
        small = type(place)(place.work / "small-work", source, SMALL_FILES * SMALL_BYTES)
        small.work.mkdir()
        super().start(small, stack)

    def amount(self, place):
        return SMALL_FILES

    def version(self):
        return None


def seed(source, home, stack, *flags):
    """A node that seeds a directory in place: its hash, address, pid and import time."""
    added = measure.run([tools.HUBLESS, "--home", home, "add", source, "--in-place"])
    process = subprocess.Popen(
        [tools.HUBLESS, "--home", home, "seed", source, "--in-place", "--json", *LOCAL_ONLY, *flags],
        stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, stderr=sys.stderr, text=True)
    stack.callback(measure.stop, process)
    found = {}
    while "hash" not in found or "addresses" not in found:
        line = process.stdout.readline()
        if not line:
            raise measure.Failed("the seeder did not start")
        found.update(json.loads(line))
    return {**found, "address": found["addresses"][0], "pid": process.pid, "import": added.wall}


CASES = [Get(), GetSmall()]
