"""The second level of memory: files that one process has rendered, for all of them, in Redis.

To render a document takes as long as it is large (YAML of 200 KB: a tenth of a second), and every process
of every node is asked for what has just been published. So the first one leaves it there for the others.

It lies there sealed (:mod:`apps.engine.sealing`) by a key that follows from the signing key and from the
document itself, as the reader sees it. So Redis holds nothing to be read, who has not the document opens
nothing, not even what was redacted since, and what somebody else has put there does not open. Only what
has no value of a secret in it comes here.
"""

import hashlib
import os
from importlib.metadata import version
from pathlib import Path
from typing import Final

from django.utils.crypto import salted_hmac

from apps.configs.selectors.configurations import Published
from apps.core.reaching_redis import ask_redis
from apps.delivery import answers
from apps.delivery.answers import Answer, Question, answer
from apps.engine import formats, sealing
from apps.engine.errors import IntegrityError

SMALLEST: Final = 8_192
"""A document of fewer characters is rendered as soon as it is fetched."""
KEPT_SECONDS: Final = 86_400
REDIS_PREFIX: Final = "configsvc:file:"
_SALT: Final = "apps.delivery.sharing"


def answer_shared(published: Published, question: Question) -> Answer:
    """The same as :func:`~apps.delivery.answers.answer` without the values of secrets, of which a large
    file is rendered once for all processes. A part is not: of them there may be very many.
    """
    is_whole = bool(question.format) and not question.keys and not question.section
    if not is_whole or len(published.text) < SMALLEST:
        return answer(published, question)
    name, key, context = _place_of(published, question)
    body = _take(name, key, context)
    if body is None:
        made = answer(published, question)
        _leave(name, sealing.seal(made.body, key=key, nonce=_nonce(), context=context))
        return made
    return Answer(body, answers.file_type(question), answers.etag(published, question))


def _place_of(published: Published, question: Question) -> tuple[str, bytes, bytes]:
    """The name of the file in Redis, the key that it is sealed by, and what is sealed with it."""
    document = (
        f"{published.text}\n{published.stored_secrets}"  # a flat file marks where secrets stand
    )
    of_document = salted_hmac(_SALT, document, algorithm="sha512").digest()
    key, rest = of_document[: sealing.KEY_BYTES], of_document[sealing.KEY_BYTES :]
    context = sealing.context_of(
        version=published.version_id, question=question.asked, program=_PROGRAM
    )
    return REDIS_PREFIX + hashlib.sha256(rest + context).hexdigest(), key, context


def _take(name: str, key: bytes, context: bytes) -> bytes | None:
    sealed = ask_redis(lambda redis: redis.get(name), purpose="share files", needed=False)
    try:
        return sealing.unseal(sealed, key=key, context=context) if sealed else None
    except IntegrityError:  # nothing of ours, or damaged: it is made anew
        return None


def _leave(name: str, sealed: bytes) -> None:
    ask_redis(
        lambda redis: redis.set(name, sealed, ex=KEPT_SECONDS), purpose="keep files", needed=False
    )


def _nonce() -> bytes:
    return os.urandom(sealing.NONCE_BYTES)


def _digest_of_program() -> str:
    """A digest of what renders: another program may write the same document otherwise."""
    engine = Path(formats.__file__).parent.parent
    files = [*sorted(engine.rglob("*.py")), Path(answers.__file__)]
    libraries = [f"{name} {version(name)}".encode() for name in ("pyyaml", "tomlkit")]
    return hashlib.sha256(b"\n".join([*map(Path.read_bytes, files), *libraries])).hexdigest()


_PROGRAM: Final = _digest_of_program()
