"""Files from Jinja2 templates, in its sandbox. Jinja2 is loaded only where there is a template."""

import importlib
from pathlib import Path
from typing import Any

from configsvc_agent.errors import RenderError, UsageError
from configsvc_agent.formats import render
from configsvc_client import keys
from configsvc_client.numbers import dumps

MISSING = (
    "Templates need Jinja2, which is not installed: pip install 'configsvc-client[templates]'. "
    "Files in JSON, YAML, TOML, XML and .env need nothing."
)


class Template:
    """A template on disk, read anew each time; others of its folder may be included.

    In it: ``config`` (the document), ``service``, ``environment``, ``version``, ``key("a.b", default)``,
    and the filters ``tojson``, ``toyaml``, ``totoml``. A name or key that is not there is an error
    unless ``default(…)`` says otherwise. Raises :class:`UsageError` where Jinja2 is missing.
    """

    def __init__(self, path: Path) -> None:
        try:
            jinja2 = importlib.import_module("jinja2")
            sandbox = importlib.import_module("jinja2.sandbox")
        except ImportError as error:
            raise UsageError(MISSING) from error
        self._path, self._error = path, jinja2.TemplateError
        self._jinja = sandbox.ImmutableSandboxedEnvironment(
            loader=jinja2.FileSystemLoader(path.parent),
            undefined=jinja2.StrictUndefined,
            autoescape=False,  # configuration files are no HTML
            keep_trailing_newline=True,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._jinja.filters |= {
            "tojson": dumps,
            "toyaml": lambda tree: render(tree, "yaml").decode(),
            "totoml": lambda tree: render(tree, "toml").decode(),
        }

    def render(self, context: dict[str, Any]) -> bytes:
        """The file. Raises :class:`RenderError` that says where and why."""
        document = context["config"]

        def key(text: str, *default: Any) -> Any:
            found, value = keys.find(document, keys.parse(text))
            if found or default:
                return value if found else default[0]
            raise RenderError(f"There is no key {text}.")

        try:
            template = self._jinja.get_template(self._path.name)
            return str(template.render(**context, key=key)).encode()
        except RenderError as error:
            raise RenderError(f"{self._path}: {error}") from error
        except self._error as error:
            line = getattr(error, "lineno", None)
            where = f"{self._path}:{line}" if line else str(self._path)
            raise RenderError(f"{where}: {type(error).__name__}: {error}") from error
        except Exception as error:  # whatever an expression of the template does
            said = f"{type(error).__name__}: {error}"
            raise RenderError(f"{self._path}: {said}") from error
