"""Addresses: https, or http to this machine; redirects never lead to less."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.checkpoint.source.address import Address
from attest.errors import InputError, NetworkError


@pytest.mark.parametrize(
    ("url", "origin", "shown", "asked"),
    [
        ("https://a.example/x", "https://a.example:443", "https://a.example/x", "https://a.example/x"),
        ("HTTPS://A.Example:443/x?k=v#f", "https://a.example:443", "https://a.example/x", "https://a.example/x?k=v"),
        ("https://a.example:8443", "https://a.example:8443", "https://a.example:8443/", "https://a.example:8443/"),
        ("http://127.0.0.1:80/x", "http://127.0.0.1:80", "http://127.0.0.1/x", "http://127.0.0.1/x"),
        ("http://localhost:8000/x", "http://localhost:8000", "http://localhost:8000/x", "http://localhost:8000/x"),
        ("http://[::1]:8000/x", "http://[::1]:8000", "http://[::1]:8000/x", "http://[::1]:8000/x"),
    ],
)
def test_addresses_that_are_spoken_to(url: str, origin: str, shown: str, asked: str):
    address = Address.parse(url)
    assert (address.origin, address.shown, address.url) == (origin, shown, asked)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/x",
        "http://10.0.0.1/x",
        "http://127.0.0.1.example.org/x",
        "file:///etc/passwd",
        "ftp://example.org/x",
        "https://user:secret@example.org/x",
        "https://example.org@evil.example/x",
        "https://",
        "https:///x",
        "https://exa mple.org/x",
        "https://example.org/x\n",
        "https://example.org:99999/x",
        "https://example.org:x/",
        "https://ex%61mple.org/x",
        "https://example.org\\@evil.example/x",
        "https://[::1/x",
        "https://é.example/x",
        "https://example.org/" + "x" * 9000,
    ],
)
def test_addresses_that_are_not(url: str):
    with pytest.raises(InputError) as caught:
        Address.parse(url)
    assert caught.value.code == "bad-address"
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "location", "there"),
    [
        ("https://a.example/x/y", "z", "https://a.example/x/z"),
        ("https://a.example/x", "/z?k=v", "https://a.example/z?k=v"),
        ("https://a.example/x", "https://b.example/z", "https://b.example/z"),
        ("https://a.example/x", "//b.example/z", "https://b.example/z"),
        ("http://127.0.0.1:1/x", "http://127.0.0.1:2/z", "http://127.0.0.1:2/z"),
        ("http://127.0.0.1:1/x", "https://b.example/z", "https://b.example/z"),
    ],
)
def test_redirects_that_are_followed(url: str, location: str, there: str):
    assert Address.parse(url).follow(location).url == there


@pytest.mark.parametrize(
    "location",
    [
        "http://a.example/x",
        "http://127.0.0.1/x",
        "https://127.0.0.1/x",
        "https://localhost/x",
        "https://169.254.169.254/latest/meta-data",
        "https://10.1.2.3/x",
        "https://[fd00::1]/x",
        "https://[::ffff:127.0.0.1]/x",
        "file:///etc/passwd",
        "https://user@b.example/x",
        "https://[",
        "gopher://b.example",
    ],
)
def test_redirects_that_are_not(location: str):
    with pytest.raises(NetworkError) as caught:
        Address.parse("https://a.example/x").follow(location)
    assert caught.value.code == "unsafe-redirect"


@given(st.text(max_size=40))
def test_whatever_a_redirect_says_it_leads_to_https_or_nowhere(text: str):
    try:
        there = Address.parse("https://a.example/x").follow(text)
    except NetworkError:
        return
    assert there.origin.startswith("https://")
    assert "@" not in there.origin
