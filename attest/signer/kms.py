"""Keys that never leave AWS KMS: P-256, named by ``awskms:`` and a key's id, ARN or ``alias/name``.

Only the SHA-256 of what is signed is sent. Region, credentials and endpoint are those of the AWS tools.

References
----------
AWS Key Management Service API Reference, ``GetPublicKey`` and ``Sign`` (``ECDSA_SHA_256`` over a ``DIGEST``).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, ClassVar

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from attest.errors import InputError, SignatureError, SigningError
from attest.foreign import translated
from attest.signer.key import AskPassword, PublicKey, no_password

__all__ = ["KmsKey"]


@dataclass(frozen=True, kw_only=True, slots=True)
class KmsKey:
    """A signer whose private key lies in AWS KMS.

    Parameters
    ----------
    public_key : PublicKey
    cautions : tuple of str
        What the user should hear before anything is signed.
    """

    schemes: ClassVar[tuple[str, ...]] = ("awskms",)

    public_key: PublicKey
    cautions: tuple[str, ...]
    _name: str
    _client: Any = field(repr=False, compare=False)

    @classmethod
    def open(cls, location: str, *, ask_password: AskPassword = no_password) -> KmsKey:  # noqa: ARG003 - has none
        """Signer of a key in KMS.

        Raises
        ------
        SigningError
            KMS refuses, or the key is not one of P-256 that signs.
        InputError
            The extra ``kms`` is not installed, or the key is of a kind that nothing is checked with.
        """
        with _translated(location):
            client = _client()
            described = client.get_public_key(KeyId=location)
            key = load_der_public_key(described["PublicKey"])
            pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        public_key = PublicKey.parse(pem, where=f"awskms:{location}")
        if (described["KeyUsage"], public_key.type) != ("SIGN_VERIFY", "p256"):
            reason = f"a {public_key.type} key for {described['KeyUsage']}"
            fix = "make one for SIGN_VERIFY of the kind ECC_NIST_P256"
            raise SigningError("unusable-key", reason, fix=fix, where=f"awskms:{location}")
        return cls(public_key=public_key, cautions=(), _name=location, _client=client)

    def sign(self, data: bytes) -> bytes:
        """Signature over bytes, DER.

        Raises
        ------
        SigningError
            KMS refuses, or what it gives does not hold.
        """
        digest = sha256(data).digest()
        with _translated(self._name):
            signature: bytes = self._client.sign(
                KeyId=self._name, Message=digest, MessageType="DIGEST", SigningAlgorithm="ECDSA_SHA_256"
            )["Signature"]
            self.public_key.verify(signature, data)
        return signature


def _client() -> Any:
    import boto3  # noqa: PLC0415 - an extra
    from botocore.config import Config  # noqa: PLC0415

    return boto3.Session().client("kms", config=Config(connect_timeout=10, read_timeout=30))


@contextmanager
def _translated(location: str) -> Iterator[None]:
    """Errors of boto3, and its absence, with a code."""
    fix, place = "check the key's name, the region and the credentials", f"awskms:{location}"
    with translated("kms-refused", SigningError, "KMS did not sign", fix=fix, where=place):
        try:
            yield
        except ModuleNotFoundError as error:
            extra = "pip install 'attest-checkpoints[kms]'"
            raise InputError("extra-missing", f"needs {error.name}, which is not installed", fix=extra) from error
        except SignatureError as error:
            reason = f"what KMS gave does not verify: {error.message}"
            raise SigningError("kms-refused", reason, fix=fix, where=place) from error
