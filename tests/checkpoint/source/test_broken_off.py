"""A connection that breaks at any byte: the read goes on at that byte, of the same version, at every kind of source."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator

import pytest
from servers.hub import Hub
from servers.web import Fault, Handler, Web, cut_after, serving, status

from attest.checkpoint.source.client import Client
from attest.checkpoint.source.hub import read_hub
from attest.checkpoint.source.s3 import read_s3
from attest.checkpoint.source.web import read_web
from attest.checkpoint.tree import Tree
from attest.errors import CheckpointError

NAME = "model.safetensors"
DATA = bytes(range(97))
LONG = bytes(range(251)) * 20_000
LISTING = (
    "<ListBucketResult><Contents><Key>model.safetensors</Key><Size>{}</Size><ETag>&quot;1&quot;</ETag></Contents>"
    "</ListBucketResult>"
)


def no_pause(_: float) -> None:
    """Do not wait."""


def of_web(web: Web, data: bytes) -> Tree:
    web.files[f"/{NAME}"] = data
    return read_web(f"{web.url}/{NAME}", client=Client(sleep=no_pause))


def of_hub(web: Web, data: bytes, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tree]:
    """The hub leads every request to ``web``, where the file is stored."""
    with serving(Hub(repositories={"org/model": {NAME: data}}, storage=web)) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")
        yield read_hub("hf://org/model", client=Client(sleep=no_pause))


def of_s3(web: Web, data: bytes, monkeypatch: pytest.MonkeyPatch) -> Tree:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "AWS_ENDPOINT_URL": web.url, "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "missing", "AWS_SHARED_CREDENTIALS_FILE": "missing",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    web.files |= {"/bucket": LISTING.format(len(data)).encode(), f"/bucket/{NAME}": data}
    web.headers[f"/bucket/{NAME}"] = {"ETag": '"1"'}
    return read_s3("s3://bucket", sleep=no_pause)


@pytest.fixture(params=["web", "hub", "s3"])
def opened(
    request: pytest.FixtureRequest, web: Web, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[bytes], Tree]]:
    """Makes a tree of one file that ``web`` serves."""
    begun: list[Iterator[Tree]] = []

    def make(data: bytes) -> Tree:
        if request.param == "hub":
            begun.append(of_hub(web, data, monkeypatch))
            return next(begun[-1])
        return of_web(web, data) if request.param == "web" else of_s3(web, data, monkeypatch)

    yield make
    for one in begun:
        next(one, None)


def read(tree: Tree) -> bytes:
    with tree.open(NAME) as stream:
        return stream.read()


def test_at_any_byte(opened: Callable[[bytes], Tree], web: Web):
    """Each byte in turn: nothing is asked for twice, and what follows is asked for by the version that was begun."""
    tree = opened(DATA)
    for cut in range(len(DATA)):
        web.log.clear()
        web.faults = [cut_after(cut)]
        assert read(tree) == DATA
        first, second = web.log
        assert (first.range, second.range) == ((0, len(DATA) - 1), (cut, len(DATA) - 1))
        assert second.headers["if-match"].startswith('"')


def reset(size: int) -> Fault:
    """The end of the connection after a few bytes, without a farewell."""

    def fault(handler: Handler) -> None:
        cut_after(size)(handler)
        handler.wfile.flush()
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        handler.connection.close()

    return fault


def test_a_long_file_is_not_begun_again(opened: Callable[[bytes], Tree], web: Web):
    """Every answer breaks off, in one way or another; five times in a row it gives next to nothing."""
    tree = opened(LONG)
    web.log.clear()
    web.faults = [
        cut_after(65_536), status(503), reset(0), reset(1000), cut_after(1_100_000), cut_after(1_200_000),
        cut_after(0), reset(65_535), cut_after(1), status(500), cut_after(1_048_577), cut_after(3), reset(300_000),
    ]  # fmt: skip
    assert read(tree) == LONG
    begins = [request.range[0] for request in web.log if request.range]
    assert begins == sorted(begins)
    assert begins[-1] > len(LONG) // 2


def test_another_version_after_the_break_is_noticed(opened: Callable[[bytes], Tree], web: Web):
    tree = opened(LONG)

    def change(handler: Handler) -> None:
        cut_after(1000)(handler)
        for path in web.files:
            if web.files[path] == LONG:
                web.files[path] = LONG[::-1]
                web.headers[path] = {"ETag": '"2"'}

    web.faults = [change]
    with tree.open(NAME) as stream, pytest.raises(CheckpointError) as caught:
        stream.read()
    assert caught.value.code == "file-changed"
