"""Evidence that is measured again, true or made up, and how each of its values came out."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from measured import FAMILY, measured

from attest.document import dump
from attest.evidence import EVIDENCE_TYPE, Evidence
from attest.evidence_directory import read_statement, write_evidence
from attest.measure import Measurement
from attest.reproduce import reproduce
from attest.reproduction import Reproduction, Value
from attest.statement import DigestSet, Statement, Subject

WEIGHTS = FAMILY / "seed-1"


def again(evidence: Path, **choices: Any) -> Reproduction:
    """What an evidence directory or a bundle says, held against a new measurement."""
    return reproduce(read_statement(evidence), evidence, **choices)


def write(folder: Path, measurement: Measurement | None = None) -> Path:
    """Evidence directory about a checkpoint of the family."""
    measurement = measurement or measured("seed-1")
    write_evidence(folder, measurement.statement(), measurement.details)
    return folder


def write_false(folder: Path, evidence: Evidence, details: Mapping[str, bytes] | None = None) -> Path:
    """Evidence directory with a predicate that nobody measured."""
    statement = Statement.build(
        subjects=(Subject(name=".", digest=DigestSet(sha256=evidence.checkpoint.tree_digest)),),
        predicate_type=EVIDENCE_TYPE,
        predicate=dump(evidence),
    )
    write_evidence(folder, statement, measured("seed-1").details if details is None else details)
    return folder


def outcomes(result: Reproduction) -> dict[str, str]:
    return {value.name: value.outcome for value in result.values}


def value_of(result: Reproduction, name: str) -> Value:
    return next(value for value in result.values if value.name == name)
