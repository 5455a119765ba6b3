"""A report of a keyless bundle names its certificate, and vouches for nothing."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner
from sigstore_loopback.loopback import LoopbackSigstore
from tiny_evidence import TinyEvidence

from attest.bundle import Bundle
from attest.cli import main
from attest.envelope import b64encode
from attest.report.render import render


def test_a_keyless_bundle_is_shown_with_whom_its_certificate_names(tiny: TinyEvidence, tmp_path: Path):
    with LoopbackSigstore.serving() as loopback:
        config = tmp_path / "config.json"
        config.write_text(json.dumps(loopback.client_trust_config()))
        token = loopback.token('"<b>eve"@example.test')
        arguments = ["sign", str(tiny.directory), "--keyless", "--trust-config", str(config), "--force"]
        done = CliRunner().invoke(main, [*arguments, "--identity-token", token])
        assert done.exit_code == 0, done.stderr
    page = render([tiny.bundle.read_bytes()]).decode()
    assert "&lt;b&gt;eve&#34;@example.test" in page
    assert "<b>eve" not in page
    assert "--identity IDENTITY --issuer ISSUER" in page
    assert "--key KEY.pub.pem" not in page
    shown = CliRunner().invoke(main, ["inspect", str(tiny.directory)])
    assert 'a certificate that names "<b>eve"@example.test' in shown.stdout
    value = json.loads(tiny.bundle.read_bytes())
    value["verificationMaterial"]["certificate"]["rawBytes"] = b64encode(b"garbage")
    spoiled = json.dumps(value).encode()
    Bundle.from_json(spoiled, where="x")
    assert "the certificate is malformed" in render([spoiled]).decode()
    tiny.bundle.write_bytes(spoiled)
    assert "the certificate is malformed" in CliRunner().invoke(main, ["inspect", str(tiny.directory)]).stdout
