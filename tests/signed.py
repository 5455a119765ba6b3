"""Evidence directories with a bundle, signed with a key of somebody's own."""

from pathlib import Path

from attest.evidence_directory import sign_with_key, write_bundle
from attest.signer import Signer
from attest.statement import Statement


def sign_statement(directory: Path, statement: Statement, signer: Signer, *, force: bool = False) -> None:
    write_bundle(directory, sign_with_key(statement.payload, signer), signer.public_key.pem, force=force)
