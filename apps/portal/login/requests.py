"""What the log-in reads from a request."""

from django.http import HttpRequest

OWN = (
    "/accounts/",
    "/admin/login/",
    "/admin/logout/",
    "/admin/password_change/",
)  # the addresses of the log-in's own pages
DEVICE_COOKIE = "configsvc_device"


def address_of(request: HttpRequest) -> str | None:
    """Where the request comes from, as the server saw it behind its own proxies."""
    address: str | None = request.META.get("REMOTE_ADDR")
    return address


def device_of(request: HttpRequest) -> str:
    """The device cookie, or empty."""
    return str(request.COOKIES.get(DEVICE_COOKIE, ""))
