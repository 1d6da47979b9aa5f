"""Where the server may connect to: public addresses, and the networks that somebody allowed."""

import ipaddress

import pytest

from apps.core.addresses import check_address, find_address, is_allowed
from apps.core.outgoing import read_https
from apps.engine.errors import InvalidError, UnavailableError

PRIVATE = [ipaddress.ip_network("10.1.0.0/16"), ipaddress.ip_network("127.0.0.0/8")]
EVERYTHING = [ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0")]
NEVER = [
    "169.254.169.254",
    "169.254.1.1",
    "168.63.129.16",
    "100.100.100.200",
    "0.0.0.0",  # noqa: S104 - to be refused
    "0.1.2.3",
    "224.0.0.1",
    "255.255.255.255",
    "::",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b::808:808",
    "64:ff9b:1::a00:1",
    "2002:7f00:1::1",
    "2002:a9fe:a9fe::",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "fd00:ec2::254",
    "fd20:ce::254",
    "fe80::1",
    "fec0::1",
    "::ffff:0:7f00:1",
    "fe80::1%eth0",
    "ff02::1",
]
INSIDE = ["127.0.0.1", "127.8.8.8", "10.0.0.1", "172.16.5.5", "192.168.1.1", "100.64.0.1"]
INSIDE_6 = ["::1", "fc00::1", "fd12:3456::1"]


@pytest.mark.parametrize("text", NEVER)
def test_address__metadata_link_local_or_hidden__is_never_allowed(text):
    assert not is_allowed(ipaddress.ip_address(text), EVERYTHING)


@pytest.mark.parametrize("text", [*INSIDE, *INSIDE_6])
def test_address__of_a_private_network__needs_the_setting(text):
    assert not is_allowed(ipaddress.ip_address(text), [])
    assert is_allowed(ipaddress.ip_address(text), EVERYTHING)


@pytest.mark.parametrize(
    ("text", "allowed"),
    [("10.1.2.3", True), ("10.2.0.1", False), ("127.0.0.1", True), ("8.8.8.8", True)],
)
def test_address__allowed_networks__are_those_and_no_others(text, allowed):
    assert is_allowed(ipaddress.ip_address(text), PRIVATE) is allowed


@pytest.mark.parametrize("text", ["8.8.8.8", "93.184.216.34", "2606:4700:4700::1111"])
def test_address__public__is_allowed(text):
    assert is_allowed(ipaddress.ip_address(text), [])
    check_address(text)


@pytest.mark.parametrize("host", ["localhost", "127.1", "0x7f.0.0.1", "2130706433", "127.0.0.1"])
def test_find_address__ways_of_writing_loopback__are_refused_and_say_what_to_set(host):
    with pytest.raises(InvalidError, match="CONFIGSVC_PRIVATE_TARGETS"):
        find_address(host, 443)


def test_find_address__allowed__is_the_address_to_use(settings):
    settings.PRIVATE_TARGETS = PRIVATE

    assert find_address("127.0.0.1", 443) == "127.0.0.1"


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 70 + ".example"])
def test_find_address__no_address__is_unavailable(host):
    with pytest.raises(UnavailableError):
        find_address(host, 443)


@pytest.mark.parametrize(
    "text",
    [
        "http://example.com/",
        "https://",
        "https:///path",
        "https://user:word@example.com/",
        "https://user@example.com/",
        "https://example.com:99999/",
        "https://example.com/#part",
        "https://exam ple.com/",
        "https://example.com/\nHost: other",
        "https://[::1/",
        "ftp://example.com/",
        "",
    ],
)
def test_read_https__what_is_none__is_refused(text):
    with pytest.raises(InvalidError):
        read_https(text)


def test_read_https__parts__are_as_they_stand():
    target = read_https("https://hooks.example.com:8443/rotate?a=1")

    assert (target.host, target.port, target.path) == ("hooks.example.com", 8443, "/rotate?a=1")
    assert target.authority == "hooks.example.com:8443"
    assert read_https("https://[2606:4700::1]/").authority == "[2606:4700::1]"
