"""Writing a configuration as a file, as the server writes it: the same bytes, YAML aside, which is
the same document.
"""

from collections.abc import Callable
from typing import Any, Final

from configsvc_agent.errors import RenderError
from configsvc_agent.formats import env, toml, xml, yaml
from configsvc_client.numbers import dumps


def render_json(tree: Any) -> str:
    """JSON on many lines."""
    return dumps(tree, indent="  ") + "\n"


FORMATS: Final[dict[str, Callable[[Any], str]]] = {
    "json": render_json,
    "yaml": yaml.render,
    "toml": toml.render,
    "xml": xml.render,
    "env": env.render,
}
MEDIA_TYPES: Final = {
    "json": "application/json",
    "yaml": "application/yaml",
    "toml": "application/toml",
    "xml": "application/xml",
    "env": "text/x-dotenv",
}


def render(tree: Any, name: str, *, revealed: bool = False) -> bytes:
    """``tree`` in the format ``name``; ``revealed`` says that its secrets have their values.

    Raises :class:`RenderError` for what the format cannot hold.
    """
    try:
        if name == "env":
            return env.render(tree, revealed=revealed).encode()
        return FORMATS[name](tree).encode()
    except UnicodeEncodeError as error:
        raise RenderError("A text has half of a surrogate pair in it.") from error
