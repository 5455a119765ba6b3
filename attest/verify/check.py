"""What one step of verification found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from attest.document import record

__all__ = ["STEPS", "Check", "Outcome", "Step", "checked", "skipped"]

Outcome = Literal["PASSED", "FAILED", "SKIPPED"]
Step = Literal["bundle", "signature", "signer", "time", "statement", "subjects", "details", "checkpoint", "policy"]

STEPS: tuple[Step, ...] = (
    "bundle",
    "signature",
    "signer",
    "time",
    "statement",
    "subjects",
    "details",
    "checkpoint",
    "policy",
)


@record
class Check:
    """What one step found.

    Parameters
    ----------
    step : int
        From 1 to 9.
    id : str
        Name of the step.
    outcome : {"PASSED", "FAILED", "SKIPPED"}
    message : str
        One sentence. May quote hostile input.
    problems : tuple of str
        Everything that is wrong, a sentence each. May quote hostile input.
    details : mapping
        The same for programs; JSON.
    """

    step: int
    id: Step
    outcome: Outcome
    message: str
    problems: tuple[str, ...]
    details: Mapping[str, Any]


def checked(step: Step, outcome: Outcome, message: str, problems: Iterable[str] = (), **details: Any) -> Check:
    """What a step found, under its number."""
    number = STEPS.index(step) + 1
    return Check(step=number, id=step, outcome=outcome, message=message, problems=tuple(problems), details=details)


def skipped(step: Step, message: str) -> Check:
    """A step that did not run, and why."""
    return checked(step, "SKIPPED", message)
