"""The addresses of the contract."""

from django.urls import path, re_path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from apps.api import accounts, config, grants, ledger, resources, roles, secrets, system, versions

urlpatterns = [
    path("healthz", system.HealthView.as_view()),
    path("readyz", system.ReadyView.as_view()),
    path(".well-known/jwks.json", system.KeysView.as_view()),
    path("schema", SpectacularAPIView.as_view(), name="schema"),
    path("docs", SpectacularSwaggerSplitView.as_view(url_name="schema")),
    path("config", config.ConfigsView.as_view()),
    path("config/<str:service>", config.ConfigView.as_view(), name="config"),
    path("config/<str:service>/value", config.ConfigValueView.as_view()),
    path("config/<str:service>/history", versions.HistoryView.as_view()),
    path("config/<str:service>/versions/<str:number>", versions.VersionView.as_view()),
    path("config/<str:service>/readers", versions.ReadersView.as_view()),
    path("config/<str:service>/unread", versions.UnreadView.as_view()),
    path("config/<str:service>/diff", versions.DiffView.as_view()),
    path("config/<str:service>/rollback", versions.RollbackView.as_view()),
    path("config/<str:service>/redact", versions.RedactView.as_view()),
    path("config/<str:service>/refresh", versions.RefreshView.as_view()),
    path("validate", versions.ValidateView.as_view(), name="validate"),
    path("environments", resources.EnvironmentsView.as_view()),
    path("environments/<str:slug>", resources.EnvironmentView.as_view()),
    path("services", resources.ServicesView.as_view()),
    path("services/<str:slug>", resources.ServiceView.as_view()),
    path("services/<str:slug>/sections", resources.SectionsView.as_view()),
    path("services/<str:slug>/sections/<str:key>", resources.SectionView.as_view()),
    path("templates", resources.TemplatesView.as_view()),
    path("templates/<str:slug>", resources.TemplateView.as_view()),
    path("templates/<str:slug>/versions", resources.TemplateVersionsView.as_view()),
    path("service-accounts", accounts.AccountsView.as_view()),
    path("service-accounts/<str:slug>", accounts.AccountView.as_view()),
    path("service-accounts/<str:slug>/tokens", accounts.TokensView.as_view()),
    path("service-accounts/<str:slug>/tokens/<str:token_id>", accounts.TokenView.as_view()),
    path(
        "service-accounts/<str:slug>/tokens/<str:token_id>/rotate",
        accounts.TokenRotationView.as_view(),
    ),
    path("grants", grants.GrantsView.as_view()),
    path("grants/<str:pk>", grants.GrantView.as_view()),
    path("key-rules", grants.KeyRulesView.as_view()),
    path("key-rules/<str:pk>", grants.KeyRuleView.as_view()),
    path("roles", roles.RolesView.as_view()),
    path("roles/<str:name>", roles.RoleView.as_view()),
    path("secrets", secrets.SecretsView.as_view()),
    path("secrets/<str:service>/<str:name>", secrets.SecretView.as_view()),
    path("secrets/<str:service>/<str:name>/versions", secrets.SecretVersionsView.as_view()),
    path("secrets/<str:service>/<str:name>/rotate", secrets.SecretRotateView.as_view()),
    path("secrets/<str:service>/<str:name>/reveal", secrets.SecretRevealView.as_view()),
    path("audit", ledger.AuditView.as_view()),
    path("stream", system.StreamView.as_view()),
    path("stream/tickets", system.TicketsView.as_view()),
]
nowhere = [re_path(r"^.*$", system.nothing)]
