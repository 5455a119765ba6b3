"""The client over TLS, and through a proxy of the environment."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from servers.tls import certificate
from servers.tunnel import tunnelling
from servers.web import Web, redirect, serving

from attest.checkpoint.source import open_tree
from attest.errors import NetworkError
from attest.measure import measure

FILE = "/model.safetensors"


@pytest.fixture
def secure(family: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Web]]:
    """A server with TLS and a weight file, trusted by whatever reads SSL_CERT_FILE."""
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    context, trusted = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    web = Web(files={FILE: (family / "seed-1" / "model.safetensors").read_bytes()})
    with serving(web, tls=context):
        yield web


def test_a_file_is_read_over_tls(secure: Web, family: Path):
    remote = measure(secure.url + FILE)
    assert remote.details == measure(family / "seed-1" / "model.safetensors").details
    source = remote.evidence.checkpoint.source
    assert source is not None
    assert source.uri == secure.url + FILE


@pytest.mark.parametrize("how", ["nobody trusts it", "it is another's"])
def test_a_server_that_cannot_be_trusted_is_not_spoken_to(secure: Web, how: str, monkeypatch: pytest.MonkeyPatch):
    url = secure.url
    if how == "nobody trusts it":
        monkeypatch.setenv("SSL_CERT_FILE", "/dev/null")
    else:
        url = url.replace("localhost", "127.0.0.1")
    with pytest.raises(NetworkError) as caught:
        open_tree(url + FILE)
    assert caught.value.code == "not-trusted"
    assert secure.log == []


def test_encryption_is_not_given_up(secure: Web, web: Web):
    web.files[FILE] = secure.files[FILE]
    secure.always = redirect(web.url + FILE)
    with pytest.raises(NetworkError) as caught:
        open_tree(secure.url + FILE)
    assert caught.value.code == "unsafe-redirect"
    assert web.log == []


def test_the_proxy_of_the_environment_tunnels(secure: Web, monkeypatch: pytest.MonkeyPatch):
    with tunnelling() as (proxy, heads):
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:word@{proxy}")
        assert open_tree(secure.url + FILE).files
        assert [head.split()[0] for head in heads] == [b"CONNECT"]
        assert b"Basic dXNlcjp3b3Jk" in heads[0]
        heads.clear()
        monkeypatch.setenv("NO_PROXY", "localhost")
        assert open_tree(secure.url + FILE).files
        assert heads == []


def test_this_machine_is_not_reached_through_a_proxy(web: Web, monkeypatch: pytest.MonkeyPatch):
    web.files[FILE] = b"x"
    with tunnelling() as (proxy, heads):
        monkeypatch.setenv("HTTP_PROXY", f"http://{proxy}")
        monkeypatch.setenv("HTTPS_PROXY", f"http://{proxy}")
        assert open_tree(web.url + FILE).files
        assert heads == []
