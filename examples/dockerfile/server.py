"""A web server from Python's standard library: it tells who answers, and from which release."""

import json
import os
import signal
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Page(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        facts = {
            "version": "1",
            "greeting": os.environ.get("GREETING", "Hello"),
            "app": os.environ.get("DEIS_APP", "local"),
            "release": os.environ.get("WORKFLOW_RELEASE", "none"),
            "host": socket.gethostname(),
        }
        body = json.dumps(facts).encode() + b"\n"
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


server = ThreadingHTTPServer(("0.0.0.0", int(os.environ.get("PORT", "8000"))), Page)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
print(f"listening on {server.server_port}", flush=True)
server.serve_forever()
