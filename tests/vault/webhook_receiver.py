"""A receiver of signed webhooks with TLS."""

import contextlib
import json

from tests.receivers import Handler, listening


class Receiver:
    """What was called, and what is answered: a status and a body by step."""

    def __init__(self):
        self.calls = []
        self.answers = {}
        self.status = 204
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


@contextlib.contextmanager
def receiving_lines(certificate):
    """The same for calls that are no steps: all are answered with ``status``."""
    receiver = Receiver()

    class Called(Handler):
        def asked(self):
            receiver.calls.append((dict(self.headers.items()), self.body()))
            return self.answer(receiver.status)

    with listening(Called, certificate) as receiver.port:
        yield receiver
