"""BitTorrent: libtorrent as it comes and tuned, aria2, rqbit. All find each other through a small tracker."""

import os
import shutil
import subprocess
from pathlib import Path

from .. import measure, tools
from ..case import Case
from ..tracker import Tracker

LIBTORRENT, RQBIT = "2.1.1", "9.1.0"
PEER = Path(__file__).resolve().parent.parent / "libtorrent_peer.py"


class Torrent(Case):
    """The common parts: a torrent, a tracker, a seeder."""

    def start(self, place, stack):
        self.place = place
        self.folder = place.work / type(self).__name__.lower()
        if self.folder.exists():
            self.folder = self.folder.with_name(f"{self.folder.name}-tuned")
        self.folder.mkdir()
        self.port = tools.free_port()
        tracker = stack.enter_context(Tracker(self.port))
        self.torrent = self.folder / "weights.torrent"
        python = tools.python("libtorrent", LIBTORRENT)
        self.hashing = measure.run([python, PEER, "make", place.file, tracker.url, self.torrent]).wall
        self.out = self.folder / "out"
        self.server = self.seed(stack)

    def turn(self):
        self.out.mkdir()
        run = measure.run(self.getter(), measure.with_children(self.server), env=self.environment("getter"))
        if not self.place.check(self.out / self.place.file.name):
            raise measure.Failed("the file is not whole")
        shutil.rmtree(self.out)
        return run

    def seed(self, stack):
        process = subprocess.Popen([str(part) for part in self.seeder()], stdout=subprocess.DEVNULL,
                                   stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=self.environment("seeder"))
        stack.callback(measure.stop, process)
        measure.wait_for(lambda: self.is_ready(process), f"the seeder of {self.name}", seconds=120)
        return process.pid

    def is_ready(self, process):
        if process.poll() is not None:
            raise measure.Failed(f"the seeder ended with {process.returncode}")
        return tools.listens(self.port)

    def environment(self, who):
        home = self.folder / f"home-{who}"
        home.mkdir(exist_ok=True)
        return {**os.environ, "HOME": str(home), "XDG_CONFIG_HOME": str(home), "XDG_DATA_HOME": str(home),
                "XDG_CACHE_HOME": str(home)}

    def import_seconds(self):
        return self.hashing


class Libtorrent(Torrent):
    def __init__(self, name, tuned):
        self.name, self.tuned = name, tuned

    def seeder(self):
        return [*self.peer("seed"), self.place.source, self.port]

    def getter(self):
        return [*self.peer("get"), self.out, 0]

    def peer(self, what):
        python = tools.python("libtorrent", LIBTORRENT)
        return [python, PEER, what, self.torrent, "tuned" if self.tuned else "default"]

    def version(self):
        return None if self.tuned else f"libtorrent {LIBTORRENT}"


class Aria2(Torrent):
    name = "aria2 (BitTorrent)"

    def seeder(self):
        return [*self.tool(), f"--listen-port={self.port}", "--seed-ratio=0.0", "--check-integrity=true",
                f"--dir={self.place.source}", self.torrent]

    def getter(self):
        return [*self.tool(), f"--listen-port={tools.free_port()}", "--seed-time=0", f"--dir={self.out}",
                "--file-allocation=none", self.torrent]

    def tool(self):
        return [tools.debian("aria2c"), "--quiet", "--enable-dht=false", "--enable-dht6=false", "--bt-enable-lpd=false",
                "--enable-peer-exchange=false", "--bt-request-peer-speed-limit=0", "--no-conf"]

    def version(self):
        return tools.first_line([tools.debian("aria2c"), "--version"])


class Rqbit(Torrent):
    name, on_request = "rqbit (BitTorrent)", "rqbit"

    def seeder(self):
        return [*self.tool(self.port), "download", "--overwrite", "--output-folder", self.place.source, self.torrent]

    def getter(self):
        return [*self.tool(tools.free_port()), "download", "--exit-on-finish", "--initial-peers",
                f"127.0.0.1:{self.port}", "--output-folder", self.out, self.torrent]

    def tool(self, port):
        return [tools.cargo("rqbit", RQBIT, "--no-default-features", "--features", "rust-tls"), "--disable-dht",
                "--disable-upnp-port-forward", "--disable-lsd", "--listen-port", port,
                "--listen-ip", "127.0.0.1", "--http-api-listen-addr", f"127.0.0.1:{tools.free_port()}"]

    def version(self):
        return f"rqbit {RQBIT}"


CASES = [Libtorrent("libtorrent, as it comes", False), Libtorrent("libtorrent, tuned", True), Aria2(), Rqbit()]
