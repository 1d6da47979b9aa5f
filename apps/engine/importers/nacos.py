"""What the console of Nacos exports: a ZIP archive of ``GROUP/DATA_ID`` with ``.metadata.yml``.

A data id is ``SERVICE.yaml`` or ``SERVICE-PROFILE.yaml``, as Spring Cloud Alibaba names them; one
without a suffix is read as ``.properties``, which is its default there. Several groups are several
variants of the same services, so one run takes one: ``DEFAULT_GROUP``, or the only one.
"""

from typing import Final

from apps.engine.errors import MalformedError, Problem
from apps.engine.importers.flat_names import joined, tree_of
from apps.engine.importers.reading import Files, Places, Reading, format_of, read_files
from apps.engine.values import Tree

METADATA: Final = (".metadata.yml", ".meta.yml")
DEFAULT_GROUP: Final = "DEFAULT_GROUP"


def read(files: Files, places: Places) -> Reading:
    """A document for each data id of the group."""
    reading = Reading()
    groups = {path.split("/")[0] for path in files if "/" in path}
    group = next(iter(groups)) if len(groups) == 1 else DEFAULT_GROUP

    def take(path: str, content: bytes) -> tuple[str, str, Tree] | None:
        if path.rpartition("/")[2] in METADATA:
            return None
        folder, _slash, data_id = path.rpartition("/")
        if folder != group:
            message = f"It is of the group '{folder[:100]}', and this run takes '{group}'."
            raise MalformedError(message, [Problem("", "group", message)])
        known = format_of(data_id)
        stem = data_id.rpartition(".")[0] if known else data_id
        service, environment = places.split(stem)
        tree = tree_of(data_id if known else f"{data_id}.properties", content)
        return service, environment or places.default, tree

    found = read_files(files, reading, take)
    reading.documents = joined((*where, path, tree) for path, (*where, tree) in found.items())
    return reading
