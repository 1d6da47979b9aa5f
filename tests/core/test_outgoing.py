"""A call to a named place ends in time, whatever the other side does."""

import threading
import time

import pytest

from apps.core import outgoing
from apps.engine.errors import UnavailableError
from tests.receivers import Handler, listening, make_certificate


@pytest.fixture
def dripping(tmp_path):
    """A server that sends headers, or its body, a byte at a time, for ever."""
    certificate, public = make_certificate(tmp_path, "localhost", "127.0.0.1")
    ended = threading.Event()

    class Dripping(Handler):
        def asked(self):
            start = b"HTTP/1.1 200 OK\r\n"
            if self.path == "/body":
                start += b"Content-Length: 100000\r\n\r\n"
            self.wfile.write(start)
            try:
                while not ended.wait(0.05):
                    self.wfile.write(b"x")
                    self.wfile.flush()
            except OSError:
                pass

    with listening(Dripping, certificate) as port:
        yield f"https://localhost:{port}", public
        ended.set()


@pytest.mark.parametrize("path", ["/body", "/headers"])
def test_post__answer_that_drips__is_cut_off(dripping, path, settings, monkeypatch):
    import ipaddress

    settings.PRIVATE_TARGETS = [ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1")]
    monkeypatch.setattr(outgoing, "CONNECT_WITHIN", 0.5)
    monkeypatch.setattr(outgoing, "READ_WITHIN", 0.5)
    address, authorities = dripping
    answered = []

    def call():
        with pytest.raises(UnavailableError):
            outgoing.post(address + path, authorities=authorities, body=b"{}", headers={})
        answered.append(time.monotonic())

    caller = threading.Thread(target=call, daemon=True)
    caller.start()
    caller.join(30)

    assert answered, "The call goes on for as long as the other side likes."
