"""Keyless signatures and transparency logs: the only door to sigstore-python, imported when needed (extra ``keyless``).

Verifying never asks the network and writes nothing: the root of trust is a file that the reader pinned, or the one
inside the installed sigstore package.

References
----------
Sigstore client specification (sigstore/architecture-docs, client-spec.md), section 4.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata, resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from attest.bundle import Bundle
from attest.document import parse
from attest.envelope import Envelope, b64encode
from attest.errors import DocumentError, InputError, SignatureError, SigningError
from attest.foreign import translated
from attest.identity import CertifiedIdentity, Identity
from attest.log_entry import LoggedSignature, propose_v1, propose_v2, refuse_other_entry
from attest.signer import PublicKey
from attest.timestamp import check_time_stamp
from attest.trust import TrustedRoot

if TYPE_CHECKING:
    from sigstore.models import ClientTrustConfig

__all__ = [
    "LogTime",
    "Publication",
    "Verified",
    "bundled_root",
    "log_signature",
    "sign_keyless",
    "verify_keyless",
    "verify_log_entries",
]

_GIVE_ANOTHER = "check the network, the token and the trust configuration"
_MAX_CONFIG = 8 * 1024 * 1024
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


def verify_log_entries(bundle: Bundle, logged: LoggedSignature, root: TrustedRoot) -> tuple[LogTime, ...]:
    """When transparency logs took up a signature that was made with a key.

    Entries of logs that the root does not name are left out: nobody can check them.

    Parameters
    ----------
    bundle : Bundle
    logged : LoggedSignature
        The bundle's own, which holds.
    root : TrustedRoot

    Raises
    ------
    SignatureError
        An entry is about something else, or its proof, checkpoint or promise does not hold.
    InputError
        The extra ``keyless`` is not installed.
    """
    with _extra():
        from sigstore_models.rekor.v1 import TransparencyLogEntry as Inner  # noqa: PLC0415 - an extra
    known = {log.id for log in root.logs}
    times = []
    with translated("log-entry-wrong", SignatureError, "a log entry does not hold", fix="ask for an intact copy"):
        for entry in bundle.log_entries:
            inner = Inner.from_json(json.dumps(entry))
            if b64encode(inner.log_id.key_id) in known:
                times.append(_verify_entry(inner, logged, root))
    return tuple(times)


def _verify_entry(inner: Any, logged: LoggedSignature, root: TrustedRoot) -> LogTime:
    """When a known log took up a signature; raises whatever sigstore raises, and ValueError."""
    from sigstore._internal.trust import KeyringPurpose  # noqa: PLC0415 - an extra
    from sigstore.models import TransparencyLogEntry  # noqa: PLC0415

    body, kind = json.loads(inner.canonicalized_body), inner.kind_version
    if (body["kind"], body["apiVersion"]) != (kind.kind, kind.version):
        raise ValueError("the log entry is of another kind than it says")
    keys = _sigstore_root(root).rekor_keyring(KeyringPurpose.VERIFY)
    TransparencyLogEntry(inner)._verify(keys)  # noqa: SLF001 - sigstore has no public way to check an entry alone
    refuse_other_entry(inner.canonicalized_body, logged)
    is_promised = inner.inclusion_promise and inner.integrated_time and kind.version == "0.0.1"
    time = datetime.fromtimestamp(inner.integrated_time, UTC) if is_promised else None
    if time is not None:
        _refuse_untrusted_log(b64encode(inner.log_id.key_id), time, root)
    return LogTime(time=time, index=int(inner.log_index))


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
    with translated("keyless-failed", SigningError, "nothing was signed", fix=_GIVE_ANOTHER):
        config = _configure(text, staging=staging)
        identity = IdentityToken(token or _find_token(config))
        announce(Publication(identity=Identity(identity=identity.identity, issuer=identity.federated_issuer)))
        with SigningContext.from_trust_config(config).signer(identity) as signer:
            made = signer.sign_dsse(Statement(payload))
        data = made.to_json().encode()
        bundle = Bundle.from_json(data, where="sigstore")
        try:
            verify_keyless(bundle, data, _held_root(config), artifact_sha256=None)
        except SignatureError as error:
            raise ValueError(f"what came back does not verify: {error.message}") from error
        return bundle


def _refuse_untimely(bundle: Bundle, certificate: bytes, log_id: str, time: datetime | None, root: TrustedRoot) -> None:
    """Refuse what was signed while its log or its authority was not trusted. Raises ValueError."""
    if time is not None:
        _refuse_untrusted_log(log_id, time, root)
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


def _refuse_untrusted_log(log_id: str, time: datetime, root: TrustedRoot) -> None:
    """Refuse a time at which the log's key was not trusted. Raises ValueError."""
    if not any(log.id == log_id and log.is_trusted_at(time) for log in root.logs):
        raise ValueError(f"the key of the log is not trusted at {time:%Y-%m-%dT%H:%M:%SZ}")


def log_signature(
    envelope: Envelope, key: PublicKey, *, trust_config: Path | None = None, staging: bool = False
) -> Mapping[str, Any]:
    """Entry of a public log about a signature that was made with a key: the key, the time and digests, for ever.

    Parameters
    ----------
    envelope : Envelope
    key : PublicKey
    trust_config : Path or None
        Client trust configuration of a private instance; its signing configuration decides about Rekor v1 or v2.
    staging : bool
        Sigstore's public test instance instead of the public good one.

    Returns
    -------
    mapping
        JSON, as a bundle holds it.

    Raises
    ------
    SigningError
        The log refused, or what came back does not hold.
    InputError
        The configuration cannot be read, or the extra ``keyless`` is not installed.

    Notes
    -----
    Rekor v1 is sent the whole statement and keeps its digest; Rekor v2 is sent a digest, and takes no Ed25519 keys.
    """
    with _extra():
        from sigstore._internal.rekor import EntryRequestBody  # noqa: PLC0415 - an extra
    text = None if trust_config is None else _read_config(trust_config)
    with translated("log-failed", SigningError, "it was not logged", fix=_GIVE_ANOTHER):
        config = _configure(text, staging=staging)
        (service, *_), (log, *_) = config.signing_config._tlogs, config.signing_config.get_tlogs()  # noqa: SLF001 - nothing public says the version
        propose = propose_v1 if service.major_api_version == 1 else propose_v2
        inner = log.create_entry(EntryRequestBody(propose(envelope, key)))._inner  # noqa: SLF001 - as above
        _verify_entry(inner, LoggedSignature.of(envelope, key), _held_root(config))
        made: dict[str, Any] = json.loads(inner.to_json())
        return made


def _held_root(config: ClientTrustConfig) -> TrustedRoot:
    """The root that a configuration holds."""
    data = config._inner.trusted_root.to_json().encode()  # noqa: SLF001 - nothing public gives its bytes
    return TrustedRoot.parse(data, source="trust configuration")


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
    fix = "give the client trust configuration of the instance, in JSON"
    try:
        data = path.read_bytes()
    except OSError as error:
        reason = f"cannot be read ({error.strerror})"
        raise InputError("no-trust-file", reason, fix=fix, where=str(path)) from error
    value = parse(data, where=str(path), max_bytes=_MAX_CONFIG)
    if not isinstance(value, dict) or not {"mediaType", "trustedRoot", "signingConfig"} <= set(value):
        reason = "has no mediaType, trustedRoot and signingConfig"
        raise DocumentError("not-a-trust-config", reason, fix=fix, where=str(path))
    return data.decode()


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
