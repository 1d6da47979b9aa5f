"""An example: a web service that changes its answer without a restart.

Run it with CONFIGSVC_URL and CONFIGSVC_TOKEN set, then publish a change to the configuration of
``checkout`` in the portal and ask it again: ``curl 127.0.0.1:9000``.
"""

import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from configsvc_client import Config

config = Config(os.environ.get("SERVICE", "checkout"), environment="production")
config.on_change(lambda changed: print(f"now at version {changed.version}", flush=True))


class Shop(BaseHTTPRequestHandler):
    """Answers with what the configuration says at this moment."""

    def do_GET(self) -> None:
        """Tell the timeout in use, and the version that it comes from."""
        timeout = config.get("settings.timeout", "unset")
        body = f"timeout {timeout} ms (version {config.version})\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    port = int(os.environ.get("PORT", "9000"))
    print(f"http://127.0.0.1:{port}", flush=True)
    ThreadingHTTPServer(("127.0.0.1", port), Shop).serve_forever()
