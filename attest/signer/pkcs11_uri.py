"""URIs of keys on a token: ``pkcs11:token=Signing;object=release?module-path=/usr/lib/softhsm/libsofthsm2.so``.

References
----------
RFC 7512, "The PKCS #11 URI Scheme", sections 2.3 (attributes) and 2.4 (matching).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import NoReturn
from urllib.parse import unquote_to_bytes

from attest.errors import InputError

__all__ = ["Pkcs11Uri"]

_ATTRIBUTES = re.compile(r"(?:[a-z0-9-]+=(?:[A-Za-z0-9._~:\[\]@!$'()*+,=/&?|-]|%[0-9A-Fa-f]{2})*)?")
_TOKEN = ("token", "manufacturer", "serial", "model")
_KNOWN = frozenset({*_TOKEN, "object", "id", "type", "module-path"})
_PIN = frozenset({"pin-value", "pin-source"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Pkcs11Uri:
    """What a URI says of a private key; what it leaves out is not looked at.

    Parameters
    ----------
    token : mapping of str to str
        What must hold of the token: ``token`` (its label), ``manufacturer``, ``serial``, ``model``.
    label : str or None
        Label of the key, ``object`` in the URI.
    id : bytes or None
        The key's identifier.
    module : str or None
        Absolute path of the library that speaks with the token.
    """

    token: Mapping[str, str]
    label: str | None
    id: bytes | None
    module: str | None

    @classmethod
    def parse(cls, location: str) -> Pkcs11Uri:
        """What stands behind ``pkcs11:``.

        Raises
        ------
        InputError
            Malformed, an attribute twice or unknown, no private key, a library that is not named by an absolute
            path, or a PIN. The text itself is never quoted, since it may hold a PIN.
        """
        path, _, query = location.partition("?")
        found: dict[str, bytes] = {}
        for part in (*path.split(";"), *query.split("&")):
            name, _, value = part.partition("=")
            if name in _PIN:
                reason = "holds a PIN, or a way to one, where other users of this machine can see it"
                fix = f"leave out {name}; give --password-file, ATTEST_PASSWORD, or wait to be asked"
                raise InputError("pin-in-uri", reason, fix=fix, where="the pkcs11 URI")
            if not _ATTRIBUTES.fullmatch(part):
                _refuse("is not written as RFC 7512 has it")
            if name and (name not in _KNOWN or name in found):
                _refuse(f"has the attribute {name} twice" if name in found else f"has the attribute {name}, not known")
            if name:
                found[name] = unquote_to_bytes(value)
        return cls._of(found)

    @classmethod
    def _of(cls, found: Mapping[str, bytes]) -> Pkcs11Uri:
        try:
            texts = {name: value.decode() for name, value in found.items() if name != "id"}
        except UnicodeDecodeError:
            _refuse("holds text that is not UTF-8")
        if texts.get("type", "private") != "private":
            _refuse("names no private key; write type=private")
        module = texts.get("module-path")
        if module is not None and not PurePosixPath(module).is_absolute():
            _refuse("names its library by a path that is not absolute")
        return cls(
            token=MappingProxyType({name: texts[name] for name in _TOKEN if name in texts}),
            label=texts.get("object"),
            id=found.get("id"),
            module=module,
        )


def _refuse(reason: str) -> NoReturn:
    fix = "write it as pkcs11:token=LABEL;object=LABEL?module-path=/path/of/library.so"
    raise InputError("bad-pkcs11-uri", reason, fix=fix, where="the pkcs11 URI")
