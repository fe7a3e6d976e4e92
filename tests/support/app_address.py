"""A GitHub on loopback that knows the App and nothing else: enough for a server to start and be ready."""

import json
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


class _GitHub(BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"id": 1234, "slug": "review-assistant"}).encode()
        self.send_response(200 if self.path == "/app" else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments):
        pass


@contextmanager
def app_address():
    """The address to set as GITHUB_API_URL while it answers."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _GitHub) as served:
        Thread(target=served.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{served.server_port}"
        served.shutdown()
