"""The person or machine that logs in."""

from django.contrib.auth.models import AbstractUser


class User(AbstractUser):
    """A login. People and service accounts are both users, so one grant model serves both.

    Lives at the bottom of the layers because every history row and draft points to it; what a
    user may do is decided in ``apps.access`` alone.
    """
