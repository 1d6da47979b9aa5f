"""Where something answers: ``host:port``, ``[::1]:8080``, ``https://host/path``, ``unix:///run/x``.

URLs after RFC 3986, host names after RFC 1123 with the underscore that service discovery uses.
"""

import ipaddress
import re
from typing import Final, NamedTuple

MAX_TEXT: Final = 2_048
MAX_NAME: Final = 253
MAX_LABEL: Final = 63
PORTS: Final = range(1, 65_536)
_ADDRESS: Final = re.compile(
    r"(?:([A-Za-z][A-Za-z0-9+.-]*)://)?(?:([^\s/?#@]*)@)?"
    r"(\[[0-9A-Fa-f:.]+\]|[^\s/?#:@\[\]]+)?(?::([0-9]{1,5}))?([/?#]\S*)?"
)


class Endpoint(NamedTuple):
    """An address taken apart. ``scheme`` and ``host`` in lower case, ``port`` 0 and the others
    empty where they are not given; ``login`` says whether there is a user before the host, ``rest`` is
    path, query and fragment.
    """

    scheme: str
    host: str
    port: int
    rest: str = ""
    login: bool = False


def find_endpoint(text: str) -> Endpoint | None:
    """The parts of a URL with a host, or of ``host:port``; ``None`` when it is neither."""
    match = _ADDRESS.fullmatch(text) if len(text) <= MAX_TEXT else None
    if match is None:
        return None
    scheme, login, host, port, rest = match.groups()
    found = Endpoint(
        (scheme or "").lower(), (host or "").lower(), int(port or 0), rest or "", login is not None
    )
    if found.scheme == "unix" and not host:
        return found if len(found.rest) > 1 else None
    if not is_host(found.host) or (port and found.port not in PORTS):
        return None
    return found if found.scheme or (found.port and not found.rest and not found.login) else None


def is_host(text: str) -> bool:
    """Whether ``text`` is a host's name, an IPv4 address or an IPv6 address in brackets."""
    if text.startswith("["):
        return text.endswith("]") and is_ip(text[1:-1], 6)
    labels = text.removesuffix(".").split(".") if len(text) <= MAX_NAME else [""]
    if not all(map(_is_label, labels)):
        return False
    return not labels[-1].isdigit() or is_ip(text, 4)


def is_ip(text: str, version: int) -> bool:
    """Whether ``text`` is an address of that version of IP."""
    try:
        return ipaddress.ip_address(text).version == version
    except ValueError:
        return False


def is_local(host: str) -> bool:
    """Whether a host is this machine: what is sent there passes no network."""
    return host in ("localhost", "[::1]") or host.endswith(".localhost") or host.startswith("127.")


def _is_label(text: str) -> bool:
    plain = text.replace("-", "").replace("_", "")
    return (
        plain.isascii()
        and plain.isalnum()
        and len(text) <= MAX_LABEL
        and text[0] != "-"
        and text[-1] != "-"
    )
