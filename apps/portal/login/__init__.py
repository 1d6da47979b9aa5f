"""People log in: django-allauth's flows with the portal's pages and rules."""
