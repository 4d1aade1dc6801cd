"""RSA signatures, of CloudTrail's digests and of checkpoints, checked with the standard library alone.

RSASSA-PKCS1-v1_5 with SHA-256, RFC 8017, 8.2.2: the encoded message is made anew and compared as a whole, so
that nothing of the signature is parsed. A signature is public, and so is its key: no time has to be hidden.
"""

from __future__ import annotations

import hashlib

_SHA256_INFO = bytes.fromhex("3031300d060960864801650304020105000420")
"""What goes before a SHA-256 in the encoded message (RFC 8017, 9.2, note 1)."""
_RSA = bytes.fromhex("06092a864886f70d0101010500")
"""rsaEncryption with its empty parameters (RFC 3279, 2.3.1)."""
_SEQUENCE, _INTEGER, _BIT_STRING = 0x30, 0x02, 0x03


def is_signed(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Return whether the holder of the key signed the message; `public_key` is PKCS #1 in DER.

    Raises ValueError for a key that is none.
    """
    modulus, exponent = _read_key(public_key)
    size = (modulus.bit_length() + 7) // 8
    number = int.from_bytes(signature, "big")
    if len(signature) != size or number >= modulus:
        return False
    return pow(number, exponent, modulus).to_bytes(size, "big") == _encode(message, size)


def _encode(message: bytes, size: int) -> bytes:
    digest = _SHA256_INFO + hashlib.sha256(message).digest()
    filling = b"\xff" * (size - len(digest) - 3)
    return b"\x00\x01" + filling + b"\x00" + digest


def _read_key(der: bytes) -> tuple[int, int]:
    """Return modulus and exponent: a sequence of two integers (RFC 8017, A.1.1)."""
    content, rest = _read_value(der, _SEQUENCE)
    modulus, following = _read_value(content, _INTEGER)
    exponent, end = _read_value(following, _INTEGER)
    if rest or end:
        raise ValueError("more than a public key")
    return int.from_bytes(modulus, "big"), int.from_bytes(exponent, "big")


def _read_value(der: bytes, tag: int) -> tuple[bytes, bytes]:
    """Return the content of the first value, which must have that tag, and what comes after it."""
    if len(der) < 2 or der[0] != tag:
        raise ValueError("not a public key in PKCS #1")
    length, start = der[1], 2
    if length & 0x80:  # the length of the length
        start = 2 + (length & 0x7F)
        length = int.from_bytes(der[2:start], "big")
    if len(der) < start + length:
        raise ValueError("a public key that was cut off")
    return der[start : start + length], der[start + length :]


def read_public_key(info: bytes) -> bytes:
    """Return the PKCS #1 key inside a SubjectPublicKeyInfo in DER (RFC 5280, 4.1; RSA's: RFC 3279, 2.3.1).

    Raises ValueError for a key that is none, or not of RSA.
    """
    content, rest = _read_value(info, _SEQUENCE)
    algorithm, following = _read_value(content, _SEQUENCE)
    bits, end = _read_value(following, _BIT_STRING)
    if rest or end or algorithm != _RSA or bits[:1] != b"\x00":
        raise ValueError("not a public key of RSA")
    return bits[1:]
