"""Values that look like credentials in plain text: keys, tokens, passwords in addresses.

The patterns are those of detect-secrets, by Yelp; nothing of a value leaves this module, and none
of that library's verifiers, which ask other servers, is used. Its patterns are not linear, so each
is shown short pieces, and of a large document no more than ``MAX_SCANNED`` characters are read.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from detect_secrets.plugins.aws import AWSKeyDetector
from detect_secrets.plugins.azure_storage_key import AzureStorageKeyDetector
from detect_secrets.plugins.basic_auth import BasicAuthDetector
from detect_secrets.plugins.discord import DiscordBotTokenDetector
from detect_secrets.plugins.github_token import GitHubTokenDetector
from detect_secrets.plugins.gitlab_token import GitLabTokenDetector
from detect_secrets.plugins.jwt import JwtTokenDetector
from detect_secrets.plugins.mailchimp import MailchimpDetector
from detect_secrets.plugins.npm import NpmDetector
from detect_secrets.plugins.openai import OpenAIDetector
from detect_secrets.plugins.private_key import PrivateKeyDetector
from detect_secrets.plugins.pypi_token import PypiTokenDetector
from detect_secrets.plugins.sendgrid import SendGridDetector
from detect_secrets.plugins.slack import SlackDetector
from detect_secrets.plugins.square_oauth import SquareOAuthDetector
from detect_secrets.plugins.stripe import StripeDetector
from detect_secrets.plugins.telegram_token import TelegramBotTokenDetector
from detect_secrets.plugins.twilio import TwilioKeyDetector

from apps.engine.paths import Path, leaves
from apps.engine.values import Tree

MAX_SCANNED: Final = 131_072
PIECE: Final = 2_048
OVERLAP: Final = 256
SHORTEST: Final = 12

_DETECTORS: Final[Sequence[Any]] = (
    AWSKeyDetector,
    AzureStorageKeyDetector,
    BasicAuthDetector,
    DiscordBotTokenDetector,
    GitHubTokenDetector,
    GitLabTokenDetector,
    JwtTokenDetector,
    MailchimpDetector,
    NpmDetector,
    OpenAIDetector,
    PrivateKeyDetector,
    PypiTokenDetector,
    SendGridDetector,
    SlackDetector,
    SquareOAuthDetector,
    StripeDetector,
    TelegramBotTokenDetector,
    TwilioKeyDetector,
)
_PATTERNS: Final[Sequence[tuple[str, re.Pattern[str]]]] = (
    *((each.secret_type, pattern) for each in _DETECTORS for pattern in each.denylist),
    ("configsvc Token", re.compile(r"csk_[A-Za-z0-9_-]{43}")),
)


class Finding(NamedTuple):
    """Where something stands that looks like a credential, and what kind it looks like."""

    path: Path
    kind: str


def find(tree: Tree) -> list[Finding]:
    """The texts of a document that look like credentials, in its order, each once."""
    texts = [
        (path, leaf)
        for path, leaf in leaves(tree)
        if isinstance(leaf, str) and len(leaf) >= SHORTEST
    ]
    joined = "\n".join(text for _path, text in texts)[:MAX_SCANNED]
    suspected = [each for each in _PATTERNS if _matches(each[1], joined)]
    if not suspected:
        return []
    return list(_located(texts, suspected))


def _located(
    texts: Sequence[tuple[Path, str]], suspected: Sequence[tuple[str, re.Pattern[str]]]
) -> Iterator[Finding]:
    left = MAX_SCANNED
    for path, text in texts:
        if left <= 0:
            return
        shown, left = text[:left], left - len(text)
        kind = next((kind for kind, pattern in suspected if _matches(pattern, shown)), None)
        if kind is not None:
            yield Finding(path, kind)


def _matches(pattern: re.Pattern[str], text: str) -> bool:
    step = PIECE - OVERLAP
    return any(
        pattern.search(text[start : start + PIECE]) for start in range(0, max(len(text), 1), step)
    )
