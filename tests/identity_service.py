"""An identity service on this machine, as Azure App Service has one beside each app: tokens for whoever runs there.

The real azure-identity asks it by the two variables that App Service sets; the tokens are the local server's own.
"""

import json
import threading
import time
import urllib.request
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

WORD = "canary-identity-header"


class IdentityService:
    """Where tokens come from, and how many there were."""

    def __init__(self, server, said_s=None):
        """`said_s`: the life that is told in place of the tokens' own."""
        self.tokens = []
        self._server, self._said_s = server, said_s
        self._admin = f"{server.base_url.removesuffix('/v1').removesuffix('/openai')}/admin/token"

    def token(self):
        """What App Service answers."""
        request = urllib.request.Request(self._admin, method="POST")
        request.add_header("Authorization", f"Bearer {self._server.key}")
        with urllib.request.urlopen(request, timeout=10) as reply:
            said = json.loads(reply.read())
        self.tokens.append(said["access_token"])
        life_s = self._said_s or said["expires_in"]
        return {
            "access_token": said["access_token"],
            "expires_on": str(int(time.time() + life_s)),
            "resource": "any",
            "token_type": "Bearer",
        }


@contextmanager
def identity_service(server, monkeypatch, said_s=None):
    """Runs as long as the block; this process and those that it starts find it."""
    service = IdentityService(server, said_s)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            is_known = self.headers.get("X-IDENTITY-HEADER") == WORD
            body = json.dumps(service.token() if is_known else {"statusCode": 401, "message": "who are you?"}).encode()
            self.send_response(200 if is_known else 401)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_words):
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    serving = threading.Thread(target=http.serve_forever, args=(0.05,), daemon=True)
    serving.start()
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"http://127.0.0.1:{http.server_port}/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", WORD)
    try:
        yield service
    finally:
        http.shutdown()
        http.server_close()
        serving.join()
