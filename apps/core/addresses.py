"""Where the server may connect to: an address is looked up once, judged, and then used as it is.

Public addresses may be called, and those of the networks in ``settings.PRIVATE_TARGETS``. Link-local
addresses and the metadata services of clouds never are, nor are forms that hide an IPv4 address in
an IPv6 one: mapped and compatible (RFC 4291, 2.5.5), NAT64 (RFC 6052, RFC 8215), 6to4 (RFC 3056)
and Teredo (RFC 4380).
"""

import ipaddress
import socket
from collections.abc import Sequence
from typing import Final

from django.conf import settings

from apps.engine.errors import InvalidError, UnavailableError, invalid

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

NEVER: Final[tuple[IPNetwork, ...]] = tuple(
    ipaddress.ip_network(each)
    for each in (
        "0.0.0.0/8",
        "169.254.0.0/16",  # link-local, and the metadata service of most clouds
        "168.63.129.16/32",  # Azure's
        "100.100.100.200/32",  # Alibaba Cloud's
        "192.0.0.192/32",  # Oracle Cloud's
        "224.0.0.0/4",
        "255.255.255.255/32",
        "::/96",  # unspecified, and IPv4-compatible; loopback is judged before
        "::ffff:0:0/96",  # IPv4-mapped
        "::ffff:0:0:0/96",  # IPv4-translated (RFC 2765)
        "64:ff9b::/96",  # NAT64
        "64:ff9b:1::/48",  # local-use NAT64
        "2001::/32",  # Teredo
        "2002::/16",  # 6to4
        "fd00:ec2::/32",  # metadata of Amazon
        "fd20:ce::/32",  # metadata of Google
        "fe80::/10",
        "fec0::/10",  # site-local, deprecated (RFC 3879)
        "ff00::/8",
    )
)
LOOPBACK_6: Final = ipaddress.IPv6Address("::1")


def network_of(text: str) -> str:
    """What one customer has whole: an IPv4 address, or the /64 of an IPv6 one (RFC 6177).

    Other text is given back as it is.
    """
    try:
        parsed = ipaddress.ip_address(text)
    except ValueError:
        return text
    if parsed.version == 4:  # noqa: PLR2004 - the protocol's version
        return text
    return str(ipaddress.ip_network((parsed, 64), strict=False))


def find_address(host: str, port: int) -> str:
    """The IP address to connect to for ``host``: that one, and no second look-up.

    Raises :class:`UnavailableError` when the name has no address, and :class:`InvalidError` (code
    ``address``) when any of its addresses may not be called.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise UnavailableError(f"The name {host} has no address.") from None
    texts = [str(each[4][0]) for each in found]
    for text in texts:
        check_address(text)
    return texts[0]


def check_address(text: str) -> None:
    """Raise :class:`InvalidError` (code ``address``) for an address that may not be called."""
    if not is_allowed(ipaddress.ip_address(text), settings.PRIVATE_TARGETS):
        raise refused()


def refused() -> InvalidError:
    """What is said of an address that may not be called."""
    return invalid(
        "/address",
        "address",
        "This address is not a public one. Networks of your own are allowed by the setting "
        "CONFIGSVC_PRIVATE_TARGETS.",
    )


def is_allowed(address: IPAddress, private: Sequence[IPNetwork]) -> bool:
    """Whether ``address`` is public, or in one of the ``private`` networks that were allowed."""
    if getattr(address, "scope_id", None):
        return False
    if address != LOOPBACK_6 and any(address in each for each in NEVER):
        return False
    return address.is_global or any(address in each for each in private)
