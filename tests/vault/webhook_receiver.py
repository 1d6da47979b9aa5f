"""A receiver of signed webhooks with TLS."""

import contextlib
import json

from tests.receivers import Handler, listening


class Receiver:
    """What was called, and what is answered: a status and a body by step."""

    def __init__(self):
        self.calls = []
        self.answers = {}
        self.port = 0

    @property
    def steps(self):
        return [json.loads(body)["step"] for _headers, body in self.calls]


@contextlib.contextmanager
def receiving(certificate):
    """A receiver at ``https://localhost:PORT/``."""
    receiver = Receiver()

    class Called(Handler):
        def asked(self):
            body = self.body()
            receiver.calls.append((dict(self.headers.items()), body))
            status, text = receiver.answers.get(json.loads(body)["step"], (204, ""))
            if status in (301, 302, 307):
                return self.answer(status, headers={"Location": text})
            return self.answer(status, text.encode())

    with listening(Called, certificate) as receiver.port:
        yield receiver
