"""What only a repository as a whole can tell: findings beside one another."""

from __future__ import annotations

from attest.licenses.whole.checksums import checksums
from attest.licenses.whole.declared import (
    base_model_licenses,
    declared_and_found,
    families,
    no_license_file,
    unlike_declarations,
    unlinked,
)
from attest.licenses.whole.gathered import WHOLE, Gathered
from attest.licenses.whole.holders import foreign_copyrights, notices

__all__ = ["CONCLUSIONS", "WHOLE", "Gathered"]

CONCLUSIONS = (
    unlike_declarations,
    declared_and_found,
    families,
    unlinked,
    base_model_licenses,
    no_license_file,
    foreign_copyrights,
    notices,
    checksums,
)
"""Functions from what was gathered to further findings."""
