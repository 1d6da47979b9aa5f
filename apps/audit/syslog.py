"""Messages to a syslog collector: RFC 5424, over UDP, TCP, TLS (RFC 5425) or the local socket.

Over TCP and TLS each batch has a connection of its own, which is closed for writing behind the last
byte; the collector answers by closing too once it has read everything. A collector that died
meanwhile is noticed so, where a connection that is kept open would take some more into the void.
"""

import os
import re
import socket
import ssl
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

APPLICATION = "configsvc"
LOG_AUDIT = 13
INFORMATIONAL, WARNING = 6, 4
TIMEOUT = 5.0
MAX_DATAGRAM = 60_000
PORTS = {"udp": 514, "tcp": 601, "tls": 6514}  # RFC 5426, RFC 6587's usual, RFC 5425


@dataclass(frozen=True, slots=True)
class Message:
    """One message: when, of what kind, its text in ASCII, and a shorter one for datagrams."""

    at: str
    kind: str
    text: str
    short: str
    warns: bool = False

    def octets(self, text: str = "") -> bytes:
        """The message in the form of RFC 5424, section 6."""
        priority = LOG_AUDIT * 8 + (WARNING if self.warns else INFORMATIONAL)
        host = re.sub(r"[^!-~]", "-", socket.gethostname())[:255] or "-"
        kind = re.sub(r"[^!-~]", "-", self.kind)[:32] or "-"
        head = f"<{priority}>1 {self.at} {host} {APPLICATION} {os.getpid()} {kind} - "
        return (head + (text or self.text)).encode("ascii")


def send(messages: Sequence[Message], address: str, authorities: str = "") -> None:
    """Hand the messages to the collector at ``address``: ``udp://host:514``, ``tcp://…``,
    ``tls://…`` or ``unix:///dev/log``; ``authorities`` is a file of certificates to trust.

    Raises :class:`OSError` when it cannot be reached or did not take them all.
    """
    place = urlsplit(address)
    if place.scheme == "unix":
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as local:
            local.settimeout(TIMEOUT)
            local.connect(place.path)
            _send_datagrams(local, messages)
        return
    where = (place.hostname or "", place.port or PORTS[place.scheme])
    if place.scheme == "udp":
        kind = socket.getaddrinfo(*where, type=socket.SOCK_DGRAM)[0]
        with socket.socket(kind[0], socket.SOCK_DGRAM) as sender:
            sender.settimeout(TIMEOUT)
            sender.connect(kind[4])
            _send_datagrams(sender, messages)
        return
    octets = b"".join(_framed(each.octets()) for each in messages)
    with socket.create_connection(where, timeout=TIMEOUT) as stream:
        if place.scheme == "tls":
            _send_tls(stream, octets, where[0], authorities)
            return
        stream.sendall(octets)
        stream.shutdown(socket.SHUT_WR)
        _wait_for_end(stream)


def _wait_for_end(stream: socket.socket) -> None:
    """Until the collector closes; one that says something forever is none."""
    ends = time.monotonic() + TIMEOUT
    while stream.recv(4_096):
        if time.monotonic() > ends:
            raise TimeoutError("The collector does not close the connection.")


def _framed(octets: bytes) -> bytes:
    """A message behind its length (RFC 6587, 3.4.1; RFC 5425, 4.3)."""
    return f"{len(octets)} ".encode("ascii") + octets


def _send_datagrams(sender: socket.socket, messages: Sequence[Message]) -> None:
    for each in messages:
        octets = each.octets()
        sender.send(octets if len(octets) <= MAX_DATAGRAM else each.octets(each.short))


def _send_tls(stream: socket.socket, octets: bytes, host: str, authorities: str) -> None:
    context = ssl.create_default_context(cafile=authorities or None)
    with context.wrap_socket(stream, server_hostname=host) as tls:
        tls.sendall(octets)
        # a collector that closes without TLS's own last word has read everything all the same
        with suppress(ssl.SSLEOFError, ssl.SSLZeroReturnError):
            tls.unwrap()  # says that this was all, and waits for the other's word
