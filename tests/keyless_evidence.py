"""Tiny evidence that Alice signed through a Sigstore on loopback."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from click.testing import CliRunner, Result
from sigstore_loopback.loopback import LoopbackSigstore
from tiny_evidence import TinyEvidence, write_checkpoint
from verifying import check

from attest.cli import main
from attest.identity import Identity
from attest.trust import TrustedRoot
from attest.verify import Expectation, Trust, Verification

ALICE = "alice@example.test"


def attest(*arguments: Any) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


class Signed:
    """Tiny evidence that Alice signed, and the Sigstore that she signed with."""

    def __init__(self, tiny: TinyEvidence, loopback: LoopbackSigstore) -> None:
        self.tiny, self.loopback = tiny, loopback
        self.config, self.root = tiny.root / "trust-config.json", tiny.root / "trusted_root.json"
        self.config.write_text(json.dumps(loopback.client_trust_config()))
        self.root.write_text(json.dumps(loopback.trusted_root()))
        self.signing = attest(
            "sign", tiny.directory, "--keyless", "--trust-config", self.config, "--identity-token", loopback.token()
        )
        assert self.signing.exit_code == 0, self.signing.stderr
        self.good = tiny.bundle.read_bytes()

    def expectation(self, identity: str = ALICE, issuer: str = "") -> Expectation:
        return Expectation(identity=Identity(identity=identity, issuer=issuer or self.loopback.url))

    def check(self, **arguments: Any) -> Verification:
        given = {"expectation": self.expectation(), "trust": Trust(root=TrustedRoot.read(self.root))} | arguments
        return check(self.tiny, **given)

    def change(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Write the bundle with something changed in its JSON."""
        value = json.loads(self.good)
        change(value)
        self.tiny.bundle.write_text(json.dumps(value))


@contextmanager
def signed_evidence(folder: Path, rekor: Literal[1, 2]) -> Iterator[Signed]:
    """Evidence that was signed through one kind of log."""
    tiny = TinyEvidence(root=folder)
    write_checkpoint(tiny.checkpoint)
    tiny.write()
    with LoopbackSigstore.serving(rekor=rekor) as loopback:
        yield Signed(tiny, loopback)
