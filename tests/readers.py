"""A reader with a trust policy, and people with keys."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from keyless_evidence import attest
from tiny_evidence import TinyEvidence
from verifying import failed

from attest.signer import write_key_pair
from attest.trust_policy import TRUST_POLICY_TYPE, read_trust_policy
from attest.verify import Files, Trust, Verification, verify


class Readers:
    """A reader with a policy, and people with keys."""

    def __init__(self, tiny: TinyEvidence) -> None:
        self.tiny = tiny
        self.folder = tiny.root / "reader"
        self.folder.mkdir()

    def key(self, name: str) -> Path:
        path = self.folder / f"{name}.pem"
        if not path.exists():
            write_key_pair(path)
        return path

    def pem(self, name: str) -> str:
        return (
            self.tiny.key().with_suffix(".pub.pem") if name == "author" else self.key(name).with_suffix(".pub.pem")
        ).read_text()

    def signer(self, name: str, *others: str, identities: tuple[Any, ...] = ()) -> dict[str, Any]:
        """Somebody with one key or more."""
        keys = [] if identities and not others else [self.pem(one) for one in (name, *others)]
        return {"name": name, "publicKeys": keys, "identities": list(identities)}

    def policy(self, *signers: dict[str, Any], **changes: Any) -> Path:
        """A policy that believes these; the author where none is given."""
        value = {
            "policyType": TRUST_POLICY_TYPE,
            "signers": list(signers) or [self.signer("author")],
            "minimumSigners": 1,
            "minimumReproductions": 0,
            "reproductionOutcome": "within-tolerance",
            "reproducedValues": [],
            "trustedTime": None,
            "predicateTypes": [],
            "assuranceLevels": [],
            "requireDetails": False,
            "requireCheckpoint": False,
        }
        path = self.folder / "policy.json"
        path.write_text(json.dumps(value | changes))
        return path

    def cosign(self, *names: str) -> None:
        for name in names:
            done = attest("sign", self.tiny.directory, "--key", self.key(name), "--cosign")
            assert done.exit_code == 0, done.stderr

    def check(self, policy: Path, *, with_checkpoint: bool = True, trust: Trust | None = None) -> Verification:
        files = Files(checkpoint=self.tiny.checkpoint if with_checkpoint else None)
        return verify(self.tiny.directory, expectation=read_trust_policy(policy), files=files, trust=trust)


def result(verification: Verification) -> tuple[list[str], int]:
    return failed(verification), verification.exit_code
