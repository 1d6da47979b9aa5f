"""A small client for configsvc: get a value, hear of changes, keep the last good copy.

>>> config = Config("checkout")
>>> config.get("settings.timeout", 2500)
"""

from configsvc_client.config import Config
from configsvc_client.errors import ConfigError
from configsvc_client.timing import Timing

__all__ = ["Config", "ConfigError", "Timing"]
