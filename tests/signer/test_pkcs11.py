"""Keys on a token, with SoftHSM: which key is meant, who may use it, and what happens when the token is gone."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from pkcs11 import Attribute, KeyType
from softhsm import CURVES, PIN, SoftHsm, uri
from tiny_evidence import TinyEvidence

from attest.cli import main
from attest.errors import AttestError
from attest.signer import Signer, open_signer

KEYS = (
    ("p256", "release", b"\x01"),
    ("ed25519", "edwards", b"\x02"),
    ("p384", "p384", b"\x03"),
    ("p256", "twice", b"\x04"),
    ("p256", "twice", b"\x05"),
)


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoftHsm]:
    """Two tokens; on the one called ``signing`` are keys."""
    hsm = SoftHsm.start(tmp_path_factory.mktemp("softhsm"))
    hsm.add_token("signing")
    hsm.add_token("empty")
    hsm.add_keys("signing", KEYS)
    with hsm.session("signing") as session:
        session.generate_keypair(KeyType.RSA, 1024, store=True, label="rsa", id=b"\x06")
        kind, parameters = CURVES["p256"]
        domain = session.create_domain_parameters(kind, {Attribute.EC_PARAMS: parameters}, local=True)
        public, _ = domain.generate_keypair(store=True, label="no-public", id=b"\x07")
        public.destroy()
    yield hsm
    hsm.stop()


def opened(location: str, pin: str = PIN) -> Signer:
    return open_signer(location, ask_password=lambda _: pin.encode())


def refusal(location: str, pin: str = PIN) -> tuple[str, int]:
    with pytest.raises(AttestError) as caught:
        opened(location, pin)
    assert pin not in str(caught.value)
    return caught.value.code, caught.value.exit_code


@pytest.mark.usefixtures("tokens")
@pytest.mark.parametrize("name", ["release", "edwards"])
def test_it_signs_with_both_kinds_of_keys(name: str):
    signer = opened(uri("signing", name=name))
    assert signer.public_key.type == {"release": "p256", "edwards": "ed25519"}[name]
    for data in (b"", bytes(1_000_000)):
        signer.public_key.verify(signer.sign(data), data)
    assert PIN not in repr(signer)


@pytest.mark.usefixtures("tokens")
def test_a_key_is_named_by_label_or_identifier_and_must_be_one():
    both = opened(uri("signing", name="release", identifier=b"\x01"))
    assert both.public_key == opened(uri("signing", identifier=b"\x01")).public_key
    assert (
        opened(uri("signing", identifier=b"\x04")).public_key != opened(uri("signing", identifier=b"\x05")).public_key
    )
    assert refusal(uri("signing", name="twice")) == ("several-on-token", 3)
    assert refusal(uri("signing")) == ("several-on-token", 3)
    assert refusal(uri("signing", name="missing")) == ("not-on-token", 3)
    assert refusal(uri("signing", name="release", identifier=b"\x02")) == ("not-on-token", 3)
    assert refusal(uri("empty")) == ("not-on-token", 3)


@pytest.mark.usefixtures("tokens")
def test_a_token_must_be_one_and_be_there_before_anybody_is_asked():
    def nobody(_location: str) -> bytes:
        raise AssertionError

    for location, code in (
        (uri("missing"), "not-on-token"),
        (uri("signing").replace("token=signing", "serial=0"), "not-on-token"),
        (uri("signing").replace("token=signing", "manufacturer=SoftHSM%20project"), "several-on-token"),
    ):
        with pytest.raises(AttestError) as caught:
            open_signer(location, ask_password=nobody)
        assert (caught.value.code, caught.value.exit_code) == (code, 3)


@pytest.mark.usefixtures("tokens")
@pytest.mark.parametrize("name", ["rsa", "p384", "no-public"])
def test_other_kinds_of_keys_and_a_lonely_half_are_refused(name: str):
    assert refusal(uri("signing", name=name)) == ("unusable-key", 3)


@pytest.mark.usefixtures("tokens")
@pytest.mark.parametrize("pin", ["0000000000", "00"])
def test_a_wrong_pin_is_refused_and_not_quoted(pin: str):
    assert refusal(uri("signing", name="release"), pin) == ("pin-refused", 3)
    opened(uri("signing", name="release"))


@pytest.mark.usefixtures("tokens")
def test_a_pin_that_is_no_text_is_refused():
    with pytest.raises(AttestError) as caught:
        open_signer(uri("signing", name="release"), ask_password=lambda _: b"\xff\xfe")
    assert caught.value.code == "pin-refused"


@pytest.mark.usefixtures("tokens")
def test_a_library_is_named_in_the_uri_or_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    location = uri("signing", name="release")
    bare, _, module = location.partition("?module-path=")
    monkeypatch.delenv("PKCS11_MODULE_PATH", raising=False)
    assert refusal(bare) == ("no-pkcs11-module", 3)
    assert refusal(f"{bare}?module-path={tmp_path}/none.so") == ("no-pkcs11-module", 3)
    (tmp_path / "text.so").write_text("not a library")
    assert refusal(f"{bare}?module-path={tmp_path}/text.so") == ("no-pkcs11-module", 3)
    monkeypatch.setenv("PKCS11_MODULE_PATH", module)
    assert opened(bare).public_key == opened(location).public_key


@pytest.mark.usefixtures("tokens")
def test_a_public_key_that_is_not_the_other_half_is_noticed():
    signer = opened(uri("signing", identifier=b"\x04"))
    other = opened(uri("signing", identifier=b"\x05"))
    object.__setattr__(signer, "public_key", other.public_key)
    with pytest.raises(AttestError) as caught:
        signer.sign(b"data")
    assert caught.value.code == "token-refused"


def test_a_key_that_wants_its_pin_each_time_gets_it(tokens: SoftHsm):
    kind, parameters = CURVES["p256"]
    with tokens.session("signing") as session:
        domain = session.create_domain_parameters(kind, {Attribute.EC_PARAMS: parameters}, local=True)
        always = {Attribute.ALWAYS_AUTHENTICATE: True, Attribute.PRIVATE: True}
        domain.generate_keypair(store=True, label="always", id=b"\x08", private_template=always)
    signer = opened(uri("signing", name="always"))
    signer.public_key.verify(signer.sign(b"data"), b"data")


def test_a_token_that_is_taken_away_signs_no_more(tmp_path: Path, tokens: SoftHsm):
    card = SoftHsm.start(tmp_path)
    try:
        card.add_token("card")
        card.add_keys("card", (("p256", "k", b"\x01"),))
        signer = opened(uri("card", name="k"))
        signer.sign(b"data")
        card.remove_tokens()
        with pytest.raises(AttestError) as caught:
            signer.sign(b"data")
        assert (caught.value.code, caught.value.exit_code) == ("token-refused", 3)
    finally:
        tokens.lead()


def attest(*arguments: Any) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.mark.usefixtures("tokens")
@pytest.mark.parametrize("way", ["file", "environment"])
def test_the_command_line_signs_cosigns_and_states_results(
    way: str, tiny: TinyEvidence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    pin = tmp_path / "pin"
    pin.write_text(f"{PIN}\n")
    monkeypatch.setenv("ATTEST_PASSWORD", PIN if way == "environment" else "wrong")
    given = ["--password-file", pin] if way == "file" else []
    key, other = uri("signing", name="release"), uri("signing", name="edwards")
    runs = [
        attest("sign", tiny.directory, "--key", key, *given, "--model-sig", "--force"),
        attest("sign", tiny.directory, "--key", other, *given, "--cosign"),
        attest("verify", tiny.directory, "--key", tiny.directory / "signer.pub.pem", "--checkpoint", tiny.checkpoint),
        attest(
            "attest-result", tiny.directory, "--key", tiny.directory / "signer.pub.pem", "--sign-with", other, *given
        ),
    ]
    for run in runs:
        assert run.exit_code == 0, run.stderr
        assert PIN not in run.stdout + run.stderr
    assert len((tiny.directory / "claims.jsonl").read_bytes().splitlines()) == 2
    for file in (file for file in tiny.directory.rglob("*") if file.is_file()):
        assert PIN.encode() not in file.read_bytes()


@pytest.mark.usefixtures("tokens")
def test_without_a_pin_or_with_one_in_the_uri_nothing_is_signed(tiny: TinyEvidence):
    good = tiny.bundle.read_bytes()
    location = uri("signing", name="release")
    for key, code in ((location, "password-needed"), (f"{location}&pin-value={PIN}", "pin-in-uri")):
        done = attest("sign", tiny.directory, "--key", key, "--force")
        assert (done.exit_code, done.stderr.split(":")[0]) == (3, f"error[{code}]")
        assert PIN not in done.stderr
    assert tiny.bundle.read_bytes() == good


def test_without_the_extra_it_says_so():
    code = (
        "import sys; sys.modules['pkcs11'] = None\n"
        "from attest.signer import open_signer\n"
        "from attest.errors import InputError\n"
        "try: open_signer('pkcs11:token=a')\n"
        "except InputError as error: print(error.code, error.fix)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "extra-missing pip install 'attest-checkpoints[pkcs11]'\n"
