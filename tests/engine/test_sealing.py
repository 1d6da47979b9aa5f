"""Sealed values open with their key in their place, byte by byte as they were, and not else."""

import secrets

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.engine import sealing
from apps.engine.errors import IntegrityError
from tests.limits import examples

KEY, NONCE = bytes(range(32)), bytes(12)
CONTEXT = sealing.context_of(service=1, environment=2, secret="a", version="b")


def test_seal__known_vector__is_plain_aes_gcm():
    """Test case 13 of the GCM specification (McGrew and Viega): zero key and nonce, no data."""
    sealed = sealing.seal(b"", key=bytes(32), nonce=bytes(12), context=b"")

    assert sealed[13:].hex() == "530f8afbc74536b9a963b4f1c4cb738b"


@given(value=st.binary(max_size=300), context=st.binary(max_size=50))
def test_unseal__what_was_sealed__is_given_back(value, context):
    sealed = sealing.seal(value, key=KEY, nonce=NONCE, context=context)

    assert sealing.unseal(sealed, key=KEY, context=context) == value


@given(st.data())
@settings(max_examples=examples(400))
def test_unseal__any_byte_altered_cut_or_added__does_not_open(data):
    sealed = sealing.seal(b"s3cret value", key=KEY, nonce=NONCE, context=CONTEXT)
    at = data.draw(st.integers(0, len(sealed) - 1))
    altered = bytearray(sealed)
    altered[at] ^= data.draw(st.integers(1, 255))

    for wrong in (bytes(altered), sealed[:at], sealed + b"\x00"):
        with pytest.raises(IntegrityError) as caught:
            sealing.unseal(wrong, key=KEY, context=CONTEXT)
        assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "other",
    [
        sealing.context_of(service=2, environment=2, secret="a", version="b"),
        sealing.context_of(service=1, environment=1, secret="a", version="b"),
        sealing.context_of(service=1, environment=2, secret="b", version="b"),
        sealing.context_of(service=1, environment=2, secret="a", version="c"),
        sealing.context_of(service=12, environment="", secret="a", version="b"),
        b"",
    ],
)
def test_unseal__in_another_place__does_not_open(other):
    sealed = sealing.seal(b"value", key=KEY, nonce=NONCE, context=CONTEXT)

    with pytest.raises(IntegrityError):
        sealing.unseal(sealed, key=KEY, context=other)


def test_unseal__with_another_key__does_not_open():
    sealed = sealing.seal(b"value", key=KEY, nonce=NONCE, context=CONTEXT)

    with pytest.raises(IntegrityError):
        sealing.unseal(sealed, key=secrets.token_bytes(32), context=CONTEXT)


def test_key_id__of_a_key_text__is_stable_and_is_not_the_key():
    text = "one key text of many characters"

    assert sealing.key_id(text) == sealing.key_id(text) != sealing.key_id(text + "x")
    assert len(sealing.key_id(text)) == sealing.KEY_ID_LENGTH
    assert sealing.key_id(text) not in sealing.derive_key(text).hex()
