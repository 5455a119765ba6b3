"""Fixtures that several rooms share."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings
from tiny_evidence import TinyEvidence, write_checkpoint

settings.register_profile("attest", deadline=None)
settings.load_profile("attest")


@pytest.fixture
def tiny(tmp_path: Path) -> TinyEvidence:
    """A tiny checkpoint and its evidence, signed with a P-256 key."""
    made = TinyEvidence(root=tmp_path)
    write_checkpoint(made.checkpoint)
    made.write()
    made.sign()
    return made
