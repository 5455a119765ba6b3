"""Verification of bundles: one file a step, or a few that belong together."""

from attest.verify.check import Check, Outcome
from attest.verify.compared import Compared
from attest.verify.content import Content, check_content
from attest.verify.result import state_result
from attest.verify.signature import Expectation
from attest.verify.trusted_time import TrustedTime
from attest.verify.verification import Files, Trust, Verification, verify

__all__ = [
    "Check",
    "Compared",
    "Content",
    "Expectation",
    "Files",
    "Outcome",
    "Trust",
    "TrustedTime",
    "Verification",
    "check_content",
    "state_result",
    "verify",
]
