"""Asking a server what publishing files would say, and telling it as text and as JUnit XML."""

import json
import re
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from configsvc_client.errors import AwayError, ConfigError
from configsvc_client.remote import OK, refusal
from configsvc_client.wire import Wire

FORMATS: Final = {
    ".json": "json",
    ".yaml": "yaml",
    ".yml": "yaml",
    ".toml": "toml",
    ".xml": "xml",
    ".env": "env",
    ".properties": "properties",
}
TIMEOUT: Final = 60.0
NOT_FOUND: Final = 404
_UNFIT: Final = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Document:
    """A file, and which configuration it is of."""

    path: Path
    service: str
    environment: str


@dataclass(frozen=True, slots=True)
class Report:
    """What the server says of a document: problems as the contract writes them."""

    document: Document
    errors: Sequence[dict[str, Any]]
    warnings: Sequence[dict[str, Any]]

    def lines(self) -> Iterator[str]:
        """One line for each problem, with its place in the file."""
        for kind, problems in (("error", self.errors), ("warning", self.warnings)):
            for each in problems:
                yield f"{self._place(each)}: {kind}: {_said(each)}"

    def _place(self, problem: dict[str, Any]) -> str:
        service, environment = problem.get("service"), problem.get("environment")
        here = (self.document.service.lower(), self.document.environment.lower())
        if service and (service.lower(), str(environment).lower()) != here:
            return f"{service}@{environment}"
        numbers = [str(problem[name]) for name in ("line", "column") if problem.get(name)]
        return ":".join([str(self.document.path), *numbers])


def find_documents(path: Path, service: str, environment: str) -> list[Document]:
    """The files that ``path`` is or has below it, sorted.

    With an ``environment`` each is of the service that it is named after (or of ``service``, when it
    is one); without, its folder names the service, and it the environment. Raises
    :class:`ValueError` for what cannot be told.
    """
    if path.is_file():
        files = [path]
    elif service:
        raise ValueError("--service is for a single file.")
    else:
        files = [each for each in sorted(path.rglob("*")) if _is_taken(each, path)]
    if not files:
        raise ValueError(f"There is no configuration file in {path}.")
    unknown = [each for each in files if each.suffix.lower() not in FORMATS]
    if unknown:
        raise ValueError(f"{unknown[0]} is none of {', '.join(FORMATS)}.")
    if environment:
        return [Document(each, service or each.stem, environment) for each in files]
    return [Document(each, service or each.absolute().parent.name, each.stem) for each in files]


def _is_taken(file: Path, folder: Path) -> bool:
    hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
    return file.is_file() and not hidden and file.suffix.lower() in FORMATS


def validate(
    wire: Wire, token: Callable[[], str], documents: Iterable[Document]
) -> Iterator[Report]:
    """Each document's report; a configuration that is not there is its error.

    Raises :class:`ConfigError` for what else the server refuses, and :class:`AwayError` when it
    cannot be asked.
    """
    for each in documents:
        body = {
            "service": each.service,
            "environment": each.environment,
            "content": _read(each.path),
            "format": FORMATS[each.path.suffix.lower()],
        }
        try:
            answer = _ask(wire, token(), json.dumps(body).encode())
        except ConfigError as error:
            if error.status != NOT_FOUND:
                raise
            message = f"There is no {each.service} in {each.environment} that this token may read."
            answer = {"errors": [{"message": message, "code": error.code}], "warnings": []}
        yield Report(each, answer["errors"], answer["warnings"])


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8.") from error


def _ask(wire: Wire, token: str, body: bytes) -> dict[str, Any]:
    headers = {
        "Authorization": f"Bearer {token}",
        "Accept": "application/json",
        "Content-Type": "application/json",
        "User-Agent": "configsvc-client/0.1",
    }
    with wire.post("/validate", body, headers, TIMEOUT) as reply:
        told = reply.read_all(time.monotonic() + TIMEOUT)
        if reply.status != OK:
            raise refusal(reply, told)
    try:
        answer = json.loads(told)
        return {name: [dict(each) for each in answer[name]] for name in ("errors", "warnings")}
    except (ValueError, KeyError, TypeError) as error:
        raise AwayError("The answer is not one of a configuration service.") from error


def junit(reports: Iterable[Report]) -> str:
    """The reports as JUnit XML, a test case for each document, as pipelines read it."""
    suite = ET.Element("testsuite", name="configsvc validate")
    counted = 0
    failed = 0
    for report in reports:
        counted += 1
        failed += bool(report.errors)
        document = report.document
        case = ET.SubElement(
            suite,
            "testcase",
            classname=_plain(f"{document.environment}.{document.service}"),
            name=_plain(str(document.path)),
            file=_plain(str(document.path)),
        )
        lines = list(report.lines())
        if report.errors:
            message = (
                f"{len(report.errors)} problem(s) must be solved before this can be published."
            )
            failure = ET.SubElement(case, "failure", message=message, type="invalid")
            failure.text = _plain("\n".join(lines))
        elif lines:
            ET.SubElement(case, "system-out").text = _plain("\n".join(lines))
    suite.attrib |= {"tests": str(counted), "failures": str(failed), "errors": "0"}
    return ET.tostring(suite, encoding="unicode", xml_declaration=True)


def _said(problem: dict[str, Any]) -> str:
    where = "" if problem.get("line") else f"{problem.get('pointer') or '(all)'} "
    return f"{where}{problem.get('message', '')} ({problem.get('code', '')})"


def _plain(text: str) -> str:
    """``text`` without what XML 1.0 cannot hold."""
    return _UNFIT.sub("\ufffd", text)
