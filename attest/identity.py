"""Identities: whom a certificate names, and who says so.

References
----------
sigstore/fulcio, docs/oid-info.md (1.3.6.1.4.1.57264.1.1, .7 and .8); RFC 5280, section 4.2.1.6.
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography import x509
from cryptography.x509.oid import ObjectIdentifier

from attest.errors import SignatureError
from attest.foreign import translated

__all__ = ["CertifiedIdentity", "Identity"]

_ISSUER = ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
_ISSUER_V2 = ObjectIdentifier("1.3.6.1.4.1.57264.1.8")
_OTHER_NAME = ObjectIdentifier("1.3.6.1.4.1.57264.1.7")
_UTF8_STRING = 0x0C


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """Somebody: an address of mail or a URI, and the issuer (a URL) that says who it is."""

    identity: str
    issuer: str


@dataclass(frozen=True, kw_only=True, slots=True)
class CertifiedIdentity:
    """Whom a certificate names; hostile input until the certificate is verified.

    Parameters
    ----------
    names : tuple of str
        Addresses of mail, URIs and user names, as they stand in the certificate.
    issuer : str
        Who identified its holder; empty where the certificate does not say.
    """

    names: tuple[str, ...]
    issuer: str

    @classmethod
    def read(cls, certificate: bytes) -> CertifiedIdentity:
        """Identity in a certificate.

        Parameters
        ----------
        certificate : bytes
            DER.

        Raises
        ------
        SignatureError
            Malformed, without a name, or naming two issuers.
        """
        with translated("bad-certificate", SignatureError, "the certificate is malformed", fix="ask for another copy"):
            extensions = x509.load_der_x509_certificate(certificate).extensions
            names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            others = [one.value for one in names.get_values_for_type(x509.OtherName) if one.type_id == _OTHER_NAME]
            found = (
                *names.get_values_for_type(x509.RFC822Name),
                *names.get_values_for_type(x509.UniformResourceIdentifier),
                *(_utf8_string(other) for other in others),
            )
            issuers = {_issuer(extension) for extension in extensions if extension.oid in {_ISSUER, _ISSUER_V2}}
            if len(issuers) > 1:
                raise ValueError(f"it names two issuers: {' and '.join(sorted(issuers))}")
            return cls(names=found, issuer=next(iter(issuers), ""))

    def is_of(self, expected: Identity) -> bool:
        """Whether it names whom the reader expects, character for character, and the issuer too."""
        return bool(expected.issuer) and self.issuer == expected.issuer and expected.identity in self.names

    @property
    def text(self) -> str:
        """Names and issuer in one line. Hostile input."""
        return f"{' / '.join(self.names) or 'nobody'} (as {self.issuer or 'no issuer'} says)"


def _issuer(extension: x509.Extension[x509.ExtensionType]) -> str:
    value = extension.value
    if not isinstance(value, x509.UnrecognizedExtension):
        raise TypeError("an issuer of another form")
    return _utf8_string(value.value) if extension.oid == _ISSUER_V2 else value.value.decode()


def _utf8_string(data: bytes) -> str:
    """Text of a DER UTF8String of fewer than 65,536 bytes.

    References
    ----------
    ITU-T X.690, sections 8.1.3 and 10.1.
    """
    if data[:1] != bytes([_UTF8_STRING]):
        return data.decode()  # Fulcio's early user names were bare text
    length, start = data[1], 2
    if length in {0x81, 0x82}:
        start += length - 0x80
        length = int.from_bytes(data[2:start])
    if len(data) != start + length:
        raise ValueError("a UTF8String of another length than it says")
    return data[start:].decode()
