"""The addresses of everything: the contract's at the root and under /api/v1, and the portal."""

from django.urls import include, path
from django.views.generic import RedirectView

from apps.api.urls import nowhere
from apps.portal.login.views import login
from apps.portal.registered import urls as portal_urls

handler500 = "apps.api.errors.failed"
urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/login/", login, name="account_login"),
    path("admin/", portal_urls),
    path("accounts/", include("apps.portal.login.urls")),
    path("", include("apps.api.urls")),
    path("api/v1/", include("apps.api.urls")),
    *nowhere,
]
