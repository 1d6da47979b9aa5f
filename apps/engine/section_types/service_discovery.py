"""Service discovery: where other services are reached, by the name of the service.

    payments:
      policy: weighted            one of POLICIES
      endpoints:                  text or object, each once
        - payments-a.internal:8443
        - "[2001:db8::7]:8443"
        - {url: "grpc://payments-b.internal:8443", weight: 3}
        - {host: payments-c.internal, port: 8443, weight: 0}
      health: {path: /healthz, interval: 10s, timeout: 2s}    or the path, or a URL
      timeout: 1s

A weight is a number from 0 on, 1 where none is given, and what counts is its part of their sum.
Members whose names end as those in ``spans`` are spans of time. Other members are free.
"""

from typing import Any, Final, NamedTuple

from apps.engine.endpoints import Endpoint, find_endpoint, is_host, is_ip
from apps.engine.paths import Path
from apps.engine.section_types.section_type import Findings, SectionType, find_number
from apps.engine.section_types.spans import SPAN, check_spans, find_span
from apps.engine.values import Tree

POLICIES: Final = (
    "round-robin",
    "least-connections",
    "weighted",
    "first-healthy",
    "random",
    "consistent-hash",
)
_SCHEMES: Final = (
    "http https http2 h2c ws wss grpc grpcs tcp tcps tls ssl udp unix dns quic thrift "
    "amqp amqps mqtt mqtts nats kafka stomp redis rediss memcached postgres postgresql mysql mariadb "
    "mssql oracle mongodb mongodb+srv cassandra elasticsearch clickhouse etcd consul zookeeper "
    "ldap ldaps smtp smtps imap imaps ftp ftps sftp ssh s3 gs bolt neo4j"
)
SCHEMES: Final = frozenset(_SCHEMES.split())
_SHAPE: Final = (
    "This is no endpoint: write host:port, [IPv6]:port or scheme://host, or an object with url, or "
    "with host and port."
)


class Row(NamedTuple):
    """An endpoint as it is shown. ``share``: its percentage by weights, if all are known."""

    address: str
    weight: float | None
    share: float | None


class Entry(NamedTuple):
    """A service as it is shown."""

    name: str
    policy: str
    health: str
    endpoints: list[Row]


def list_entries(section: Tree) -> list[Entry]:
    """The services of a section by name, with their endpoints; what has another shape is left out."""
    entries = section if isinstance(section, dict) else {}
    return [
        Entry(
            name,
            _shown(entry.get("policy")),
            _health(entry.get("health")),
            _rows(entry.get("endpoints")),
        )
        for name, entry in sorted(entries.items())
        if isinstance(entry, dict)
    ]


def _shown(value: Tree) -> str:
    return value if isinstance(value, str) else ""


def _health(value: Tree) -> str:
    if isinstance(value, dict):
        value = value.get("path", value.get("url"))
    return _shown(value)


def _rows(endpoints: Tree) -> list[Row]:
    items = endpoints if isinstance(endpoints, list) else []
    weights = [_weight(item) for item in items]
    known = [weight for weight in weights if weight is not None]
    total = sum(known) if len(known) == len(items) else 0
    return [
        Row(_address(item), weight, weight * 100 / total if total and weight is not None else None)
        for item, weight in zip(items, weights, strict=True)
    ]


def _address(item: Tree) -> str:
    if not isinstance(item, dict):
        return _shown(item)
    if "url" in item:
        return _shown(item["url"])
    host, port = _shown(item.get("host")), item.get("port")
    host = f"[{host}]" if is_ip(host, 6) else host
    return f"{host}:{port}" if isinstance(port, int) else host


def _weight(item: Tree) -> float | None:
    return find_number(item.get("weight", 1)) if isinstance(item, dict) else 1


def _examine(section: dict[str, Tree], findings: Findings) -> None:
    for name, entry in section.items():
        if isinstance(entry, dict):
            check_spans((name,), entry, findings)
            _check_health((name, "health"), entry.get("health"), findings)
            _check_endpoints((name, "endpoints"), entry.get("endpoints"), findings)


def _check_health(path: Path, health: Tree, findings: Findings) -> None:
    if isinstance(health, str):
        _check_probe(path, health, findings)
    if not isinstance(health, dict):
        return
    for name in ("path", "url"):
        if isinstance(health.get(name), str):
            _check_probe((*path, name), health[name], findings)
    check_spans(path, health, findings)
    timeout, interval = (find_span(each, health.get(each)) for each in ("timeout", "interval"))
    if timeout and interval and timeout.is_more_than(interval):
        message = "The timeout is longer than the interval: checks would overlap."
        findings.error((*path, "timeout"), "timeout", message, (*path, "interval"))


def _check_probe(path: Path, text: str, findings: Findings) -> None:
    url = find_endpoint(text) if "://" in text else None
    if not text.startswith("/") and (url is None or url.scheme not in ("http", "https")):
        findings.error(path, "health", "Health is a path that begins with /, or an http(s) URL.")


def _check_endpoints(path: Path, endpoints: Tree, findings: Findings) -> None:
    if not isinstance(endpoints, list):
        return
    seen: set[Endpoint] = set()
    for index, item in enumerate(endpoints):
        found = _check_endpoint((*path, index), item, findings)
        if found in seen:
            findings.error((*path, index), "duplicate", "This endpoint stands here twice.")
        elif found is not None:
            seen.add(found)
    weights = [_weight(item) for item in endpoints]
    if endpoints and all(weight == 0 for weight in weights):
        findings.error(path, "weights", "All weights are 0: nothing would be reached.")


def _check_endpoint(path: Path, item: Tree, findings: Findings) -> Endpoint | None:
    """Note what is wrong with an endpoint; what it is, when it is known and right."""
    if isinstance(item, dict):
        return _check_object(path, item, findings)
    return _check_text(path, item, findings) if isinstance(item, str) else None


def _check_object(path: Path, item: dict[str, Tree], findings: Findings) -> Endpoint | None:
    if ("url" in item) == ("host" in item):
        findings.error(path, "endpoint", "An endpoint has either a url, or a host and a port.")
        return None
    if "url" in item:
        url = item["url"]
        return _check_text((*path, "url"), url, findings) if isinstance(url, str) else None
    host, port = item["host"], item.get("port")
    if "port" not in item:
        findings.error(path, "endpoint", "An endpoint with a host needs a port.")
    if not isinstance(host, str):
        return None
    name = f"[{host}]" if is_ip(host, 6) else host.lower()
    if not is_host(name):
        findings.error((*path, "host"), "host", "This is no host's name and no IP address.")
    return Endpoint("", name, port) if isinstance(port, int) else None


def _check_text(path: Path, text: str, findings: Findings) -> Endpoint | None:
    found = find_endpoint(text)
    if found is None or (path[-1] == "url" and not found.scheme):
        message = "An IPv6 address stands in brackets." if is_ip(text, 6) else _SHAPE
        findings.error(path, "endpoint", message)
        return None
    if found.scheme and found.scheme not in SCHEMES:
        findings.warn(path, "scheme", "This scheme is not a usual one: is it written right?")
    return found


_ENDPOINT: Final[dict[str, Any]] = {
    "type": ["string", "object"],
    "properties": {
        "url": {"type": "string", "description": "scheme://host, with a port where it needs one"},
        "host": {"type": "string", "description": "A name, or an IPv4 or IPv6 address"},
        "port": {"type": "integer", "minimum": 1, "maximum": 65535},
        "weight": {
            "type": "number",
            "minimum": 0,
            "description": "Its part of the sum; 1 if absent",
        },
    },
}
_HEALTH: Final[dict[str, Any]] = {
    "type": ["string", "object"],
    "description": "The path that says whether it is well, or how it is asked",
    "examples": ["/healthz"],
    "properties": {
        "path": {"type": "string", "examples": ["/healthz"]},
        "url": {"type": "string"},
        "interval": {**SPAN, "description": "How often it is asked"},
        "timeout": {**SPAN, "description": "How long an answer may take; at most the interval"},
        "healthy_after": {"type": "integer", "minimum": 1, "description": "Good answers in a row"},
        "unhealthy_after": {"type": "integer", "minimum": 1, "description": "Bad ones in a row"},
    },
}
TYPE: Final = SectionType(
    name="service_discovery",
    label="Service discovery",
    description="Where other services are reached: endpoints, weights, health, balancing policy.",
    schema={
        "type": "object",
        "additionalProperties": {
            "type": "object",
            "required": ["endpoints"],
            "properties": {
                "endpoints": {"type": "array", "minItems": 1, "items": _ENDPOINT},
                "policy": {"enum": list(POLICIES), "description": "How one of them is chosen"},
                "health": _HEALTH,
                "timeout": {**SPAN, "description": "How long an answer may take"},
            },
        },
    },
    example={
        "payments": {
            "policy": "weighted",
            "endpoints": [
                {"host": "payments-a.internal", "port": 8443, "weight": 3},
                {"host": "payments-b.internal", "port": 8443, "weight": 1},
            ],
            "health": {"path": "/healthz", "interval": "10s", "timeout": "2s"},
            "timeout": "1s",
        }
    },
    examine=_examine,
)
