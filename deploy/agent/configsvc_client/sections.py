"""What the server says of a service's sections: which of them are environment variables."""

import json
import urllib.parse
from typing import Any, Final

from configsvc_client.errors import AwayError

ENVIRONMENT_VARIABLES: Final = "environment_variables"


def env_keys(body: bytes) -> list[str]:
    """The keys of those sections of a page that are of this type, in its order.

    Raises :class:`AwayError` for what is no such page.
    """
    try:
        return [
            str(each["key"])
            for each in _page(body)["results"]
            if each["type"] == ENVIRONMENT_VARIABLES
        ]
    except (KeyError, TypeError) as error:
        raise AwayError("The answer is no page of sections: a proxy's?") from error


def following(body: bytes) -> str:
    """The cursor of the page after this one; empty after the last."""
    link = urllib.parse.urlsplit(str(_page(body).get("next") or ""))
    return urllib.parse.parse_qs(link.query).get("cursor", [""])[-1]


def _page(body: bytes) -> dict[str, Any]:
    try:
        return dict(json.loads(body))
    except (ValueError, TypeError, RecursionError) as error:
        raise AwayError("The answer is no page of sections: a proxy's?") from error
