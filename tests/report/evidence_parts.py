"""Parts of plausible evidence: fingerprints, licenses, and a run of the network."""

from __future__ import annotations

import random

from attest.digest import sha256
from attest.evidence import (
    ActivationSummary,
    FingerprintSummary,
    Table,
)
from attest.finding import Finding
from attest.license_summary import (
    FoundExpression,
    LicenseEngine,
    LicenseSummary,
    Obligation,
    ScannedFile,
    ScopedLicenses,
    UntoldLicense,
)

LAYERS = 6


def _table(rng: random.Random, columns: tuple[str, ...], low: float, high: float, *, first: int = 0) -> Table:
    rows = []
    for layer in range(first, LAYERS):
        depth = layer / LAYERS
        middle = low + (high - low) * (0.25 + 0.5 * depth + 0.2 * depth * depth)
        spread = (high - low) * 0.07
        rows.append((str(layer), *(f"{middle + rng.gauss(0, spread) + i * spread:.9g}" for i in range(len(columns)))))
    return Table(columns=("layer", *columns), rows=tuple(rows))


def fingerprints(rng: random.Random) -> tuple[FingerprintSummary, ...]:
    norms = tuple(f"mean {part}" for part in ("gate", "up", "down", "q head", "k head", "v head", "o head"))
    sketch = Table(
        columns=("layer", "neurons", "parts"), rows=tuple((str(layer), "1536", "3") for layer in range(LAYERS))
    )
    tables = {
        "attention-std/v1": _table(rng, ("q", "k", "v", "o"), 0.031, 0.062),
        "norm-gain/v1": _table(rng, ("mean attention_norm", "mean mlp_norm"), 0.42, 0.98),
        "unit-norms/v1": _table(rng, norms, 0.6, 1.9),
        "neuron-sketch/v1": sketch,
        "moments/v1": Table(
            columns=("role", "tensors", "mean", "std"),
            rows=(("q", "12", "1.20489e-05", "0.0411284513"), ("embedding", "1", "-0.0012844391", "0.0509128874")),
        ),
    }
    measured = [
        FingerprintSummary(id=name, detail=f"detail/{name.split('/')[0]}.safetensors", not_measured=None, table=table)
        for name, table in tables.items()
    ]
    missing = FingerprintSummary(
        id="qkv-bias/v1", detail=None, not_measured="no bias of a query, key or value projection was found", table=None
    )
    return (*measured, missing)


def licenses() -> LicenseSummary:
    apache = "                                 Apache License\n                           Version 2.0, January 2004"
    findings = (
        Finding(code="declared-licenses-differ", path=".", line=None, text="2 values: apache-2.0, other"),
        Finding(code="license-file", path="LICENSE", line=1, text=apache),
        Finding(code="notice-file", path="NOTICE", line=1, text="Copyright 2024 The Qwen team, Alibaba Group."),
        Finding(code="declared-license", path="README.md", line=3, text="license: apache-2.0"),
        Finding(
            code="copyright",
            path="modeling_example.py",
            line=2,
            text="# Copyright 2024 The Example Team and The HuggingFace Inc. team. All rights reserved.",
        ),
        Finding(code="copyright", path="tokenization_example.py", line=2, text="# Copyright 2024 The Example Team."),
        Finding(
            code="provenance-comment",
            path="modeling_example.py",
            line=88,
            text="# Copied from transformers.models.llama.modeling_llama.rotate_half",
        ),
    )
    clauses = (
        ("4(a)", "license-text", "You must give any other recipients a copy of this License", "met", "LICENSE:1", None),
        (
            "4(d)",
            "notice",
            "a readable copy of the attribution notices contained within such NOTICE file",
            "not-found",
            None,
            "apache-2.0",
        ),
    )
    return LicenseSummary(
        files_scanned=14,
        files_skipped=2,
        finding_count=9,
        findings=findings,
        files=tuple(
            ScannedFile(path=path, sha256=sha256(path.encode()), blob="b10b" * 10)
            for path in ("LICENSE", "NOTICE", "README.md", "modeling_example.py", "tokenization_example.py")
        ),
        obligations=tuple(
            Obligation(
                license="Apache-2.0",
                source="README.md:3" if declared else "LICENSE:1",
                declaration=declared,
                section=section,
                kind=kind,
                quote=quote,
                status=status,
                evidence=evidence,
            )
            for section, kind, quote, status, evidence, declared in clauses
        ),
        untold=(UntoldLicense(license="bsd", source="setup/README.md:2", reason="family"),),
        scopes=(
            ScopedLicenses(
                scope="weights",
                expression="Apache-2.0 AND LicenseRef-Example-Research",
                found=(
                    FoundExpression(expression="Apache-2.0", basis="declared", path="README.md", line=3, files=2),
                    FoundExpression(
                        expression="LicenseRef-Example-Research", basis="text", path="LICENSE-MODEL", line=None, files=1
                    ),
                ),
                unread=1,
            ),
            ScopedLicenses(scope="data", expression="", found=(), unread=2),
        ),
        engine=LicenseEngine(
            id="license-words/v1",
            index_sha256=sha256(b"index"),
            index_source="example texts 1.0",
            sketches_sha256=sha256(b"sketches"),
        ),
        detail="detail/licenses.json",
    )


def activations(rng: random.Random) -> ActivationSummary:
    return ActivationSummary(
        id="activation-profile/v1",
        prompt_set="english/v1",
        prompt_set_sha256=sha256(b"prompts"),
        sequences=24,
        tokens=1536,
        token_ids_sha256=sha256(b"token ids"),
        dtype="F32",
        device="cpu",
        threads=2,
        seed=0,
        versions={"torch": "2.13.0", "transformers": "5.23.0"},
        tolerance="1e-4",
        table=_table(rng, ("rms", "mean_abs"), 0.8, 6.5),
        detail="detail/activations.safetensors",
        fingerprints=(
            FingerprintSummary(
                id="attention-entropy/v1",
                detail="detail/attention-entropy.v1.safetensors",
                not_measured=None,
                table=Table(
                    columns=("layer", "mean", "least", "greatest"),
                    rows=tuple((str(layer), f"{2 + rng.random():.4f}", "1.5", "3.5") for layer in range(4)),
                ),
            ),
            FingerprintSummary(
                id="predictions/v1", detail=None, not_measured="the network predicts no next token", table=None
            ),
        ),
    )
