"""How long the client waits for what."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    """All in seconds, but for ``stream_failures``. The defaults suit a server on its defaults."""

    fetch_timeout: float = 10.0
    """For a whole fetch; a long poll has ``poll_wait`` on top."""

    ready_within: float = 10.0
    """A stream that says nothing for so long at its start is held back by a proxy."""

    heartbeat: float = 45.0
    """An open stream without a byte for so long is dead: bookmarks come every 15 s."""

    stable: float = 10.0
    """A stream on which something is heard after so long works."""

    first_pause: float = 1.0
    """Before the second attempt, at most; doubled for each further one. The server's ``retry:``
    takes its place."""

    longest_pause: float = 30.0
    """Between two attempts, at most."""

    resync_jitter: float = 5.0
    """After ``resync`` clients spread their fetches over so long."""

    poll_wait: float = 30.0
    """How long the server holds a long poll."""

    poll_every: float = 10.0
    """Between polls that the server, or a proxy, answers at once."""

    sections_every: float = 60.0
    """Which sections are environment variables is asked anew after so long, at most, where it is wanted:
    no event tells of it."""

    stream_failures: int = 3
    """After so many failures in a row the client polls."""

    stream_again: float = 300.0
    """After so long of polling a stream is tried again."""
