"""A held file over HTTP: the gateway against nginx, both to curl."""

import subprocess
import time

from .. import measure, tools
from ..case import Case
from . import http, hubless


class Gateway(Case):
    name, group = "hubless gateway + curl, HTTP", "gateway"

    def start(self, place, stack):
        self.curl, self.out, port = tools.debian("curl"), place.work / "gateway.bin", tools.free_port()
        self.seeded = hubless.seed(place.source, place.work / "gateway", stack, "--name", "bench/model",
                                   "--gateway", f"127.0.0.1:{port}")
        self.url = f"http://127.0.0.1:{port}/bench/model/resolve/main/weights.bin"
        measure.wait_for(lambda: tools.listens(port), "the gateway")
        # The ETag is a SHA-256, computed once: wait for it before the measurement.
        until = time.monotonic() + 120
        while subprocess.run([self.curl, "--silent", "--fail", "--head", self.url], stdout=subprocess.DEVNULL,
                             check=False).returncode != 0:
            if time.monotonic() > until:
                raise measure.Failed("the gateway does not know the file")
            time.sleep(0.5)

    def turn(self):
        run = measure.run([self.curl, "--silent", "--show-error", "--fail", "--output", self.out, self.url],
                          [self.seeded["pid"]])
        self.out.unlink()
        return run


class NginxBeside(http.Nginx):
    quick, group = False, "gateway"

    def version(self):
        return None


CASES = [NginxBeside("nginx + curl, HTTP, beside the gateway", "http"), Gateway()]
