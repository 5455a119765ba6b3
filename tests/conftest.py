"""Fixtures that several rooms share; no test leaves this machine."""

from __future__ import annotations

import ipaddress
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import settings
from scanned import Scanned, scanned
from servers.hub import Hub
from servers.web import Web, serving
from tiny_evidence import TinyEvidence, write_checkpoint

from attest.signer import KeyType

settings.register_profile("attest", deadline=None)
settings.load_profile("attest")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden values anew instead of comparing")


def _refuse_network(event: str, arguments: tuple[object, ...]) -> None:
    """Audit hook: connections and look-ups of names stay on the loopback interface; sockets of files are fine."""
    if event in {"socket.connect", "socket.sendto", "socket.sendmsg"}:
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else None
    elif event in {"socket.getaddrinfo", "socket.gethostbyname"}:
        host = arguments[0]
    else:
        return
    if host is not None and not _is_loopback(str(host)):
        raise AssertionError(f"a test wants to reach {host}")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host in {"localhost", ""}


@pytest.fixture(scope="session", autouse=True)
def _offline() -> None:
    """Refuse the network for as long as this process runs."""
    sys.addaudithook(_refuse_network)


@pytest.fixture(scope="session")
def family() -> Path:
    """Folder of the fixture family: three small models of one recipe, and a continuation of the first."""
    return Path(__file__).resolve().parent / "data" / "family"


@pytest.fixture(scope="session")
def found(tmp_path_factory: pytest.TempPathFactory) -> Scanned:
    """A repository with copied code, and its scan; no test writes into it."""
    return scanned(tmp_path_factory.mktemp("scanned"))


@pytest.fixture
def web() -> Iterator[Web]:
    """An empty web server."""
    with serving(Web()) as server:
        yield server


@pytest.fixture
def hub(family: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub with one model, to which ``hf://`` leads; no token is at hand."""
    files = {path.name: path.read_bytes() for path in (family / "seed-1").iterdir()}
    with serving(Hub(repositories={"org/seed-1": files})) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_DISABLE_IMPLICIT_TOKEN", "HF_HOME"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("HF_TOKEN_PATH", "missing")
        yield server


@pytest.fixture(params=get_args(KeyType))
def key_type(request: pytest.FixtureRequest) -> KeyType:
    """Each kind of key."""
    made: KeyType = request.param
    return made


@pytest.fixture
def tiny(tmp_path: Path) -> TinyEvidence:
    """A tiny checkpoint and its evidence, signed with a P-256 key."""
    made = TinyEvidence(root=tmp_path)
    write_checkpoint(made.checkpoint)
    made.write()
    made.sign()
    return made


@pytest.fixture
def unchanged_torch() -> Iterator[None]:
    """The network's process sets torch as it needs it; put it back for the tests that follow."""
    import torch  # noqa: PLC0415 - heavy

    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)
