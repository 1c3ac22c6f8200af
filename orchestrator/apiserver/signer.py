"""The key that signs ServiceAccount tokens: JSON web tokens, RS256."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa


class Signer:
    """Signs and verifies with one RSA key."""

    def __init__(self, key_file: Path) -> None:
        self._file = key_file

    @cached_property
    def _key(self) -> rsa.RSAPrivateKey:
        # our own key: checking its primes would hold up the first token by 50 ms
        pem = self._file.read_bytes()
        key = serialization.load_pem_private_key(pem, password=None, unsafe_skip_rsa_key_validation=True)
        assert isinstance(key, rsa.RSAPrivateKey), f"{self._file} holds an RSA key"
        return key

    @cached_property
    def key_id(self) -> str:
        der = self._key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        digest = hashes.Hash(hashes.SHA256())
        digest.update(der)
        return _encode(digest.finalize())

    def sign(self, claims: Mapping[str, Any]) -> str:
        head = _encode(orjson.dumps({"alg": "RS256", "kid": self.key_id}))
        body = f"{head}.{_encode(orjson.dumps(claims))}"
        signature = self._key.sign(body.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{body}.{_encode(signature)}"

    def verify(self, token: str) -> dict[str, Any] | None:
        """The claims, None when the token is not ours."""
        head, _, rest = token.partition(".")
        body, _, signature = rest.partition(".")
        try:
            if orjson.loads(_decode(head)).get("alg") != "RS256":
                return None
            self._key.public_key().verify(
                _decode(signature), f"{head}.{body}".encode(), padding.PKCS1v15(), hashes.SHA256()
            )
            claims = orjson.loads(_decode(body))
        except (ValueError, AttributeError, InvalidSignature):
            return None
        return claims if isinstance(claims, dict) else None

    def public_jwk(self) -> dict[str, str]:
        numbers = self._key.public_key().public_numbers()
        modulus = numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8, "big")
        exponent = numbers.e.to_bytes((numbers.e.bit_length() + 7) // 8, "big")
        return {
            "use": "sig", "kty": "RSA", "kid": self.key_id, "alg": "RS256", "n": _encode(modulus),
            "e": _encode(exponent),
        }  # fmt: skip


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
