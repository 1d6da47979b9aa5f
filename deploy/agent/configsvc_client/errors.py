"""What can go wrong with a server: it refuses, or it is away."""


class ConfigError(Exception):
    """The server refuses, or there is nothing to start with.

    ``status`` is the HTTP status (503 when the server is away and there is no copy), ``code`` the
    stable code of the server's answer, or empty.
    """

    def __init__(self, status: int, detail: str, code: str = "") -> None:
        super().__init__(f"{status}: {detail}")
        self.status = status
        self.code = code


class AwayError(Exception):
    """The server cannot be reached or is not well: asking again, ``retry_after`` s later, may help."""

    def __init__(self, detail: str, retry_after: float = 0.0) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class NoStreamError(AwayError):
    """There are no streams at this address; only polling is left."""
