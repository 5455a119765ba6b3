"""Bundles with plausible numbers, made from records and signed with real keys."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Literal

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePrivateKey, derive_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from report.evidence_parts import LAYERS, activations, fingerprints, licenses

from attest.attestation_result import (
    ATTESTATION_RESULT_TYPE,
    RESULT_DOES_NOT_SHOW,
    AttestationResult,
    CoverageCounts,
    FoundSigner,
    ReproducedValue,
    StepOutcome,
)
from attest.bundle import Bundle
from attest.comparison import (
    Announcement,
    Comparison,
    Control,
    ControlKind,
    Found,
    LayerStatistic,
    NotCompared,
    NullDistribution,
    PanelRanks,
    Population,
    Rank,
    Side,
    Test,
)
from attest.digest import sha256, tree_digest
from attest.document import dump
from attest.envelope import Envelope
from attest.evidence import (
    Architecture,
    CheckpointSummary,
    Detail,
    Environment,
    Evidence,
    File,
    RemoteSource,
    Table,
    TensorSummary,
    Tool,
)
from attest.finding import Finding
from attest.policy_file import DEFAULT_POLICY, Policy
from attest.predicate import PREDICATES
from attest.protocol import AnnouncedSide, Protocol, Resampling, protocol_statement
from attest.report.source import Shown
from attest.repository_scan import RepositoryScan, repository_scan_statement
from attest.statement import PAYLOAD_TYPE, DigestSet, Statement, Subject

P256 = derive_private_key(0xA77E57, SECP256R1())
ED25519 = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))

TOOL = Tool(name="attest", version="0.1.0", source_sha256=sha256(b"source"))
ENVIRONMENT = Environment(
    python="3.11.7", system="Linux 6.1.0", machine="x86_64", packages={"numpy": "2.4.1", "numba": "0.68.0"}
)


def public_pem(key: EllipticCurvePrivateKey | Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def sign(
    predicate: Shown,
    *,
    key: EllipticCurvePrivateKey | Ed25519PrivateKey = ED25519,
    subjects: tuple[Subject, ...] | None = None,
) -> bytes:
    """Bundle over a predicate; Ed25519 gives the same bytes every time."""
    if subjects is None:
        subjects = subjects_of(predicate)
    records = {**PREDICATES, ATTESTATION_RESULT_TYPE: AttestationResult}
    kind = next(uri for uri, record in records.items() if isinstance(predicate, record))
    statement = Statement.build(subjects=subjects, predicate_type=kind, predicate=dump(predicate))
    envelope = Envelope(payload=statement.payload, payload_type=PAYLOAD_TYPE, signature=b"")
    message = envelope.signed_bytes
    signature = key.sign(message) if isinstance(key, Ed25519PrivateKey) else key.sign(message, ECDSA(SHA256()))
    return Bundle(content=replace(envelope, signature=signature), key_hint=sha256(public_pem(key))).to_json()


def subjects_of(predicate: Shown) -> tuple[Subject, ...]:
    if isinstance(predicate, AttestationResult):
        return (Subject(name="statement", digest=DigestSet(sha256=predicate.statement_sha256)),)
    if isinstance(predicate, Protocol):
        return protocol_statement(predicate).subjects
    if isinstance(predicate, RepositoryScan):
        return repository_scan_statement(predicate).subjects
    if isinstance(predicate, Comparison):
        sides = (predicate.a, predicate.b)
        return tuple(Subject(name=side.name, digest=DigestSet(sha256=side.tree_digest)) for side in sides)
    return tuple(Subject(name=f.path, digest=DigestSet(sha256=f.sha256)) for f in predicate.checkpoint.files)


def statement_digest(bundle: bytes) -> str:
    return Bundle.from_json(bundle, where="bundle").statement(where="bundle").digest


def evidence(seed: int = 1, name: str = "minilm-l6-v2") -> Evidence:
    rng = random.Random(seed)  # noqa: S311 - plausible numbers, not secrets
    files = tuple(
        File(
            path=path,
            size=size,
            sha256=sha256(f"{seed} {path}".encode()),
            basis="computed",
            server_sha256=sha256(b"the server's") if path.startswith("model-") else None,
        )
        for path, size in (
            ("config.json", 612),
            ("model-00001-of-00002.safetensors", 4_967_215_360),
            ("model-00002-of-00002.safetensors", 1_204_518_912),
            ("model.safetensors.index.json", 25_125),
            ("tokenizer.json", 711_661),
        )
    )
    return Evidence(
        measured_at="2026-11-21T09:14:27Z",
        command=("attest", "measure", name, "--repo", name, "-o", "evidence"),
        tool=TOOL,
        environment=ENVIRONMENT,
        assurance_level="self-attested",
        checkpoint=CheckpointSummary(
            name=name,
            source=RemoteSource(uri=f"hf://example/{name}", revision="main", commit="c0ffee" * 6 + "c0ff"),
            format="safetensors",
            files=files,
            file_count=len(files),
            bytes=sum(file.size for file in files),
            tree_digest=tree_digest((file.path, file.size, file.sha256) for file in files),
            ignored=(".git",),
            findings=(
                Finding(code="not-in-index", path="model.safetensors.index.json", line=None, text="rotary.inv_freq"),
            ),
        ),
        architecture=Architecture(
            family="qwen2", layers=LAYERS, d_model=1536, d_ff=8960, heads=12, kv_heads=2, d_head=128, positions="rotary"
        ),
        tensors=TensorSummary(
            count=338,
            parameters=1_543_714_304,
            dtypes={"BF16": 336, "F32": 2},
            unmapped_count=2,
            unmapped=("rotary.inv_freq", "visual.proj.weight"),
            non_finite=0,
        ),
        fingerprints=fingerprints(rng),
        activations=activations(rng),
        licenses=licenses(),
        details=tuple(
            Detail(name=f"detail/{part}", media_type=kind, size=size, sha256=sha256(f"{seed} {part}".encode()))
            for part, kind, size in (
                ("chunks.json", "application/json", 84_212),
                ("tensors.json", "application/json", 201_977),
                ("neuron-sketch.safetensors", "application/vnd.safetensors", 1_474_560),
            )
        ),
        does_not_show=(
            "that the measured files are the ones anybody trained, published or deployed",
            "when the files were made",
        ),
    )


def _null(rng: random.Random) -> NullDistribution:
    edges = tuple(-4.0 + 0.5 * i for i in range(17))
    counts = [0] * 16
    for _ in range(9_999):
        counts[min(max(int((rng.gauss(0, 1) + 4) * 2), 0), 15)] += 1
    return NullDistribution(
        method="units of B were permuted within each layer, all layers at once.",
        resamples=9_999,
        seed="7f3c2a90",
        mean=0.0021,
        sd=1.0043,
        edges=edges,
        counts=tuple(counts),
    )


def _layers(rng: random.Random, n: int, z: float) -> tuple[LayerStatistic, ...]:
    values = [z / LAYERS**0.5 * (1 + rng.gauss(0, 0.12)) + rng.gauss(0, 1) for _ in range(LAYERS)]
    return tuple(LayerStatistic(layer=i, n=n, statistic=0.012 * value, z=value) for i, value in enumerate(values))


def _controls(rng: random.Random, tests: list[tuple[str, float]]) -> tuple[Control, ...]:
    kinds: tuple[tuple[ControlKind, tuple[Literal["a", "b", "a-b"], ...]], ...] = (
        ("itself", ("a", "b")),
        ("shuffled", ("a", "b")),
        ("other-layers", ("a", "b", "a-b")),
    )
    found = []
    for name, itself in tests:
        for kind, sides in kinds:
            for of in sides:
                z = itself * LAYERS**0.5 if kind == "itself" else rng.gauss(0, 1)
                middle = z / LAYERS**0.5
                found.append(
                    Control(test=name, kind=kind, of=of, n=LAYERS, statistic=z, median=middle, greatest=middle * 1.04)
                )
    return tuple(found)


def protocol(a: Side | None = None, b: Side | None = None, policy: Policy = DEFAULT_POLICY) -> Protocol:
    sides = [AnnouncedSide(name=one.name, tree_digest=one.tree_digest) if one else None for one in (a, b)]
    return Protocol(
        announced_at="2026-11-20T08:00:00Z",
        tool=TOOL,
        a=sides[0],
        b=sides[1],
        deep=True,
        weights=False,
        methods=("tensor-identity/v1", "neuron-alignment/v1"),
        resampling=Resampling(least=999, most=9999, work=4_000_000_000, seed="<test id> <lesser> <greater>"),
        policy=policy,
        panel_sha256=sha256(b"a panel"),
        does_not_show=("when it was announced",),
    )


def comparison(
    a: Side, b: Side, *, z: float = 357.214568123, pvalue: float = 1e-4, seed: int = 5, announced: str | None = None
) -> Comparison:
    rng = random.Random(seed)  # noqa: S311 - plausible numbers, not secrets
    exact = [
        ("neuron-alignment/v1", z, 1536, "Whether neuron i of A and neuron i of B point the same way, all layers."),
        (
            "norm-gain-correspondence/v1",
            z / 12,
            1536,
            "Whether the norm gains of A and B stand on the same residual dimensions.",
        ),
        ("neuron-norm-correspondence/v1", z / 40, 1536, "Whether long rows of A are long rows of B."),
    ]
    tests = [
        Test(
            id=name,
            calibration="exact",
            statistic=value * 0.0023,
            z=value,
            pvalue=pvalue,
            smallest_pvalue=1e-4,
            normal_pvalue=1e-6 if abs(value) > 5 else 0.31,
            n=n * LAYERS,
            layers=_layers(rng, n, value) if name != "norm-gain-correspondence/v1" else (),
            null_distribution=_null(rng),
            note=note,
        )
        for name, value, n, note in exact
    ]
    profile = Test(
        id="attention-std-correlation/v1",
        calibration="descriptive",
        statistic=0.927318842,
        z=None,
        pvalue=None,
        smallest_pvalue=None,
        normal_pvalue=None,
        n=LAYERS,
        layers=tuple(LayerStatistic(layer=i, n=4, statistic=0.9 + 0.006 * i, z=None) for i in range(LAYERS)),
        null_distribution=None,
        note="Pearson correlation of the per-layer standard deviations; two seeds of one recipe reached 0.97.",
    )
    identity = Test(
        id="tensor-identity/v1",
        calibration="exact",
        statistic=0.0,
        z=None,
        pvalue=None,
        smallest_pvalue=None,
        normal_pvalue=None,
        n=0,
        layers=(),
        null_distribution=None,
        note="0 of 338 and 338 tensors have equal digests; n counts the telling ones",
    )
    return Comparison(
        measured_at="2026-11-21T10:02:11Z",
        tool=TOOL,
        environment=ENVIRONMENT,
        a=a,
        b=b,
        protocol=Announcement(
            statement_sha256=announced or sha256(b"a protocol that is not at hand"),
            deviations=("sketches on axes of words were announced, and one of the two has none",),
        ),
        controls=_controls(rng, [(name, abs(n) ** 0.5) for name, _, n, _ in exact]),
        tests=(identity, *tests, profile),
        found=(
            Found(
                id="row-containment/v1",
                title="Rows of a that stand in b, by matrix",
                table=Table(columns=("tensor", "rows", "found"), rows=(("model.embed_tokens.weight", "151936", "0"),)),
            ),
        ),
        panel=panel_ranks(),
        not_compared=(
            NotCompared(id="qkv-bias-correspondence/v1", reason="B has no bias of a query, key or value projection"),
        ),
        does_not_show=("which of the two came first", "that no other checkpoint is a closer relative"),
    )


def panel_ranks() -> PanelRanks:
    """Ranks of the published correlation: an unremarkable one."""
    return PanelRanks(
        name="attest-small",
        version="0.1.0",
        sha256=sha256(b"panel"),
        pairs=409,
        left_out=12,
        ranks=(
            Rank(
                id="attention-std-correlation/v1",
                independent=Population(n=46, at_least=10, median=0.7125, greatest=0.9972),
                derived=Population(n=58, at_least=40, median=0.989, greatest=0.9999),
            ),
        ),
    )


def side(measured: Evidence, bundle: bytes) -> Side:
    return Side(
        name=measured.checkpoint.name,
        tree_digest=measured.checkpoint.tree_digest,
        statement_sha256=statement_digest(bundle),
        parameters=measured.tensors.parameters,
        layers=measured.architecture.layers,
    )


def trio(*, z: float = 357.214568123, pvalue: float = 1e-4) -> tuple[bytes, bytes, bytes]:
    """Two evidence bundles and a comparison about them, as they are given to ``attest report``."""
    first, second = evidence(1, "minilm-l6-v2"), evidence(2, "laundered-descendant")
    one, two = sign(first), sign(second, key=ED25519)
    return one, two, sign(comparison(side(first, one), side(second, two), z=z, pvalue=pvalue))


def result(about: bytes, **outcomes: str) -> AttestationResult:
    """What a verifier found of a bundle; ``outcomes`` by the names of values, none where nothing was measured again."""
    counts = {"files": 2, "bytes": 869_413}
    return AttestationResult(
        verified_at="2026-11-23T01:02:03Z",
        tool=TOOL,
        environment=ENVIRONMENT,
        statement_sha256=statement_digest(about),
        bundle_sha256=sha256(about),
        predicate_type="https://attest/comparison/v1",
        signer=FoundSigner(key_sha256=sha256(public_pem(ED25519)), identity=None, issuer=None),
        steps=(StepOutcome(id="signature", outcome="PASSED"), StepOutcome(id="policy", outcome="SKIPPED")),
        coverage=CoverageCounts(
            **{f"{kind}_{how}": number for kind, number in counts.items() for how in ("named", "present", "covered")}
        ),
        reproduction=tuple(ReproducedValue(name=name, outcome=outcome) for name, outcome in outcomes.items()) or None,
        does_not_show=RESULT_DOES_NOT_SHOW,
    )
