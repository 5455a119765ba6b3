"""``s3://``, from a server that moto runs on the loopback interface."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from servers.aws import serving_aws
from servers.web import Fault, Web, cut_after, status, whole

from attest.checkpoint.source import open_tree
from attest.checkpoint.source.s3 import objects_uri, read_s3
from attest.errors import AttestError, CheckpointError, InputError, NetworkError
from attest.evidence import RemoteSource
from attest.measure import measure

URI = "s3://bucket/models/seed-1"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """Address of moto's server."""
    with serving_aws() as address:
        yield address


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """An environment in which only these credentials are found."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "AKIASECRET",
        "AWS_SECRET_ACCESS_KEY": "very secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": str(tmp_path / "missing"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "missing"),
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


@pytest.fixture
def client(endpoint: str, settings: pytest.MonkeyPatch, family: Path) -> Iterator[Any]:
    """Client of a bucket that holds a checkpoint."""
    settings.setenv("AWS_ENDPOINT_URL", endpoint)
    client = boto3.client("s3")
    client.create_bucket(Bucket="bucket")
    for path in (family / "seed-1").iterdir():
        client.put_object(Bucket="bucket", Key=f"models/seed-1/{path.name}", Body=path.read_bytes())
    client.put_object(Bucket="bucket", Key="models/seed-10/config.json", Body=b"{}")
    client.put_object(Bucket="bucket", Key="models/seed-1/sub/", Body=b"")
    yield client
    for one in client.list_objects_v2(Bucket="bucket").get("Contents", ()):
        client.delete_object(Bucket="bucket", Key=one["Key"])
    client.close()


def code_of(action: Callable[[], object]) -> tuple[type[AttestError], str]:
    with pytest.raises(AttestError) as caught:
        action()
    return type(caught.value), caught.value.code


@pytest.mark.usefixtures("client")
def test_a_prefix_is_measured_as_a_folder_is(family: Path, endpoint: str):
    remote, local = measure(URI + "/"), measure(family / "seed-1")
    assert remote.details == local.details
    assert remote.evidence.checkpoint.tree_digest == local.evidence.checkpoint.tree_digest
    assert remote.evidence.checkpoint.source == RemoteSource(
        uri=f"{endpoint}/bucket/models/seed-1", revision=None, commit=None
    )
    assert b"secret" not in remote.statement().payload.lower()


@pytest.mark.usefixtures("client")
def test_one_object_is_one_file(family: Path):
    remote = measure(f"{URI}/model.safetensors")
    assert remote.details == measure(family / "seed-1" / "model.safetensors").details
    assert [file.path for file in open_tree("s3://bucket").files] == [
        "models/seed-1/config.json", "models/seed-1/model.safetensors", "models/seed-10/config.json",
    ]  # fmt: skip


def test_long_lists_have_pages(client: Any, settings: pytest.MonkeyPatch):
    for number in range(7):
        client.put_object(Bucket="bucket", Key=f"many/{number}", Body=b"x")
    settings.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "3")
    assert client.list_objects_v2(Bucket="bucket", Prefix="many/")["KeyCount"] == 3
    assert len(open_tree("s3://bucket/many").files) == 7


@pytest.mark.parametrize("key", ["models/seed-1/../x", "models/seed-1//x", "models/seed-1/a\\b"])
def test_keys_that_no_folder_can_hold(client: Any, key: str):
    client.put_object(Bucket="bucket", Key=key, Body=b"x")
    assert code_of(lambda: open_tree(URI))[1] in {"unsafe-path", "unsafe-name"}


def test_an_object_that_changes_is_noticed(client: Any):
    tree = open_tree(URI)
    client.put_object(Bucket="bucket", Key="models/seed-1/config.json", Body=bytes(tree.sizes["config.json"]))
    with tree.open("config.json") as stream:
        assert code_of(lambda: stream.read(1)) == (CheckpointError, "file-changed")
    assert code_of(tree.check_unchanged) == (CheckpointError, "file-changed")


@pytest.mark.usefixtures("client")
def test_what_is_not_there():
    assert code_of(lambda: open_tree("s3://bucket/none")) == (CheckpointError, "empty-checkpoint")
    assert code_of(lambda: open_tree("s3://no-bucket/none")) == (NetworkError, "not-found")


@pytest.mark.parametrize(
    "uri", ["s3://", "s3://B/x", "s3://bucket/x?versionId=1", "s3://a", "s3://bucket/" + "x" * 2000]
)
def test_uris_that_name_no_bucket(uri: str):
    assert code_of(lambda: open_tree(uri)) == (InputError, "bad-address")


# servers that spoil answers


LISTING = b"""<?xml version="1.0"?><ListBucketResult><Contents><Key>x.bin</Key><Size>200000</Size>
<ETag>"1"</ETag></Contents></ListBucketResult>"""
DATA = bytes(range(200)) * 1000


@pytest.fixture
def spoiled(web: Web, settings: pytest.MonkeyPatch) -> Web:
    """A server with one object, without credentials."""
    settings.setenv("AWS_ENDPOINT_URL", web.url)
    settings.delenv("AWS_ACCESS_KEY_ID")
    settings.delenv("AWS_SECRET_ACCESS_KEY")
    web.files = {"/bucket": LISTING, "/bucket/x.bin": DATA}
    web.headers["/bucket/x.bin"] = {"ETag": '"1"'}
    return web


def test_without_credentials_nothing_is_signed(spoiled: Web):
    tree = open_tree("s3://bucket")
    with tree.open("x.bin") as stream:
        assert stream.read() == DATA
    assert not [request for request in spoiled.log if "authorization" in request.headers]


def test_broken_answers_are_asked_for_again(spoiled: Web):
    pauses: list[float] = []
    spoiled.faults = [status(503), None, status(500), cut_after(1000), status(503)]
    with read_s3("s3://bucket", sleep=pauses.append).open("x.bin") as stream:
        assert stream.read() == DATA
    assert pauses == [0.5, 0.5, 1.0, 2.0]


def test_a_server_that_is_always_busy(spoiled: Web):
    spoiled.always = status(503)
    assert code_of(lambda: read_s3("s3://bucket", sleep=lambda _: None)) == (NetworkError, "no-answer")


def test_a_server_without_ranges_is_noticed(spoiled: Web):
    tree = open_tree("s3://bucket")
    spoiled.always = whole
    with tree.open("x.bin") as stream:
        assert code_of(lambda: stream.read(1)) == (NetworkError, "no-ranges")


def test_a_path_that_was_not_listed_is_not_asked_for(spoiled: Web):
    tree = open_tree("s3://bucket")
    spoiled.log.clear()
    with pytest.raises(CheckpointError) as caught, tree.open("y.bin"):
        pytest.fail("opened")
    assert (caught.value.code, spoiled.log) == ("unsafe-path", [])


def refusing(code: str, number: int, headers: dict[str, str] | None = None) -> Fault:
    """An error as S3 answers it."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>Words.</Message></Error>"
    return lambda handler: handler.give(number, body.encode(), {"Content-Type": "application/xml", **(headers or {})})


def test_a_server_that_asks_to_slow_down_is_waited_for(spoiled: Web):
    pauses: list[float] = []
    spoiled.faults = [
        refusing("TooManyRequests", 429, {"Retry-After": "7"}), refusing("Throttling", 400), refusing("SlowDown", 503),
    ]  # fmt: skip
    assert read_s3("s3://bucket", sleep=pauses.append).files
    assert pauses == [7.0, 1.0, 2.0]


REFUSALS = {
    "expired token": (refusing("ExpiredToken", 400), "access-denied"),
    "forbidden": (refusing("AccessDenied", 403), "access-denied"),
    "no bucket": (refusing("NoSuchBucket", 404), "not-found"),
}


@pytest.mark.parametrize(("fault", "code"), REFUSALS.values(), ids=REFUSALS)
def test_refusals(spoiled: Web, fault: Fault, code: str):
    spoiled.always = fault
    assert code_of(lambda: read_s3("s3://bucket", sleep=lambda _: None)) == (NetworkError, code)


def test_a_server_that_leads_on_and_on(spoiled: Web):
    """Botocore looks for the bucket until its stack is full; where that happens decides what it raises."""
    spoiled.always = refusing("PermanentRedirect", 301)
    with pytest.raises(NetworkError):
        read_s3("s3://bucket", sleep=lambda _: None)


@pytest.mark.parametrize("setting", [{"AWS_PROFILE": "missing"}, {"AWS_CONFIG_FILE": "broken"}])
def test_settings_that_cannot_be_read(settings: pytest.MonkeyPatch, tmp_path: Path, setting: dict[str, str]):
    (tmp_path / "broken").write_text("[[")
    settings.chdir(tmp_path)
    for name, value in setting.items():
        settings.setenv(name, value)
    assert code_of(lambda: read_s3("s3://bucket")) == (NetworkError, "access-denied")


def test_objects_at_amazon_are_named_by_their_bucket():
    """A bucket's name means nothing at another server."""
    assert objects_uri("https://s3.eu-west-1.amazonaws.com", "bucket", "a/b") == "s3://bucket/a/b"
    assert objects_uri("https://u:p@minio.example:9000/", "bucket", "a") == "https://minio.example:9000/bucket/a"
    assert objects_uri("https://amazonaws.com.example", "bucket", "a") == "https://amazonaws.com.example/bucket/a"
