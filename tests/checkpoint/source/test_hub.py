"""``hf://``: one commit, listed and read at the Hub's own host, with the user's token for that host alone."""

import json
import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from huggingface_hub import snapshot_download
from servers.hub import COMMIT, Hub
from servers.web import Web, cut_after, redirect, serving, status
from small_checkpoint import write_shards

from attest.checkpoint import open_checkpoint
from attest.checkpoint.source import at_revision, open_tree
from attest.checkpoint.source.address import Address
from attest.checkpoint.source.client import Client
from attest.checkpoint.source.hub import hub_client, hub_endpoint, read_hub
from attest.errors import AttestError, CheckpointError, InputError, NetworkError
from attest.evidence import RemoteSource
from attest.fingerprint.anchors import read_tokens
from attest.measure import measure

URI = "hf://org/seed-1"
SECRET = "hf_secret"  # noqa: S105 - of the hub in these tests


def code_of(action: Callable[[], object]) -> tuple[type[AttestError], str]:
    with pytest.raises(AttestError) as caught:
        action()
    return type(caught.value), caught.value.code


def quick() -> Client:
    return Client(sleep=lambda _: None)


def test_a_model_is_measured_as_its_local_copy_is(hub: Hub, family: Path):
    remote, local = measure(URI), measure(family / "seed-1")
    assert remote.details == local.details
    found = remote.evidence.checkpoint
    assert found.tree_digest == local.evidence.checkpoint.tree_digest
    assert found.name == "seed-1"
    assert found.source == RemoteSource(uri=f"{hub.url}/org/seed-1", revision=None, commit=COMMIT)
    asserted = {file.path: file.server_sha256 for file in found.files}
    assert asserted == {"config.json": None, "model.safetensors": found.files[1].sha256}
    assert "digest-differs" not in {finding.code for finding in found.findings}


def test_one_file_and_one_folder_of_a_model(hub: Hub, tmp_path: Path):
    files = hub.repositories["org/seed-1"]
    data = files["model.safetensors"]
    hub.repositories["org/many"] = {"a/b/x.safetensors": data, "a/config.json": files["config.json"], "z.gguf": b"GGUF"}
    hub.large = frozenset({"a/b/x.safetensors"})
    one, folder = measure("hf://org/many/a/b/x.safetensors"), measure("hf://org/many/a", threads=1)
    (tmp_path / "x.safetensors").write_bytes(data)
    assert one.details == measure(tmp_path / "x.safetensors").details
    assert one.evidence.checkpoint.source == RemoteSource(
        uri=f"{hub.url}/org/many/a/b/x.safetensors", revision=None, commit=COMMIT
    )
    assert one.evidence.checkpoint.name == "x.safetensors"
    assert [file.path for file in folder.evidence.checkpoint.files] == ["b/x.safetensors", "config.json"]
    assert folder.evidence.checkpoint.files[0].server_sha256 == sha256(data).hexdigest()
    assert at_revision("hf://org/many/a", "main") == "hf://org/many/a@main"
    assert [file.path for file in open_tree("hf://org/many/a@main").files] == ["b/x.safetensors", "config.json"]
    for absent in ("hf://org/many/b", "hf://org/many/a/b/x", "hf://org/many/a/config.json/x"):
        assert code_of(lambda absent=absent: open_tree(absent)) == (CheckpointError, "no-checkpoint")


def test_an_index_and_a_tokenizer_that_come_in_several_pieces(hub: Hub, tmp_path: Path):
    write_shards(tmp_path, {"model.safetensors": {"layers.0.w": np.ones((2, 2), np.float32)}})
    index = json.loads((tmp_path / "model.safetensors.index.json").read_bytes())
    vocabulary = {f"word {number}": number for number in range(300_000)}
    hub.repositories["org/large"] = {
        "model.safetensors": (tmp_path / "model.safetensors").read_bytes(),
        "model.safetensors.index.json": json.dumps(index | {"metadata": {"note": "x" * 5_000_000}}).encode(),
        "tokenizer.json": json.dumps({"model": {"vocab": vocabulary}}).encode(),
    }
    checkpoint = open_checkpoint("hf://org/large")
    assert [tensor.name for tensor in checkpoint.tensors] == ["layers.0.w"]
    texts, digest = read_tokens(checkpoint)
    assert len(texts) == len(vocabulary)
    assert digest == sha256(hub.repositories["org/large"]["tokenizer.json"]).hexdigest()


@pytest.mark.usefixtures("hub")
def test_the_usual_host_is_named_by_the_uri_itself(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("HF_ENDPOINT")
    assert hub_endpoint() == Address.parse("https://huggingface.co")


def test_everything_is_read_at_the_commit_of_the_revision(hub: Hub):
    commit = "f" * 40
    hub.revisions["refs/pr/1"] = commit
    location = at_revision(URI, "refs/pr/1")
    tree = open_tree(location)
    with tree.open("config.json") as stream:
        assert stream.read()
    assert tree.origin is not None
    assert (tree.origin.revision, tree.origin.commit) == ("refs/pr/1", commit)
    paths = [request.path for request in hub.log]
    assert paths[0] == "/api/models/org/seed-1/revision/refs/pr/1"
    assert all(f"/{commit}" in path for path in paths[1:])


def test_a_branch_that_moves_on_changes_nothing(hub: Hub):
    def move(done: int, total: int) -> None:
        hub.revisions["main"] = "f" * 40 if done == total else COMMIT
        hub.revisions["old"] = COMMIT

    source = measure(URI, progress=move).evidence.checkpoint.source
    assert source is not None
    assert source.commit == COMMIT


URIS = ["hf://", "hf://a/b/", "hf://a/b//c", "hf://a/b/c%41", "hf://a/b@", "hf://../b", "hf://a/b@../x", "hf://a/b@x?y", "hf://a b/c", "hf://a/b@x y",
        "hf://a/b#c", "hf://-a/b", "hf://a/" + "b" * 200]  # fmt: skip


@pytest.mark.parametrize("uri", URIS)
@pytest.mark.usefixtures("hub")
def test_uris_that_name_no_model(uri: str):
    assert code_of(lambda: open_tree(uri)) == (InputError, "bad-address")


def test_a_revision_is_given_once():
    assert at_revision(URI, "v1") == f"{URI}@v1"
    assert at_revision(Path("x"), None) == Path("x")
    for location in (f"{URI}@v1", "https://a.example/x", Path("x"), "x"):
        assert code_of(lambda location=location: at_revision(location, "v2")) == (InputError, "no-revision")


@pytest.mark.usefixtures("hub")
def test_what_is_not_there():
    for uri, words in (("hf://org/other", "is no model, or a private one"), (f"{URI}@v9", "no branch, tag or commit")):
        with pytest.raises(NetworkError, match=words) as caught:
            open_tree(uri)
        assert caught.value.code == "not-found"


def test_another_commit_than_was_asked_for_is_refused(hub: Hub):
    hub.revisions["f" * 40] = COMMIT
    assert code_of(lambda: open_tree(f"{URI}@{'f' * 40}")) == (NetworkError, "bad-answer")


@pytest.mark.parametrize("data", [b"[]", b"{}", b'{"sha": "main"}', b'{"sha": 1}', b"{"])
def test_an_answer_without_a_commit_is_refused(hub: Hub, data: bytes):
    hub.always = lambda handler: handler.give(200, data)
    with pytest.raises(AttestError) as caught:
        read_hub(URI, client=quick())
    assert caught.value.code in {"bad-answer", "not-json"}


# the token


def authorized(server: Web) -> list[str | None]:
    return [request.headers.get("authorization") for request in server.log]


@pytest.fixture
def storage(hub: Hub) -> Any:
    with serving(Web()) as server:
        hub.storage = server
        yield server


def test_the_token_goes_to_the_hub_and_to_no_other_host(hub: Hub, storage: Web, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HF_TOKEN", SECRET)
    hub.token = SECRET
    remote = measure(URI)
    assert set(authorized(hub)) == {f"Bearer {SECRET}"}
    assert len(storage.log) > 2
    assert set(authorized(storage)) == {None}
    assert SECRET.encode() not in remote.statement().payload


def test_no_token_is_no_header(hub: Hub):
    open_tree(URI)
    assert set(authorized(hub)) == {None}


def test_a_hub_that_wants_a_token(hub: Hub):
    hub.token = SECRET
    with pytest.raises(NetworkError, match=r"is gated: .* in HF_TOKEN") as caught:
        open_tree(URI)
    assert caught.value.code == "access-denied"
    assert SECRET not in str(caught.value)


def test_the_places_of_a_token(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def sent() -> str | None:
        hub.log.clear()
        read_hub(URI, client=hub_client(hub_endpoint()))
        return authorized(hub)[0]

    monkeypatch.delenv("HF_TOKEN_PATH")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    assert sent() is None
    (tmp_path / "token").write_text("from_home\n")
    assert sent() == "Bearer from_home"
    (tmp_path / "elsewhere").write_text("from_path")
    monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "elsewhere"))
    assert sent() == "Bearer from_path"
    (tmp_path / "elsewhere").write_text("two\nX-Evil: lines")
    assert sent() is None
    monkeypatch.setenv("HUGGING_FACE_HUB_TOKEN", "older")
    assert sent() == "Bearer older"
    monkeypatch.setenv("HF_TOKEN", " newer ")
    assert sent() == "Bearer newer"
    monkeypatch.setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")
    assert sent() is None


# lists


def test_long_lists_have_pages(hub: Hub):
    hub.repositories["org/seed-1"] |= {f"f{number}": b"x" for number in range(7)}
    hub.page_size = 2
    assert len(open_tree(URI).files) == 9


def test_a_page_at_another_host_is_refused(hub: Hub, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HF_TOKEN", SECRET)
    hub.page_size = 1
    with serving(Web()) as other:
        hub.next_page = other.url
        assert code_of(lambda: open_tree(URI)) == (NetworkError, "bad-answer")
        assert other.log == []


def test_a_list_without_end_is_cut(hub: Hub, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("attest.checkpoint.source.hub._MAX_PAGES", 3)
    hub.repositories["org/seed-1"] |= {f"f{number}": b"x" for number in range(7)}
    hub.page_size = 1
    assert code_of(lambda: open_tree(URI)) == (NetworkError, "bad-answer")
    assert len(hub.log) == 4


@pytest.mark.usefixtures("hub")
def test_a_list_of_too_many_files_is_cut(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("attest.checkpoint.source.listing.MAX_LISTED_FILES", 1)
    assert code_of(lambda: open_tree(URI)) == (CheckpointError, "too-many-files")


LISTED: dict[str, tuple[dict[str, Any], str]] = {
    "path out": ({"path": "../x"}, "unsafe-path"),
    "absolute path": ({"path": "/etc/passwd"}, "unsafe-path"),
    "no path": ({"path": None}, "unsafe-path"),
    "control character": ({"path": "a\x1b"}, "unsafe-name"),
    "lone surrogate": ({"path": "\ud800"}, "not-utf-8"),
    "twice": ({"path": "model.safetensors"}, "bad-listing"),
    "no size": ({"size": None}, "bad-listing"),
    "negative size": ({"size": -1}, "bad-listing"),
    "size of another type": ({"size": "9"}, "bad-listing"),
    "truth for a size": ({"size": True}, "bad-listing"),
    "endless size": ({"size": 2**53}, "bad-listing"),
    "large file without a size": ({"lfs": {"oid": "0" * 64}}, "bad-listing"),
}


@pytest.mark.parametrize(("entry", "code"), LISTED.values(), ids=LISTED)
def test_lists_that_no_checkpoint_can_have(hub: Hub, entry: dict[str, Any], code: str):
    hub.listed["config.json"] = entry
    with pytest.raises(AttestError) as caught:
        open_tree(URI)
    assert caught.value.code == code


@pytest.mark.parametrize("data", [b"{}", b"[1]", b"null"])
def test_a_list_that_is_none(hub: Hub, data: bytes):
    hub.faults = [None, lambda handler: handler.give(200, data)]
    assert code_of(lambda: open_tree(URI)) == (NetworkError, "bad-answer")


# contents


def test_bytes_that_are_not_those_that_the_server_names(hub: Hub):
    """A server that serves other bytes than it lists: measured as they are, and said."""
    named = sha256(b"other").hexdigest()
    hub.listed["model.safetensors"] = {
        "lfs": {"oid": named, "size": len(hub.repositories["org/seed-1"]["model.safetensors"])}
    }
    with serving(Web()) as storage:
        hub.storage = storage
        data = hub.repositories["org/seed-1"]["model.safetensors"]
        storage.files["/x"] = data
        plain, hub.always = hub.route, None

        def silent(handler: Any) -> None:
            resolves = "/resolve/" in handler.request_now.path and handler.request_now.path.endswith("safetensors")
            redirect(f"{storage.url}/x")(handler) if resolves else plain(handler)

        hub.always = silent
        found = measure(URI).evidence.checkpoint
    findings = [finding for finding in found.findings if finding.code == "digest-differs"]
    assert [finding.path for finding in findings] == ["model.safetensors"]
    assert findings[0].text == f"the server names SHA-256 {named}, the bytes have {sha256(data).hexdigest()}"
    assert {file.path: file.server_sha256 for file in found.files}["model.safetensors"] == named


def test_headers_that_contradict_the_list_are_refused(hub: Hub):
    tree = open_tree(URI)
    hub.repositories["org/seed-1"]["model.safetensors"] = bytes(tree.sizes["model.safetensors"])
    with tree.open("model.safetensors") as stream:
        assert code_of(lambda: stream.read(1)) == (NetworkError, "bad-answer")
    hub.revisions["main"] = "f" * 40
    hub.always = lambda handler: handler.give(206, b"x", {"X-Repo-Commit": "f" * 40, "Content-Range": "bytes 0-0/829"})
    with tree.open("config.json") as stream:
        assert code_of(lambda: stream.read(1)) == (NetworkError, "bad-answer")


def test_a_file_of_another_size_is_refused(hub: Hub):
    tree = open_tree(URI)
    hub.repositories["org/seed-1"]["config.json"] += b" "
    with tree.open("config.json") as stream:
        assert code_of(lambda: stream.read(1)) == (CheckpointError, "file-changed")


def test_a_link_that_expires_is_asked_for_again(hub: Hub, storage: Web):
    """Each range asks the Hub, so that a signed address is always fresh."""
    tree = read_hub(URI, client=quick())
    storage.faults = [cut_after(5000), status(503)]
    with tree.open("model.safetensors") as stream:
        assert stream.read() == hub.repositories["org/seed-1"]["model.safetensors"]
    asked = [request for request in hub.log if "/resolve/" in request.path]
    assert len(asked) == len(storage.log)


@pytest.mark.usefixtures("hub")
def test_a_storage_host_that_redirects_into_another_network(storage: Web):
    tree = read_hub(URI, client=quick())
    storage.always = redirect("http://169.254.169.254/latest/meta-data")
    with tree.open("model.safetensors") as stream:
        assert code_of(lambda: stream.read(1)) == (NetworkError, "unsafe-redirect")


def test_a_path_that_was_not_listed_is_not_asked_for(hub: Hub):
    tree = open_tree(URI)
    hub.log.clear()
    with pytest.raises(CheckpointError) as caught, tree.open("../other/config.json"):
        pytest.fail("opened")
    assert caught.value.code == "unsafe-path"
    assert hub.log == []


# what huggingface_hub itself leaves on disk, downloaded from the same hub


@pytest.fixture
def downloaded(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    def download(**where: Path) -> Path:
        return Path(snapshot_download("org/seed-1", endpoint=hub.url, token=False, **where))

    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    return download


def test_a_cache_of_huggingface_hub(downloaded: Callable[..., Path], tmp_path: Path, family: Path):
    folder = downloaded(cache_dir=tmp_path / "cache")
    assert str((folder / "model.safetensors").readlink()).startswith("../../blobs/")
    found, local = measure(folder), measure(family / "seed-1")
    assert found.details == local.details
    assert found.evidence.checkpoint.tree_digest == local.evidence.checkpoint.tree_digest
    texts = {finding.code: finding.text for finding in found.evidence.checkpoint.findings}
    assert texts["hub-cache"] == f"lies in a cache of the Hub as org/seed-1 at commit {COMMIT}"
    assert "digest-differs" not in texts


def test_a_folder_that_huggingface_hub_downloaded_to(downloaded: Callable[..., Path], tmp_path: Path):
    folder = downloaded(local_dir=tmp_path / "copy")
    texts = {finding.code: finding.text for finding in measure(folder).evidence.checkpoint.findings}
    assert texts["hub-download"] == f"2 files with notes of a download at {COMMIT}"
    assert "digest-differs" not in texts
    with (folder / "model.safetensors").open("r+b") as stream:
        stream.seek(-1, os.SEEK_END)
        stream.write(b"\0")
    codes = [(finding.code, finding.path) for finding in measure(folder).evidence.checkpoint.findings]
    assert ("digest-differs", "model.safetensors") in codes
