"""A small client for configsvc: get a value, hear of changes, keep the last good copy.

>>> config = Config("checkout")
>>> config.get("settings.timeout", 2500)
"""

from configsvc_client.config import Config
from configsvc_client.remote import ConfigError

__all__ = ["Config", "ConfigError"]
