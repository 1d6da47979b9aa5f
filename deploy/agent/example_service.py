"""An example: a web service that changes its answer without a restart.

Run it with CONFIGSVC_URL and CONFIGSVC_TOKEN set, then publish a change to the configuration of
``checkout`` in the portal and ask it again: ``curl 127.0.0.1:9000``. It reads these keys:

    settings.greeting    text          settings.price       a number
    settings.currency    text          settings.timeout     milliseconds
"""

import logging
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from configsvc_client import Config


def answer(config: Config) -> str:
    """What the configuration says at this moment."""
    greeting = config.get("settings.greeting", "Welcome to the checkout")
    price = config.get("settings.price", "no")
    currency = config.get("settings.currency", "price set")
    timeout = config.get("settings.timeout", "unset")
    state = ", not confirmed by the server" if config.stale else ""
    return (
        f"{greeting}: {price} {currency}, timeout {timeout} ms (version {config.version}{state})\n"
    )


def serve(config: Config, port: int) -> None:
    """Answer on the loopback address until interrupted."""

    class Shop(BaseHTTPRequestHandler):
        """Asks the configuration anew for each request; it answers from memory."""

        def do_GET(self) -> None:
            """Greet, with the price of this moment."""
            body = answer(config).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with ThreadingHTTPServer(("127.0.0.1", port), Shop) as server:
        print(f"http://127.0.0.1:{server.server_port}", flush=True)
        server.serve_forever()


def main() -> None:
    """Take the service's name and the port from SERVICE and PORT, all else as the client does."""
    logging.basicConfig(level=logging.INFO)
    with Config(os.environ.get("SERVICE", "checkout")) as config:
        config.on_change(lambda changed: print(f"now at version {changed.version}", flush=True))
        serve(config, int(os.environ.get("PORT", "9000")))


if __name__ == "__main__":
    main()
