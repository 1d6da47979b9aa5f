"""Secrets that are easy to find again, and the search for them in all the forms a leak takes."""

import base64
import hashlib
import json
import secrets
import string
from urllib.parse import quote

LETTERS = string.ascii_letters + string.digits
PEM = "-----BEGIN PRIVATE KEY-----\n{}\n{}\n-----END PRIVATE KEY-----\n"
LEAST = 10
"""Shorter forms would be found by chance."""


def make(count):
    """``count`` values that occur nowhere else: 40 characters, digits, PEM and unicode in turn."""
    return [_KINDS[number % len(_KINDS)]() for number in range(count)]


def _letters(count):
    return "".join(secrets.choice(LETTERS) for _ in range(count))


_KINDS = [
    lambda: _letters(40),
    lambda: "".join(secrets.choice("123456789") for _ in range(30)),
    lambda: PEM.format(_letters(64), _letters(64)),
    lambda: f"pässwörd-{_letters(16)}-日本語-“{_letters(8)}”",
]


def forms(value):
    """The bytes by which a value is found, by the name of the form."""
    raw = value.encode()
    found = {
        "raw": raw,
        "hex": raw.hex().encode(),
        "HEX": raw.hex().upper().encode(),
        "percent": quote(value, safe="").encode(),
        "json": json.dumps(value)[1:-1].encode(),
        "json unicode": json.dumps(value, ensure_ascii=False)[1:-1].encode(),
        "repr": repr(value)[1:-1].encode(),
        "utf-16": value.encode("utf-16-le"),
        "utf-16-be": value.encode("utf-16-be"),
        **{name: hashlib.new(name, raw).hexdigest().encode() for name in HASHES},
        **{f"{name} bytes": hashlib.new(name, raw).digest() for name in HASHES},
    }
    for shift in range(3):
        coded = base64.b64encode(b"\0" * shift + raw)
        inside = coded[4 if shift else 0 : len(coded) // 4 * 4 - 4]
        found[f"base64 {shift}"] = inside
        found[f"base64url {shift}"] = inside.translate(bytes.maketrans(b"+/", b"-_"))
    lines = [line for line in value.splitlines() if "-----" not in line]
    if len(lines) > 1:
        found["first line"] = lines[0].encode()
    return {name: each for name, each in found.items() if len(each) >= LEAST}


HASHES = ("md5", "sha1", "sha256", "sha512")


def search(places, values):
    """Leaks as ``(place, number of the value, form)``; ``places`` are pairs of a name and bytes."""
    wanted = [(number, forms(value)) for number, value in enumerate(values)]
    return [
        (place, number, name)
        for place, content in places
        for number, each in wanted
        for name, form in each.items()
        if form in content
    ]
