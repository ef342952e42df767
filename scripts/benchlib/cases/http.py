"""nginx and curl: HTTP, and HTTPS with the cipher that is fastest here."""

import os
import subprocess

from .. import measure, tools
from ..case import Case

CIPHER = "TLS_AES_128_GCM_SHA256"


class Nginx(Case):
    quick = True

    def __init__(self, name, scheme):
        self.name, self.scheme = name, scheme

    def start(self, place, stack):
        self.curl, self.out = tools.debian("curl"), place.work / "curl.bin"
        self.port, self.server = start_nginx(place, stack, self.scheme)

    def turn(self):
        url = f"{self.scheme}://127.0.0.1:{self.port}/weights.bin"
        run = measure.run([self.curl, "--silent", "--show-error", "--fail", "--insecure", "--output", self.out, url],
                          measure.with_children(self.server))
        self.out.unlink()
        return run

    def version(self):
        nginx = tools.first_line([tools.debian("nginx"), "-v"]).removeprefix("nginx version: ").replace("/", " ")
        return f"{nginx}, {' '.join(tools.first_line([self.curl, '--version']).split()[:2])}"


def start_nginx(place, stack, scheme):
    """An nginx that serves the source; its port and its pid."""
    nginx, port = tools.debian("nginx"), tools.free_port()
    folder = place.work / f"nginx-{port}"
    folder.mkdir()
    tls = _certificate(folder) if scheme == "https" else ""
    config = folder / "nginx.conf"
    config.write_text(f"""
        {"user root;" if os.geteuid() == 0 else ""}
        worker_processes 2; pid {folder}/nginx.pid; error_log stderr; daemon off;
        events {{}}
        http {{
            access_log off; sendfile on; tcp_nopush on;
            server {{ listen 127.0.0.1:{port}{" ssl" if tls else ""}; root {place.source}; {tls} }}
        }}""")
    process = subprocess.Popen([nginx, "-c", config, "-p", folder, "-e", "stderr"], stdout=subprocess.DEVNULL)
    stack.callback(measure.stop, process)
    measure.wait_for(lambda: tools.listens(port), "nginx")
    return port, process.pid


def _certificate(folder):
    subprocess.run([tools.debian("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj",
                    "/CN=localhost", "-keyout", folder / "key.pem", "-out", folder / "cert.pem"],
                   check=True, stderr=subprocess.DEVNULL)
    return f"""ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem;
        ssl_protocols TLSv1.3; ssl_conf_command Ciphersuites {CIPHER};"""


CASES = [Nginx("nginx + curl, HTTP", "http"), Nginx("nginx + curl, HTTPS (AES-128-GCM)", "https")]
