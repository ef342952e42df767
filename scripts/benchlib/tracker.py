"""A BitTorrent tracker (BEP 3, compact answers of BEP 23) that names one seeder to every client."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Tracker:
    """A tracker that runs inside its `with` block."""

    def __init__(self, seeder_port):
        peer = bytes([127, 0, 0, 1]) + seeder_port.to_bytes(2, "big")
        answer = b"d8:intervali60e12:min intervali60e5:peers6:" + peer + b"e"

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            # A client may disconnect before it has read the whole response.
            def handle_error(self, *_):
                pass

        self.server = Server(("127.0.0.1", 0), Answer)
        self.url = f"http://127.0.0.1:{self.server.server_port}/announce"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
