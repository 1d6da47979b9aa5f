"""The admin site: who may enter, its addresses, its navigation."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest
from django.urls import URLPattern, path
from django.utils.functional import SimpleLazyObject
from unfold.sites import UnfoldAdminSite

from apps.engine.errors import (
    NOTHING_HERE,
    ForbiddenError,
    NotFoundError,
    SecondFactorRequiredError,
)
from apps.portal import (
    backups,
    confirming,
    editor,
    exchange,
    experiment,
    experiment_form,
    experiments,
    flag_list,
    flags,
    graph,
    jobs,
    key_rules,
    ledger,
    origins,
    overview,
    past_rights,
    promoting,
    proposals,
    readers,
    redaction,
    restoring,
    retiring,
    rights,
    roles,
    rotation,
    secrets,
    section_help,
    timeline,
)
from apps.portal.login import views as own_login
from apps.portal.shared import refused

NO_RIGHT = "This page needs a right that you do not have. Ask somebody with the right 'manage'."


class PortalSite(UnfoldAdminSite):  # type: ignore[misc] # unfold is untyped
    """The portal: Django's admin with our own pages in it."""

    index_template = "portal/overview.html"

    def has_permission(self, request: HttpRequest) -> bool:
        """Every person who is logged in may enter; what is shown depends on rights."""
        user: Any = request.user
        return bool(
            user.is_active and not user.is_anonymous and not hasattr(user, "service_account")
        )

    def admin_view(self, view: Callable[..., Any], cacheable: bool = False) -> Any:
        """A view behind the log-in; Django's refusals look like our own, with a way back."""

        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            try:
                return view(request, *args, **kwargs)
            except PermissionDenied:
                return refused(request, ForbiddenError(NO_RIGHT))
            except Http404:
                return refused(request, NotFoundError(NOTHING_HERE))

        return super().admin_view(guarded, cacheable)

    login = staticmethod(own_login.login)
    logout = staticmethod(own_login.logout)
    password_change = staticmethod(own_login.change_password)

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> Any:
        """What may be opened, looked up when somebody looks: every page asks, and few show it."""
        return SimpleLazyObject(lambda: self._find_apps(request, app_label))

    def _find_apps(self, request: HttpRequest, app_label: str | None) -> list[Any]:
        try:
            return list(super().get_app_list(request, app_label))
        except SecondFactorRequiredError:
            return []  # nothing, as long as a second factor is asked for and missing

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """The overview: services by environments."""
        return super().index(request, {**overview.context(request), **(extra_context or {})})

    def extra_urls(self) -> list[URLPattern]:
        """Our pages, behind the same log-in as the admin's."""
        place = "config/<str:service>/<str:environment>/"
        pages = [
            (place, editor.page, "config"),
            (f"{place}publish/", editor.publish, "config-publish"),
            (f"{place}draft/", editor.draft, "config-draft"),
            (f"{place}propose/", proposals.hand_over, "config-propose"),
            (f"{place}proposals/<int:number>/", proposals.one, "config-proposal"),
            (f"{place}convert/", editor.convert, "config-convert"),
            (f"{place}example/", section_help.insert_example, "config-example"),
            (f"{place}flags/", flags.page, "config-flags"),
            (f"{place}use/", editor.use, "config-use"),
            (f"{place}history/", timeline.page, "config-history"),
            (f"{place}diff/", timeline.compare, "config-diff"),
            (f"{place}rollback/<int:number>/", timeline.roll_back, "config-rollback"),
            (f"{place}then/", restoring.then, "config-then"),
            (f"{place}then/marks/", restoring.marks, "config-then-marks"),
            (f"{place}promote/", promoting.page, "config-promote"),
            (f"{place}retire/", retiring.page, "config-retire"),
            (f"{place}redact/<int:number>/", redaction.page, "config-redact"),
            (f"{place}graph/", graph.page, "config-graph"),
            (f"{place}explain/", origins.explain, "config-explain"),
            (f"{place}across/", origins.across, "config-across"),
            (f"{place}readers/", readers.page, "config-readers"),
            (f"{place}refresh/", timeline.refresh, "config-refresh"),
            (f"{place}secrets/", secrets.page, "config-secrets"),
            (f"{place}new-secret/", secrets.create_named, "config-new-secret"),
            (f"{place}make-secret/", secrets.make_of_text, "config-make-secret"),
            (f"{place}secrets/<str:name>/", secrets.one, "config-secret"),
            (f"{place}secrets/<str:name>/reveal/", secrets.reveal, "config-secret-reveal"),
            (f"{place}secrets/<str:name>/rotation/", rotation.page, "config-secret-rotation"),
            (f"{place}experiments/", experiments.page, "config-experiments"),
            (f"{place}experiments/new/", experiment_form.make, "config-experiment-new"),
            (f"{place}experiments/preview/", experiment_form.preview, "config-experiment-preview"),
            ("flags/", flag_list.page, "flags"),
            ("experiments/", experiments.overall, "experiments"),
            ("experiments/<str:pk>/", experiment.page, "experiment"),
            ("experiments/<str:pk>/change/", experiment_form.change, "experiment-change"),
            ("experiments/<str:pk>/start/", experiment.start, "experiment-start"),
            (
                "experiments/<str:pk>/publish/<str:variant>/",
                experiment.publish,
                "experiment-publish",
            ),
            ("secrets/", secrets.overall, "secrets"),
            ("restore/", restoring.page, "restore"),
            ("exchange/", exchange.page, "exchange"),
            ("exchange/export/", exchange.export, "exchange-export"),
            ("jobs/", jobs.page, "jobs"),
            ("backups/", backups.page, "backups"),
            ("backups/runs/", backups.running, "backups-runs"),
            ("confirm-rights/", confirming.page, "confirm-rights"),
            ("rights/", rights.page, "rights"),
            ("rights/of/", rights.of_actor, "rights-of"),
            ("roles/", roles.page, "roles"),
            ("roles/<str:name>/", roles.one, "role"),
            ("key-rules/", key_rules.page, "key-rules"),
            ("key-rules/preview/", key_rules.preview, "key-rules-preview"),
            ("key-rules/<int:number>/", key_rules.one, "key-rule"),
            ("rights/past/", past_rights.page, "rights-past"),
            ("ledger/", ledger.page, "ledger"),
            ("ledger/refused/", ledger.refused_reads, "ledger-refused"),
            ("ledger/proof/", ledger.proof, "ledger-proof"),
            ("ledger/verify/", ledger.verify, "ledger-verify"),
            ("ledger/download/<str:what>", ledger.download, "ledger-download"),
        ]
        return [path(route, self.admin_view(view), name=name) for route, view, name in pages]


site = PortalSite(name="admin")
