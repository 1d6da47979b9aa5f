"""The admin site."""

from unfold.sites import UnfoldAdminSite


class PortalSite(UnfoldAdminSite):  # type: ignore[misc] # unfold is untyped
    """The portal: Django's admin with our own pages."""


site = PortalSite(name="admin")
