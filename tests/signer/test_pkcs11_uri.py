"""URIs of keys on a token, as RFC 7512 writes them."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.errors import InputError
from attest.signer.pkcs11_uri import Pkcs11Uri

REFUSED = {
    "a PIN": ("pin-in-uri", "token=a?pin-value=hunter2"),
    "a PIN, misplaced": ("pin-in-uri", "token=a;pin-value=hunter2"),
    "a file with a PIN": ("pin-in-uri", "token=a?pin-source=file:/hunter2"),
    "a program that says a PIN": ("pin-in-uri", "token=a?pin-source=|hunter2"),
    "a PIN in capitals": ("bad-pkcs11-uri", "token=a?PIN-VALUE=hunter2"),
    "no attribute": ("bad-pkcs11-uri", "hunter2"),
    "an attribute twice": ("bad-pkcs11-uri", "token=a;token=b"),
    "an attribute that is not known": ("bad-pkcs11-uri", "token=a;slot-id=3"),
    "a broken escape": ("bad-pkcs11-uri", "token=%4"),
    "a space": ("bad-pkcs11-uri", "token=a b"),
    "a public key": ("bad-pkcs11-uri", "token=a;type=public"),
    "no UTF-8": ("bad-pkcs11-uri", "token=%ff"),
    "a library here": ("bad-pkcs11-uri", "token=a?module-path=evidence/lib.so"),
    "a library by its name": ("bad-pkcs11-uri", "token=a?module-path=lib.so"),
}


def test_each_attribute_has_its_place():
    text = "token=My%20token;manufacturer=M;serial=0a;model=X;object=k;type=private;id=%01%ff?module-path=/a/b.so"
    uri = Pkcs11Uri.parse(text)
    assert dict(uri.token) == {"token": "My token", "manufacturer": "M", "serial": "0a", "model": "X"}
    assert (uri.label, uri.id, uri.module) == ("k", b"\x01\xff", "/a/b.so")


def test_what_it_leaves_out_is_not_looked_at():
    uri = Pkcs11Uri.parse("")
    assert (dict(uri.token), uri.label, uri.id, uri.module) == ({}, None, None, None)


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_used_is_refused_and_not_quoted(case: str):
    code, text = REFUSED[case]
    with pytest.raises(InputError) as caught:
        Pkcs11Uri.parse(text)
    assert caught.value.code == code
    assert "hunter2" not in str(caught.value)


@given(st.text("tokenidpv-alu=;?&%/2fF \n\xe9"))
def test_any_text_is_a_uri_or_an_error_that_says_so(text: str):
    with suppress(InputError):
        assert Pkcs11Uri.parse(text).module is None
