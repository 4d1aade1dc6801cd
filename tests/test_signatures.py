"""RSA signatures, checked with the standard library against those that a real implementation makes."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from fleet.signatures import is_signed

MESSAGE = b"2026-11-23T01:00:00Z\nbucket/key\nabc\nnull"
KEYS = {bits: rsa.generate_private_key(public_exponent=65537, key_size=bits) for bits in (1024, 2048)}


def public(bits: int) -> bytes:
    """Return the key as CloudTrail publishes its own."""
    return KEYS[bits].public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.PKCS1)


def sign(bits: int = 2048, message: bytes = MESSAGE) -> bytes:
    """Return the signature as CloudTrail makes it."""
    return KEYS[bits].sign(message, padding.PKCS1v15(), hashes.SHA256())


@pytest.mark.parametrize("bits", KEYS)
def test_a_signature_of_the_keys_holder_is_found_true(bits: int) -> None:
    assert is_signed(public(bits), MESSAGE, sign(bits))


def test_a_signature_of_another_text_or_another_key_is_found_false() -> None:
    assert not is_signed(public(2048), MESSAGE + b"!", sign())
    assert not is_signed(public(1024), MESSAGE, sign(2048))
    other = KEYS[2048].sign(MESSAGE, padding.PKCS1v15(), hashes.SHA512())
    assert not is_signed(public(2048), MESSAGE, other)


@pytest.mark.parametrize(
    "change",
    [
        lambda signed: signed[:-1] + bytes([signed[-1] ^ 1]),
        lambda signed: signed[1:],
        lambda signed: signed + b"\0",
        lambda signed: b"\0" * len(signed),
        lambda signed: b"\xff" * len(signed),
        lambda signed: b"",
    ],
)
def test_a_signature_that_was_changed_is_found_false(change: object) -> None:
    assert callable(change)
    assert not is_signed(public(2048), MESSAGE, change(sign()))


def test_a_signature_whose_padding_leaves_room_for_anything_is_found_false() -> None:
    # Bleichenbacher's forgery (2006) against small exponents: what comes after the digest is not looked at.
    numbers = KEYS[2048].private_numbers()
    digest = bytes.fromhex("3031300d060960864801650304020105000420") + b"\x11" * 32
    forged = (b"\x00\x01\xff\xff\x00" + digest).ljust(256, b"\x42")
    signed = pow(int.from_bytes(forged, "big"), numbers.d, numbers.public_numbers.n).to_bytes(256, "big")
    assert not is_signed(public(2048), MESSAGE, signed)


@pytest.mark.parametrize(
    "key", [b"", b"\x30", b"\x30\x82\xff\xff\x02", b"not a key", public(2048)[:-3], public(2048) + b"\0"]
)
def test_what_is_no_public_key_is_refused(key: bytes) -> None:
    with pytest.raises(ValueError, match="key"):
        is_signed(key, MESSAGE, sign())
