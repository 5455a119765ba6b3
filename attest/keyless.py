"""Keyless signatures: the only door to sigstore-python, imported when it is needed (extra ``keyless``).

Verifying never asks the network and writes nothing: the root of trust is a file that the reader pinned, or the one
inside the installed sigstore package.

References
----------
Sigstore client specification (sigstore/architecture-docs, client-spec.md), section 4.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata, resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from attest.bundle import Bundle
from attest.envelope import b64encode
from attest.errors import InputError, SignatureError, SigningError
from attest.foreign import translated
from attest.identity import CertifiedIdentity, Identity
from attest.timestamp import check_time_stamp
from attest.trust import TrustedRoot

if TYPE_CHECKING:
    from sigstore.models import ClientTrustConfig

__all__ = ["LogTime", "Publication", "Verified", "bundled_root", "sign_keyless", "verify_keyless"]

_FOLDERS = {
    "production": "https%3A%2F%2Ftuf-repo-cdn.sigstore.dev",
    "staging": "https%3A%2F%2Ftuf-repo-cdn.sigstage.dev",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class LogTime:
    """When a transparency log says that it took up the signature, and at what place."""

    time: datetime | None
    index: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Verified:
    """A keyless signature that holds.

    Parameters
    ----------
    signer : CertifiedIdentity
        Whom the verified certificate names.
    log : LogTime
        Where it was logged; the time is None for logs that state none (Rekor v2).
    """

    signer: CertifiedIdentity
    log: LogTime


@dataclass(frozen=True, kw_only=True, slots=True)
class Publication:
    """What a keyless signature publishes for ever: ``identity``, and the services it goes to."""

    identity: Identity


def bundled_root(instance: Literal["production", "staging"] = "production") -> TrustedRoot:
    """The trusted root inside the installed sigstore package.

    Raises
    ------
    InputError
        The extra ``keyless`` is not installed, or a version of it that holds no root.
    """
    with _extra():
        version, folder = metadata.version("sigstore"), resources.files("sigstore")
    source, fix = f"sigstore {version}, {instance}", "give the instance's root with --trusted-root"
    with translated("no-trust-file", InputError, "holds no trusted root", fix=fix, where=source):
        data = folder.joinpath("_store", _FOLDERS[instance], "trusted_root.json").read_bytes()
    return TrustedRoot.parse(data, source=source)


def verify_keyless(bundle: Bundle, data: bytes, root: TrustedRoot, *, artifact_sha256: bytes | None) -> Verified:
    """Check everything about a keyless signature but whom the reader expects.

    Certificate chain at the time of signing, certificate log, transparency log with inclusion proof, checkpoint and
    promise, the signature itself, and that the log entry is about this signature (CVE-2022-36056). sigstore leaves
    out whether the key of the log and the whole chain of the authority were valid and trusted at that time; attest
    checks it (GHSA-wqqc-jjcq-vfxm, CVE-2026-24122).

    Parameters
    ----------
    bundle : Bundle
        As attest reads it.
    data : bytes
        The same bundle's file, which sigstore reads.
    root : TrustedRoot
    artifact_sha256 : bytes or None
        Digest of the file that was signed; needed where the bundle holds no statement.

    Raises
    ------
    SignatureError
        It does not hold, or sigstore cannot read it; the reason is sigstore's own.
    InputError
        The extra ``keyless`` is not installed.
    """
    with _extra():
        from sigstore.hashes import Hashed  # noqa: PLC0415 - an extra
        from sigstore.models import Bundle as SigstoreBundle  # noqa: PLC0415
        from sigstore.verify import Verifier  # noqa: PLC0415
        from sigstore_models.common.v1 import HashAlgorithm  # noqa: PLC0415
    fix = "ask the signer for an intact copy, or check the trusted root"
    with translated("signature-wrong", SignatureError, "sigstore does not accept it", fix=fix):
        theirs = SigstoreBundle.from_json(data)
        verifier = Verifier(trusted_root=_sigstore_root(root))
        if artifact_sha256 is None:
            envelope = bundle.envelope
            if verifier.verify_dsse(theirs, _AnyCertificate()) != (envelope.payload_type, envelope.payload):
                raise ValueError("sigstore read another statement than attest")
        else:
            digest = Hashed(algorithm=HashAlgorithm.SHA2_256, digest=artifact_sha256)
            verifier.verify_artifact(digest, theirs, _AnyCertificate())
        certificate = theirs.signing_certificate.public_bytes(Encoding.DER)
        if (theirs.signature, certificate) != (bundle.content.signature, bundle.certificate):
            raise ValueError("sigstore read another signature or certificate than attest")
        entry = theirs.log_entry._inner  # noqa: SLF001 - sigstore has no public way to a verified entry's time
        promised = entry.integrated_time if entry.inclusion_promise else None
        time = datetime.fromtimestamp(promised, UTC) if promised else None
        _refuse_untimely(bundle, certificate, b64encode(entry.log_id.key_id), time, root)
        signer = CertifiedIdentity.read(certificate)
        return Verified(signer=signer, log=LogTime(time=time, index=int(entry.log_index)))


def sign_keyless(
    payload: bytes,
    *,
    announce: Callable[[Publication], None],
    token: str | None = None,
    trust_config: Path | None = None,
    staging: bool = False,
) -> Bundle:
    """Sign a statement with a certificate that lives ten minutes, and have it logged in public.

    Parameters
    ----------
    payload : bytes
        An in-toto statement, signed as it is.
    announce : callable
        Told what will be published, before anything is.
    token : str or None
        OpenID Connect token; without one, that of the machine (CI), else a browser is opened.
    trust_config : Path or None
        Client trust configuration of a private instance; its signing configuration decides about Rekor v1 or v2.
    staging : bool
        Sigstore's public test instance instead of the public good one.

    Raises
    ------
    SigningError
        No identity, or a service refused; what was logged until then stays logged.
    InputError
        The configuration cannot be read, or the extra ``keyless`` is not installed.
    """
    with _extra():
        from sigstore.dsse import Statement  # noqa: PLC0415 - an extra
        from sigstore.oidc import IdentityToken  # noqa: PLC0415
        from sigstore.sign import SigningContext  # noqa: PLC0415
    text = None if trust_config is None else _read_config(trust_config)
    fix = "check the network, the token and the trust configuration"
    with translated("keyless-failed", SigningError, "nothing was signed", fix=fix):
        config = _configure(text, staging=staging)
        identity = IdentityToken(token or _find_token(config))
        announce(Publication(identity=Identity(identity=identity.identity, issuer=identity.federated_issuer)))
        with SigningContext.from_trust_config(config).signer(identity) as signer:
            made = signer.sign_dsse(Statement(payload))
        data = made.to_json().encode()
        bundle = Bundle.from_json(data, where="sigstore")
        root = TrustedRoot.parse(config._inner.trusted_root.to_json().encode(), source="trust configuration")  # noqa: SLF001 - the root that the configuration holds
        try:
            verify_keyless(bundle, data, root, artifact_sha256=None)
        except SignatureError as error:
            raise ValueError(f"what came back does not verify: {error.message}") from error
        return bundle


def _refuse_untimely(bundle: Bundle, certificate: bytes, log_id: str, time: datetime | None, root: TrustedRoot) -> None:
    """Refuse what was signed while its log or its authority was not trusted. Raises ValueError."""
    if time is not None and not any(log.id == log_id and log.is_trusted_at(time) for log in root.logs):
        raise ValueError(f"the key of the log is not trusted at {time:%Y-%m-%dT%H:%M:%SZ}")
    leaf = x509.load_der_x509_certificate(certificate)
    times = [] if time is None else [time]
    for token in bundle.timestamps:
        with suppress(SignatureError):  # step 4 reports it
            times.append(check_time_stamp(token, bundle.content.signature, root.authorities).time)
    if not times:
        raise ValueError("nobody who is trusted says when it was signed")
    for one in times:
        if not any(authority.signed(leaf, one) for authority in root.certificate_authorities):
            raise ValueError(
                f"no authority that is trusted and valid at {one:%Y-%m-%dT%H:%M:%SZ} signed the certificate"
            )


class _AnyCertificate:
    """A policy for sigstore that leaves the question of identity to attest's own next step."""

    def verify(self, cert: Any) -> None:
        """Accept; ``Verified.signer`` says whom the certificate names."""


def _sigstore_root(root: TrustedRoot) -> Any:
    """The root as sigstore reads it, from the very bytes whose digest is reported."""
    from sigstore.models import TrustedRoot as SigstoreRoot  # noqa: PLC0415 - an extra
    from sigstore_models.trustroot.v1 import TrustedRoot as Inner  # noqa: PLC0415

    return SigstoreRoot(Inner.from_json(root.data))


def _configure(text: str | None, *, staging: bool) -> ClientTrustConfig:
    from sigstore.models import ClientTrustConfig  # noqa: PLC0415 - an extra

    if text is not None:
        return ClientTrustConfig.from_json(text)
    return ClientTrustConfig.staging() if staging else ClientTrustConfig.production()


def _find_token(config: ClientTrustConfig) -> str:
    from sigstore.oidc import Issuer, detect_credential  # noqa: PLC0415 - an extra

    found = detect_credential()
    return found or str(Issuer(config.signing_config.get_oidc_url()).identity_token())


def _read_config(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise InputError(
            "no-trust-file", f"cannot be read ({error})", fix="give a client trust configuration", where=str(path)
        ) from error


@contextmanager
def _extra() -> Iterator[None]:
    """Say which extra is missing."""
    try:
        yield
    except ImportError as error:
        raise InputError(
            "extra-missing",
            f"keyless signatures need {error.name}, which is not installed, or in another version",
            fix="pip install 'attest-checkpoints[keyless]'",
        ) from error
