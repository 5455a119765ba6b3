"""What a server says that has no weights to give is told in words."""

import socket
from typing import NoReturn

import pytest
from servers.web import Web, page

from attest.checkpoint.source.client import Client
from attest.checkpoint.source.web import read_web
from attest.errors import InputError, NetworkError


@pytest.mark.parametrize(("errno", "code"), [(socket.EAI_NONAME, "not-found"), (socket.EAI_AGAIN, "no-answer")])
def test_a_host_that_nobody_knows_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, errno: int, code: str):
    def look_up(*_: object, **__: object) -> NoReturn:
        raise socket.gaierror(errno, "as the resolver says")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    client = Client(sleep=lambda _: None)
    with pytest.raises(NetworkError) as caught:
        read_web("https://weights.example/x", client=client)
    assert caught.value.code == code


def test_a_web_page_in_place_of_an_index(web: Web):
    web.always = page
    with pytest.raises(NetworkError, match="a web page, as a login or a proxy gives it"):
        read_web(f"{web.url}/model.safetensors.index.json")


def test_the_address_of_a_folder(web: Web):
    with pytest.raises(InputError) as caught:
        read_web(f"{web.url}/models/")
    assert caught.value.code == "bad-address"
    assert not web.log
