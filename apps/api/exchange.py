"""Export and import of the installation, or of what other systems keep."""

from typing import Any

from django.http import HttpResponse
from rest_framework.exceptions import UnsupportedMediaType

from apps.access import policy
from apps.api.base import ApiView, answer_json, bad_member, read_body, read_flag
from apps.api.documentation import EXPORT, IMPORT, documented
from apps.configs.services.bringing import Run, bring
from apps.configs.services.exporting import export_tree
from apps.configs.services.import_report import REFUSED, Row
from apps.delivery.reads import note_given
from apps.engine.importers.reading import packed, unpacked
from apps.engine.values import Tree
from apps.registry.selectors import get_default_environment

SINGLE = {"application/json": "import.json", "application/yaml": "import.yaml"}


class ExportView(ApiView):
    """What the caller may read, as a ZIP archive of a folder tree."""

    @documented("Export services, templates and rules as a ZIP archive", EXPORT)
    def get(self, request: Any) -> HttpResponse:
        """``service`` and ``environment`` (repeat) narrow it. Values of secrets are not in it."""
        exported = export_tree(
            actor=self.actor,
            services=request.GET.getlist("service"),
            environments=request.GET.getlist("environment"),
        )
        note_given(actor=self.actor, given=exported.given)
        answer = HttpResponse(packed(exported.files), content_type="application/zip")
        answer["Content-Disposition"] = 'attachment; filename="configsvc.zip"'
        answer["Cache-Control"] = "private, no-store"
        return answer


class ImportView(ApiView):
    """Bringing in an export, or what another system keeps."""

    @documented("Import an export, or what another system keeps", IMPORT)
    def post(self, request: Any) -> HttpResponse:
        """``from`` says of which kind; ``map=THERE:HERE`` (repeat) how environments are called here.
        All of it or nothing: 422 with the same rows when one is refused. Sections and rules that
        live configurations fail are refused unless ``acknowledge=true``.
        """
        return self.once(
            lambda: self._bring(request), lambda: policy.require_anywhere(self.actor, "publish")
        )

    def _bring(self, request: Any) -> HttpResponse:
        policy.require_anywhere(self.actor, "publish")
        dry_run = read_flag(request.GET.get("dry_run"), "dry_run")
        environment = request.GET.get("environment") or self.actor.environment
        rows = bring(
            actor=self.actor,
            kind=request.GET.get("from", ""),
            files=_files(request),
            default=environment or get_default_environment().slug,
            mapped=_mapped(request.GET.getlist("map")),
            run=Run(dry_run, read_flag(request.GET.get("acknowledge"), "acknowledge")),
        )
        refused = any(row.status == REFUSED for row in rows)
        data: dict[str, Tree] = {"results": [_present(row) for row in rows], "stored": not refused}
        if dry_run:
            data |= {"dry_run": True, "stored": False}
        return answer_json(data, 422 if refused else 200)


def _files(request: Any) -> dict[str, bytes]:
    kind = str(request.META.get("CONTENT_TYPE", "")).partition(";")[0].strip()
    if kind == "application/zip":
        return unpacked(read_body(request))
    if kind not in SINGLE:
        raise UnsupportedMediaType(kind)
    return {request.GET.get("file") or SINGLE[kind]: read_body(request)}


def _mapped(texts: list[str]) -> dict[str, str]:
    if any(":" not in each for each in texts):
        raise bad_member("map", "'map' is written THERE:HERE, as in prod:production.")
    return {there: here for there, _colon, here in (each.partition(":") for each in texts)}


def _present(row: Row) -> Tree:
    members: dict[str, Tree] = {"kind": row.kind, "name": row.name, "status": row.status}
    if row.version is not None:
        members["version"] = row.version
    return {
        **members,
        "files": list(row.files),
        "errors": [each.as_dict() for each in row.errors],
        "warnings": [each.as_dict() for each in row.warnings],
    }
