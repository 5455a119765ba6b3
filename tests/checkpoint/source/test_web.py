"""``https://``, here over http on the loopback interface: ranges of one version, from a server that may be anything."""

import asyncio
import http.server
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from aiohttp import web as aiohttp_web
from servers.web import (
    Fault,
    Handler,
    Web,
    changed_to,
    cut_after,
    endless,
    other_range,
    page,
    redirect,
    serving,
    status,
    whole,
)
from small_checkpoint import write_shards

from attest.checkpoint import open_checkpoint
from attest.checkpoint.source import open_tree
from attest.checkpoint.source.client import Client
from attest.checkpoint.source.web import read_web
from attest.errors import AttestError, CheckpointError, DocumentError, NetworkError
from attest.measure import Measurement, measure

FILE = "/models/model.safetensors"


def same_numbers(one: Measurement, other: Measurement) -> None:
    assert one.details == other.details
    first, second = one.evidence.checkpoint, other.evidence.checkpoint
    assert [(file.path, file.sha256) for file in first.files] == [(file.path, file.sha256) for file in second.files]


@pytest.fixture
def weights(family: Path, web: Web) -> Path:
    """A weight file that the server holds too."""
    path = family / "seed-1" / "model.safetensors"
    web.files[FILE] = path.read_bytes()
    return path


def code_of(action: Callable[[], object]) -> tuple[type[AttestError], str]:
    with pytest.raises(AttestError) as caught:
        action()
    return type(caught.value), caught.value.code


def test_a_weight_file_is_measured_as_a_local_one_is(web: Web, weights: Path):
    remote = measure(web.url + FILE + "?signature=secret")
    same_numbers(remote, measure(weights))
    source = remote.evidence.checkpoint.source
    assert source is not None
    assert (source.uri, source.revision, source.commit) == (web.url + FILE, None, None)
    assert b"secret" not in remote.statement().payload
    assert {request.query for request in web.log} == {"signature=secret"}


@pytest.mark.usefixtures("weights")
def test_a_header_costs_little(web: Web):
    assert open_checkpoint(web.url + FILE).tensors
    assert len(web.log) == 2
    assert sum(last - first + 1 for first, last in filter(None, (request.range for request in web.log))) < 70_000


def test_reading_one_tensor_costs_one_range_or_two(web: Web, weights: Path):
    checkpoint = open_checkpoint(web.url + FILE)
    web.log.clear()
    tensor = checkpoint.tensors[-1]
    assert checkpoint.read_bits(tensor).tobytes() == weights.read_bytes()[tensor.begin : tensor.end]
    assert len(web.log) <= 2


@pytest.mark.usefixtures("weights")
def test_all_requests_after_the_first_name_the_version(web: Web):
    measure(web.url + FILE)
    assert len(web.log) > 3
    tags = {request.headers.get("if-match") for request in web.log if request.range != (0, 0)}
    assert len(tags) == 1
    assert None not in tags


def sharded(web: Web, tmp_path: Path) -> Path:
    """A sharded checkpoint with a configuration, here and on the server."""
    folder = tmp_path / "sharded"
    (folder / "sub").mkdir(parents=True)
    rng = np.random.default_rng(1)
    shards = {
        name: {f"{number}.weight": rng.standard_normal((20, 30)).astype(np.float32)}
        for number, name in enumerate(["a b.safetensors", "sub/é.safetensors"])
    }
    write_shards(folder, shards)
    (folder / "config.json").write_text('{"model_type": "llama", "_name_or_path": "org/base"}')
    web.files |= {
        f"/models/{path.relative_to(folder).as_posix()}": path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    return folder


INDEX = "/models/model.safetensors.index.json"


def test_an_index_brings_its_shards_and_the_configuration(web: Web, tmp_path: Path):
    folder = sharded(web, tmp_path)
    remote, local = measure(web.url + INDEX), measure(folder)
    same_numbers(remote, local)
    assert remote.evidence.checkpoint.tree_digest == local.evidence.checkpoint.tree_digest
    assert "config-name-or-path" in {finding.code for finding in remote.evidence.checkpoint.findings}


def test_the_configuration_may_be_missing_a_shard_may_not(web: Web, tmp_path: Path):
    sharded(web, tmp_path)
    del web.files["/models/config.json"]
    assert len(open_tree(web.url + INDEX).files) == 3
    del web.files["/models/a b.safetensors"]
    assert code_of(lambda: open_tree(web.url + INDEX)) == (NetworkError, "not-found")


@pytest.mark.parametrize(
    "shard", ["../x.safetensors", "/x.safetensors", "https://b.example/x", "a//b", ".", "", "a\nb", "a\\b"]
)
def test_shards_lie_below_the_index(web: Web, shard: str):
    web.files[INDEX] = json.dumps({"weight_map": {"a": shard}}).encode()
    kind, code = code_of(lambda: open_tree(web.url + INDEX))
    assert (kind, code) in {(CheckpointError, "unsafe-path"), (CheckpointError, "unsafe-name")}
    assert [request.path for request in web.log] == [INDEX]


@pytest.mark.parametrize("index", [b"[]", b'{"weight_map": []}', b'{"weight_map": {"a": 1}}'])
def test_an_index_that_is_none(web: Web, index: bytes):
    web.files[INDEX] = index
    assert code_of(lambda: open_tree(web.url + INDEX))[0] is CheckpointError


def test_an_empty_file_is_a_file(web: Web):
    web.files["/empty.safetensors"] = b""
    assert open_tree(web.url + "/empty.safetensors").files[0].size == 0


FAULTS: dict[str, tuple[Fault, type[AttestError], str]] = {
    "whole file instead of a range": (whole, NetworkError, "no-ranges"),
    "a web page": (page, NetworkError, "bad-answer"),
    "another range": (other_range, NetworkError, "bad-answer"),
    "no entity tag, no date": (
        lambda handler: handler.give(206, b"x", {"Content-Range": "bytes 0-0/868584"}),
        NetworkError,
        "no-version",
    ),
    "range without saying which": (status(206), NetworkError, "bad-answer"),
    "compressed": (
        status(206, {"Content-Range": "bytes 0-0/9", "Content-Encoding": "gzip"}), NetworkError, "bad-answer",
    ),
    "not there": (status(404), NetworkError, "not-found"),
    "forbidden": (status(403), NetworkError, "access-denied"),
    "a file without a beginning": (status(416), NetworkError, "bad-answer"),
    "teapot": (status(418), NetworkError, "bad-answer"),
    "always busy": (status(503), NetworkError, "no-answer"),
    "redirect to another machine's http": (redirect("http://198.51.100.1/x"), NetworkError, "unsafe-redirect"),
    "redirect to a file": (redirect("file:///etc/passwd"), NetworkError, "unsafe-redirect"),
    "redirect to nowhere": (status(302), NetworkError, "too-many-redirects"),
    "redirect in a circle": (redirect("/models/model.safetensors"), NetworkError, "too-many-redirects"),
    "size beyond all": (
        status(206, {"Content-Range": "bytes 0-0/99999999999999999", "ETag": '"1"'}), NetworkError, "bad-answer",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("fault", "kind", "code"), FAULTS.values(), ids=FAULTS)
@pytest.mark.usefixtures("weights")
def test_servers_that_do_not_answer_as_they_must(web: Web, fault: Fault, kind: type[AttestError], code: str):
    web.always = fault
    client = Client(sleep=lambda _: None)
    assert code_of(lambda: read_web(web.url + FILE, client=client)) == (kind, code)
    assert len(web.log) <= 6


@pytest.mark.usefixtures("weights")
def test_an_endless_document_is_cut(web: Web):
    web.always = endless
    assert code_of(lambda: read_web(web.url + INDEX)) == (DocumentError, "document-too-large")


@pytest.mark.usefixtures("weights")
def test_an_endless_range_is_cut(web: Web):
    """No more is taken of an answer than was asked for."""
    web.headers[FILE] = {"ETag": '"1"'}
    tree = open_tree(web.url + FILE)
    web.faults = [endless]
    with tree.open("model.safetensors") as stream:
        assert stream.read(100) == bytes(100)
        assert stream.seek(0, 1) == 100


@pytest.mark.parametrize("size", [0, 1, 10_000, 65_535])
def test_a_broken_connection_is_taken_up_again(web: Web, weights: Path, size: int):
    tree = read_web(web.url + FILE, client=Client(sleep=lambda _: None))
    web.log.clear()
    web.faults = [cut_after(size), status(503, {"Retry-After": "1"}), None, cut_after(size + 1)]
    with tree.open("model.safetensors") as stream:
        assert stream.read() == weights.read_bytes()
    assert web.log[1].range is not None
    assert web.log[1].range[0] == size


@pytest.mark.usefixtures("weights")
def test_a_busy_server_is_waited_for(web: Web):
    pauses: list[float] = []
    web.faults = [
        status(429, {"Retry-After": "7"}),
        status(503, {"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"}),
        status(502, {"Retry-After": "soon"}),
        status(504, {"Retry-After": "9" * 30}),
        status(500, {"Retry-After": "999999"}),
    ]
    assert read_web(web.url + FILE, client=Client(sleep=pauses.append)).files
    assert pauses == [7.0, 0.0, 2.0, 4.0, 30.0]


@pytest.mark.parametrize("keeps_tag", [False, True])
@pytest.mark.parametrize("grows", [False, True])
def test_a_file_that_changes_between_ranges_is_noticed(web: Web, weights: Path, *, keeps_tag: bool, grows: bool):
    """By its entity tag; with a tag that stays the same, by its size, or by its digests at the end."""
    data = weights.read_bytes()
    changed = data[:-1] + bytes([data[-1] ^ 1]) + (b"x" if grows else b"")
    if keeps_tag:
        web.headers[FILE] = {"ETag": '"1"'}
    checkpoint = open_checkpoint(web.url + FILE)
    web.files[FILE] = changed
    with checkpoint.tree.open("model.safetensors") as stream:
        if keeps_tag and not grows:
            assert stream.read() == changed
        else:
            assert code_of(stream.read) == (CheckpointError, "file-changed")


def test_a_change_after_the_last_byte_is_noticed(web: Web, weights: Path):
    def change(done: int, total: int) -> None:
        if done == total:
            web.files[FILE] = weights.read_bytes()[:-1] + b"x"

    with pytest.raises(CheckpointError) as caught:
        measure(web.url + FILE, progress=change)
    assert caught.value.code == "file-changed"


def test_a_date_serves_where_there_is_no_entity_tag(web: Web, weights: Path):
    web.headers[FILE] = {"ETag": "", "Last-Modified": "Fri, 20 Nov 2026 10:00:00 GMT"}
    tree = open_tree(web.url + FILE)
    with tree.open("model.safetensors") as stream:
        assert stream.read(10) == weights.read_bytes()[:10]
    web.headers[FILE]["Last-Modified"] = "Fri, 20 Nov 2026 10:00:01 GMT"
    with tree.open("model.safetensors") as stream:
        assert code_of(lambda: stream.read(10)) == (CheckpointError, "file-changed")


@pytest.mark.usefixtures("weights")
def test_a_weak_entity_tag_is_compared_and_not_asked_for(web: Web):
    web.headers[FILE] = {"ETag": 'W/"1"'}
    measure(web.url + FILE)
    assert not [request for request in web.log if "if-match" in request.headers]
    tree = open_tree(web.url + FILE)
    web.headers[FILE] = {"ETag": 'W/"2"'}
    with tree.open("model.safetensors") as stream:
        assert code_of(lambda: stream.read(10)) == (CheckpointError, "file-changed")


def lying(by: int) -> Fault:
    """An answer with another length than it says it has."""

    def fault(handler: Handler) -> None:
        data = handler.web.files[FILE]
        first, last = handler.request_now.range or (0, 0)
        part = data[first : last + 1]
        says = {"Content-Length": str(max(0, len(part) + by)), "ETag": f'"{sha256(data).hexdigest()[:16]}"'}
        says["Content-Range"] = f"bytes {first}-{first + len(part) - 1}/{len(data)}"
        handler.begin(206, says)
        handler.send(part)
        handler.close_connection = True

    return fault


@pytest.mark.parametrize("by", [-50, 50])
def test_a_length_that_lies(web: Web, weights: Path, by: int):
    """Bytes that an answer held back are asked for again; one that always does is given up."""
    tree = read_web(web.url + FILE, client=Client(sleep=lambda _: None))
    web.faults = [lying(by), lying(by)]
    with tree.open("model.safetensors") as stream:
        assert stream.read() == weights.read_bytes()
    web.always = lying(-(10**9))
    with tree.open("model.safetensors") as stream:
        assert code_of(stream.read) == (NetworkError, "no-answer")


def test_an_address_in_numbers_of_ip_version_6(web: Web, weights: Path):
    class _Six(http.server.ThreadingHTTPServer):
        address_family = socket.AF_INET6

    try:
        server = _Six(("::1", 0), type("_Handler", (Handler,), {"web": web}))
    except OSError:
        pytest.skip("this machine has no IPv6")
    with server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        url = f"http://[::1]:{server.server_port}{FILE}"
        tree = open_tree(url)
        with tree.open("model.safetensors") as stream:
            assert stream.read() == weights.read_bytes()
        server.shutdown()
        thread.join()
    assert tree.origin
    assert tree.origin.uri == url


def test_a_server_that_is_not_there():
    with serving(Web()) as gone:
        url = gone.url
    assert code_of(lambda: read_web(url + FILE, client=Client(sleep=lambda _: None))) == (NetworkError, "no-answer")


@contextmanager
def plain_server(folder: Path) -> Iterator[str]:
    """Python's own file server, which knows no ranges."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_server_without_ranges_is_noticed(family: Path):
    with plain_server(family / "seed-1") as url:
        assert code_of(lambda: open_tree(f"{url}/model.safetensors")) == (NetworkError, "no-ranges")


@contextmanager
def aiohttp_server(folder: Path) -> Iterator[str]:
    """Aiohttp's file server, which knows ranges, entity tags and If-Match."""
    loop = asyncio.new_event_loop()
    application = aiohttp_web.Application()
    application.router.add_static("/", folder)
    runner = aiohttp_web.AppRunner(application, shutdown_timeout=0.1)
    loop.run_until_complete(runner.setup())
    site = aiohttp_web.TCPSite(runner, "127.0.0.1", 0)
    loop.run_until_complete(site.start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def test_another_program_that_serves_ranges(family: Path, tmp_path: Path):
    path = tmp_path / "model.safetensors"
    path.write_bytes((family / "seed-1" / "model.safetensors").read_bytes())
    with aiohttp_server(tmp_path) as url:
        same_numbers(measure(f"{url}/model.safetensors"), measure(path))
        tree = open_tree(f"{url}/model.safetensors")
        path.write_bytes(path.read_bytes() + b"x")
        with tree.open("model.safetensors") as stream:
            assert code_of(stream.read) == (CheckpointError, "file-changed")


def test_a_change_between_two_ranges_of_one_read(web: Web, weights: Path):
    tree = read_web(web.url + FILE, client=Client(sleep=lambda _: None))
    data = weights.read_bytes()
    web.faults = [None, changed_to(FILE, data[::-1])]
    with tree.open("model.safetensors") as stream:
        assert code_of(stream.read) == (CheckpointError, "file-changed")
