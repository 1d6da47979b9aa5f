"""A configuration as environment variables.

A variable of a section of type environment variables stands under its own name. Of all others
``settings.hosts[0]`` is ``SETTINGS__HOSTS__0``: the steps of a key joined by ``__``, in capitals, with
``_`` for each character that is no letter, digit or underscore, and before a digit at the start. A text
is taken as it is; numbers, ``true`` and ``false`` as JSON writes them; null and what is empty sets
nothing.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from configsvc_agent.errors import RenderError
from configsvc_agent.paths import leaves, secret_names, shown, text_of
from configsvc_agent.sections import env_sections_of
from configsvc_client.keys import Path

_UNFIT: Final = re.compile(r"[^A-Za-z0-9_]", re.ASCII)
_OBEYED: Final = re.compile(r"LD_.*|DYLD_.*|PATH|IFS|ENV|BASH_ENV|BASH_FUNC_.*")
WITHHELD: Final = ("CONFIGSVC_TOKEN", "CONFIGSVC_AGENT_TOKEN")
"""The agent's own credentials, which a child does not inherit."""


def name_of(path: Path, *, prefix: str = "", keeps_case: bool = False) -> str:
    """The name of the variable for the key at ``path``."""
    name = prefix + _UNFIT.sub("_", "__".join(map(str, path)))
    name = name if keeps_case else name.upper()
    return f"_{name}" if name[:1].isdigit() else name


def variables(
    tree: Any,
    *,
    prefix: str = "",
    keeps_case: bool = False,
    revealed: bool = False,
    env_sections: Sequence[str] = (),
) -> dict[str, str]:
    """The variables of a configuration; unless its secrets are ``revealed``, what refers to one is
    left out. Those of ``env_sections`` have their own names, in their own case, behind the prefix.

    Raises :class:`RenderError` where two keys have one name, for a document that is no object, and
    for names that the loader or the shell obeys (``PATH``, ``LD_…``): a prefix makes others of them.
    """
    if not isinstance(tree, dict):
        raise RenderError("Environment variables are made of an object; choose one by --section.")
    found: dict[str, str] = {}
    paths: dict[str, Path] = {}
    rest = {key: value for key, value in tree.items() if key not in env_sections}
    named = [
        (name_of(path, prefix=prefix, keeps_case=keeps_case), path, value)
        for path, value in (leaves(rest) if rest else ())
    ]
    for name, path, value in [*_own(tree, env_sections, prefix), *named]:
        if value is None or isinstance(value, (dict, list)):
            continue
        if not revealed and secret_names(value):
            continue
        if name in found:
            raise RenderError(
                f"Two keys have the name {name}: {shown(paths[name])} and {shown(path)}."
            )
        if _OBEYED.fullmatch(name):
            raise RenderError(
                f"{shown(path)} would set {name}, which is not allowed: --env-prefix."
            )
        found[name], paths[name] = text_of(value), path
    return found


def _own(
    tree: dict[str, Any], env_sections: Sequence[str], prefix: str
) -> Iterator[tuple[str, Path, Any]]:
    """The name, path and value of each variable of these sections; of one name the last section's."""
    merged = {
        name: ((key, name), value)
        for key, section in env_sections_of(tree, env_sections)
        for name, value in section.items()
    }
    for name, (start, whole) in merged.items():
        for path, value in leaves(whole):
            own = name_of((name, *path), prefix=prefix, keeps_case=True)
            yield own, (*start, *path), value


def environment_of_child(
    own: Mapping[str, str], made: Mapping[str, str], *, pristine: bool = False
) -> dict[str, str]:
    """What the child gets: its configuration goes before what the agent itself was given.

    ``pristine`` inherits ``PATH`` alone. The agent's tokens are never inherited.
    """
    inherited = {name: value for name, value in own.items() if name not in WITHHELD}
    if pristine:
        inherited = {name: value for name, value in inherited.items() if name == "PATH"}
    return {**inherited, **made}
