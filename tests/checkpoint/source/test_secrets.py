"""Names, passwords and signatures in a URI: in no evidence, no output and no message, whatever goes wrong."""

from __future__ import annotations

from pathlib import Path

import boto3
import pytest
from click.testing import CliRunner
from servers.aws import serving_aws
from servers.web import Fault, Web, redirect, serving, status

from attest.checkpoint.source import open_tree, shown
from attest.cli import main
from attest.errors import AttestError

SECRET = "S3CR3T"  # noqa: S105 - of the servers in these tests
FILE = "/model.safetensors"


@pytest.fixture
def url(web: Web, family: Path) -> str:
    """A signed address of a weight file."""
    web.files[FILE] = (family / "seed-1" / "model.safetensors").read_bytes()
    return f"{web.url}{FILE}?X-Amz-Signature={SECRET}#{SECRET}"


def run(*words: object) -> tuple[int, str]:
    """Exit code and all that is printed."""
    done = CliRunner().invoke(main, [str(word) for word in words])
    assert not done.exception or isinstance(done.exception, SystemExit)
    return done.exit_code, done.output


WAYS = [
    ["measure", "URL", "-o", "OUT/evidence"],
    ["inspect", "URL"],
    ["inspect", "URL", "--format", "json"],
    ["compare", "URL", "URL", "--format", "json"],
    ["scan", "URL"],
    ["scan", "URL", "--evidence", "OUT/scan"],
    ["scan", "URL", "--format", "spdx", "-o", "OUT/spdx.json"],
]


@pytest.mark.parametrize("words", WAYS, ids=" ".join)
def test_a_signature_in_a_query_goes_nowhere(words: list[str], url: str, web: Web, tmp_path: Path):
    code, said = run(*(word.replace("URL", url).replace("OUT", str(tmp_path)) for word in words))
    assert code == 0
    assert SECRET not in said
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or SECRET.encode() not in path.read_bytes()
    assert {request.query for request in web.log} == {f"X-Amz-Signature={SECRET}"}


def test_an_address_that_boto3_signs(family: Path, tmp_path: Path):
    """As ``aws s3 presign`` prints it; its server answers ranges."""
    with serving_aws() as endpoint:
        client = boto3.client(
            "s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id=SECRET, aws_secret_access_key=SECRET
        )
        client.create_bucket(Bucket="bucket")
        client.put_object(Bucket="bucket", Key="m.safetensors", Body=(family / "seed-1" / FILE[1:]).read_bytes())
        signed = client.generate_presigned_url("get_object", Params={"Bucket": "bucket", "Key": "m.safetensors"})
        client.close()
        assert SECRET in signed
        code, said = run("measure", signed, "-o", tmp_path / "evidence")
    assert code == 0
    written = (tmp_path / "evidence" / "statement.json").read_bytes()
    assert (SECRET in said, b"Signature" in written, SECRET.encode() in written) == (False, False, False)


FAULTS: dict[str, Fault] = {
    "not there": status(404),
    "expired": status(403),
    "no beginning": status(416),
    "teapot": status(418),
    "other host without encryption": redirect(f"http://198.51.100.1/x?sig={SECRET}"),
    "password in a redirect": redirect(f"https://user:{SECRET}@b.example/x?sig={SECRET}"),
    "no name of a host": redirect(f"https://{'a' * 70}.example/x?sig={SECRET}"),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_errors_name_no_secret(fault: Fault, url: str, web: Web):
    web.always = fault
    code, said = run("inspect", url)
    assert code == 3
    assert said.startswith("error[")
    assert SECRET not in said


def test_another_host_that_refuses_is_not_told_on(url: str, web: Web):
    with serving(Web(always=status(403))) as other:
        web.always = redirect(f"{other.url}/x?Signature={SECRET}")
        code, said = run("inspect", url)
        assert {request.headers.get("authorization") for request in other.log} == {None}
    assert (code, SECRET in said) == (3, False)
    assert "a signed address, that may read it and has not expired" in said


BAD = [
    f"https://user:{SECRET}@h.example/x",
    f"https://user:{SECRET}@[::1/x?{SECRET}",
    f"https://{SECRET}@h example/x#{SECRET}",
    f"http://user:{SECRET}@h.example/x?a={SECRET}",
    f"ftp://user:{SECRET}@h.example/x",
    f"s3://user:{SECRET}@bucket/x",
    f"s3://bucket/x?X-Amz-Signature={SECRET}",
    f"hf://user:{SECRET}@org/x",
    f"hf://org/x?token={SECRET}",
]


@pytest.mark.parametrize("uri", BAD)
@pytest.mark.parametrize("words", [["inspect"], ["inspect", "--revision", "v1"], ["scan"]], ids=" ".join)
def test_addresses_that_are_none_are_shown_without_secrets(words: list[str], uri: str):
    code, said = run(*words, uri)
    assert code == 3
    assert said.startswith("error[")
    assert SECRET not in said


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("hf://gpt2@v1/x", "hf://gpt2@v1/x"),
        ("hf://org/name@v1", "hf://org/name@v1"),
        ("https://h.example/a@b?x#y", "https://h.example/a@b"),
        ("https://u:p@h.example:1/a", "https://h.example:1/a"),
        ("https://u@v@h/a", "https://h/a"),
        ("s3://bucket/a", "s3://bucket/a"),
        ("a?b#c", "a?b#c"),
    ],
)
def test_what_is_shown_of_a_location(uri: str, expected: str):
    assert shown(uri) == expected


@pytest.fixture
def _endpoint_with_password(monkeypatch: pytest.MonkeyPatch, web: Web) -> None:
    for name, value in {
        "HF_ENDPOINT": web.url.replace("//", f"//user:{SECRET}@"), "AWS_ENDPOINT_URL": f"no address {SECRET}",
        "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("_endpoint_with_password")
@pytest.mark.parametrize("uri", ["hf://org/name", "s3://bucket/key"])
def test_an_endpoint_of_the_environment_is_not_shown(uri: str):
    with pytest.raises(AttestError) as caught:
        open_tree(uri)
    assert SECRET not in str(caught.value)
