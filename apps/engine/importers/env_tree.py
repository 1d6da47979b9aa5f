"""Folders with ``.env`` files: ``SERVICE/.env`` and, over it, ``SERVICE/.env.ENVIRONMENT``.

``.env.example`` and the like and ``.env.local`` are passed over: they are no configuration, or that
of one machine.
"""

import re
from typing import Final

from apps.engine import formats
from apps.engine.errors import MalformedError, Problem
from apps.engine.importers.reading import (
    Document,
    Files,
    Places,
    Reading,
    as_data,
    layered,
    read_files,
)
from apps.engine.values import Tree

PASSED_OVER: Final = ("example", "sample", "template", "dist", "local")
_NAME: Final = re.compile(r"(?P<service>.*)\.env(?:\.(?P<environment>.+))?")


def read(files: Files, places: Places) -> Reading:
    """The services in each environment that a file names, or else in the default one."""
    reading = Reading()

    def take(path: str, content: bytes) -> tuple[str, str | None, Tree] | None:
        *folders, name = path.split("/")
        match = _NAME.fullmatch(name)
        if match is None or (match["environment"] or "").rpartition(".")[2] in PASSED_OVER:
            return None
        service = match["service"] or (folders[-1] if folders else "")
        if not service:
            message = "A service is named by the folder that its .env files lie in."
            raise MalformedError(message, [Problem("", "service", message)])
        environment = None if match["environment"] is None else places.find(match["environment"])
        if match["environment"] and environment is None:
            message = f"There is no environment '{match['environment'][:100]}': map it to one."
            raise MalformedError(message, [Problem("", "environment", message)])
        return service, environment, formats.parse(content, "env").tree

    found = read_files(files, reading, take)
    named = sorted({where for _service, where, _tree in found.values() if where})
    for service in sorted({service for service, _where, _tree in found.values()}):
        for environment in named or [places.default]:
            chosen = {
                path: tree
                for wanted in (None, environment)
                for path, (name, where, tree) in found.items()
                if name == service and where == wanted
            }
            if chosen:
                tree = as_data(layered(chosen.values()))
                reading.documents.append(Document(service, environment, tree, tuple(chosen)))
    return reading
