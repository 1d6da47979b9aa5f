"""Import and export in the portal: try what a file would do, then do it; take an export away."""

from typing import Any

from django.http import HttpRequest, HttpResponse

from apps.access import policy
from apps.configs.selectors.places import list_environments, list_services
from apps.configs.services.bringing import READERS, TREE, Run, bring
from apps.configs.services.exporting import export_tree
from apps.configs.services.import_report import REFUSED, Row
from apps.delivery.reads import note_given
from apps.engine.errors import DomainError, MalformedError
from apps.engine.importers.reading import packed, unpacked
from apps.portal.shared import note, reader_of, render
from apps.portal.shared import page as guarded_page
from apps.registry.selectors import get_default_environment

KINDS = {
    TREE: "An export of configsvc",
    "kubernetes": "Kubernetes manifests (ConfigMaps and Secrets)",
    "spring": "A Spring Cloud Config repository",
    "env": "Folders with .env files",
    "consul": "An export of Consul KV",
    "nacos": "An export of Nacos",
    "apollo": "An export of Apollo",
}
assert set(KINDS) == {TREE, *READERS}  # noqa: S101 - each has its words


@guarded_page
def page(request: HttpRequest) -> HttpResponse:
    """The form, and what a file would do or did."""
    actor = reader_of(request)
    policy.require_anywhere(actor, "read")
    rows: list[Row] = []
    refusal: DomainError | None = None
    trying = request.POST.get("act") != "import"
    if request.method == "POST":
        policy.require_anywhere(actor, "publish")
        try:
            rows = _bring(request, dry_run=trying)
        except DomainError as error:
            note(request, error)
            refusal = error
    refused = any(row.status == REFUSED for row in rows)
    answer = render(
        request,
        "portal/exchange.html",
        title="Import and export",
        kinds=KINDS,
        asked={
            name: request.POST.get(name, "")
            for name in ("kind", "environment", "mapped", "act", "acknowledge")
        },
        environments=list_environments(actor=actor),
        services=list_services(actor=actor),
        default=get_default_environment().slug,
        rows=rows,
        changed=sum(row.status in ("created", "updated") for row in rows),
        refused=refused,
        refusal=refusal,
        stored=bool(rows) and not refused and not trying,
        may_import=policy.holds_anywhere(actor, "publish"),
    )
    answer.status_code = 422 if refused or refusal else 200
    return answer


def _bring(request: HttpRequest, *, dry_run: bool) -> list[Row]:
    given: Any = request.FILES.get("file")
    if given is None:
        raise MalformedError("Choose a file: a ZIP archive, or a single YAML or JSON file.")
    content = given.read()
    archive = given.name.lower().endswith(".zip")
    return bring(
        actor=reader_of(request),
        kind=request.POST.get("kind", ""),
        files=unpacked(content) if archive else {given.name: content},
        default=request.POST.get("environment") or get_default_environment().slug,
        mapped=_mapped(request.POST.get("mapped", "")),
        run=Run(dry_run, bool(request.POST.get("acknowledge"))),
    )


def _mapped(text: str) -> dict[str, str]:
    pairs = [each.partition("=") for each in text.split()]
    if any(not equals for _there, equals, _here in pairs):
        raise MalformedError("Names of environments are mapped as in prod=production.")
    return {there: here for there, _equals, here in pairs}


@guarded_page
def export(request: HttpRequest) -> HttpResponse:
    """A ZIP archive of what the person may read."""
    actor = reader_of(request)
    exported = export_tree(
        actor=actor,
        services=[each for each in request.GET.getlist("service") if each],
        environments=[each for each in request.GET.getlist("environment") if each],
    )
    note_given(actor=actor, given=exported.given)
    answer = HttpResponse(packed(exported.files), content_type="application/zip")
    answer["Content-Disposition"] = 'attachment; filename="configsvc.zip"'
    answer["Cache-Control"] = "private, no-store"
    return answer
