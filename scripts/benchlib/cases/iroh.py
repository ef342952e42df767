"""iroh-blobs: the program in `scripts/bench-iroh`, which serves and fetches one file."""

import re
import shutil
import subprocess

from .. import measure, tools
from ..case import Case

FOLDER = tools.ROOT / "scripts" / "bench-iroh"


class Iroh(Case):
    name, on_request = "iroh-blobs (QUIC)", "iroh"

    def start(self, place, stack):
        self.place, self.peer, self.work = place, tools.own(FOLDER), place.work / "iroh"
        self.work.mkdir()
        process = subprocess.Popen([self.peer, "serve", place.file, self.work / "seeder"], stdout=subprocess.PIPE,
                                   stdin=subprocess.DEVNULL, text=True)
        stack.callback(measure.stop, process)
        line = process.stdout.readline()
        if not line:
            raise measure.Failed("the seeder did not start")
        self.ticket, seconds = line.split()
        self.hashing, self.server = float(seconds), process.pid

    def turn(self):
        out, store = self.work / "weights.bin", self.work / "getter"
        run = measure.run([self.peer, "get", self.ticket, out, store], [self.server])
        if not self.place.check(out):
            raise measure.Failed("the file is not whole")
        out.unlink()
        shutil.rmtree(store)
        return run

    def import_seconds(self):
        return self.hashing

    def version(self):
        found = re.search(r'name = "iroh-blobs"\nversion = "([^"]+)"', (FOLDER / "Cargo.lock").read_text())
        return f"iroh-blobs {found[1]}"


CASES = [Iroh()]
