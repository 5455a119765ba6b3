"""What can be changed in the JSON of a bundle, one part at a time; each change must be noticed."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any, TypeAlias

Alteration: TypeAlias = Callable[[dict[str, Any]], None]


def first_entry(value: dict[str, Any]) -> dict[str, Any]:
    entry: dict[str, Any] = value["verificationMaterial"]["tlogEntries"][0]
    return entry


def flipped(text: str) -> str:
    """Base64 of other bytes."""
    data = bytearray(base64.b64decode(text))
    data[len(data) // 2] ^= 1
    return base64.b64encode(data).decode()


def payload(value: dict[str, Any]) -> None:
    value["dsseEnvelope"]["payload"] = flipped(value["dsseEnvelope"]["payload"])


def payload_type(value: dict[str, Any]) -> None:
    value["dsseEnvelope"]["payloadType"] = "application/json"


def signature(value: dict[str, Any]) -> None:
    value["dsseEnvelope"]["signatures"][0]["sig"] = flipped(value["dsseEnvelope"]["signatures"][0]["sig"])


def second_signature(value: dict[str, Any]) -> None:
    value["dsseEnvelope"]["signatures"] *= 2


def key_name(value: dict[str, Any]) -> None:
    value["verificationMaterial"]["publicKey"]["hint"] = "0" * 64


def certificate(value: dict[str, Any]) -> None:
    held = value["verificationMaterial"]["certificate"]
    held["rawBytes"] = flipped(held["rawBytes"])


def promise_of_the_certificate_log(value: dict[str, Any]) -> None:
    """The signed certificate timestamp, which is the last extension of the certificate."""
    held = value["verificationMaterial"]["certificate"]
    data = bytearray(base64.b64decode(held["rawBytes"]))
    place = data.rindex(bytes.fromhex("060a2b06010401d679020402")) + 40
    data[place] ^= 1
    held["rawBytes"] = base64.b64encode(data).decode()


def garbage_for_a_certificate(value: dict[str, Any]) -> None:
    value["verificationMaterial"]["certificate"]["rawBytes"] = "AAAA"


def inclusion_proof(value: dict[str, Any]) -> None:
    proof = first_entry(value)["inclusionProof"]
    proof["hashes"] = [flipped(one) for one in proof["hashes"]] or [base64.b64encode(bytes(32)).decode()]


def root_of_the_log(value: dict[str, Any]) -> None:
    proof = first_entry(value)["inclusionProof"]
    proof["rootHash"] = flipped(proof["rootHash"])


def checkpoint_of_the_log(value: dict[str, Any]) -> None:
    held = first_entry(value)["inclusionProof"]["checkpoint"]
    head, _, rest = held["envelope"].partition("\n")
    size, _, rest = rest.partition("\n")
    held["envelope"] = f"{head}\n{int(size) + 1}\n{rest}"


def signed_entry_timestamp(value: dict[str, Any]) -> None:
    held = first_entry(value)["inclusionPromise"]
    held["signedEntryTimestamp"] = flipped(held["signedEntryTimestamp"])


def time_of_the_log(value: dict[str, Any]) -> None:
    first_entry(value)["integratedTime"] = str(int(first_entry(value)["integratedTime"]) + 1)


def time_of_the_log_in_the_future(value: dict[str, Any]) -> None:
    first_entry(value)["integratedTime"] = str(int(first_entry(value)["integratedTime"]) + 10**9)


def body_of_the_entry(value: dict[str, Any]) -> None:
    first_entry(value)["canonicalizedBody"] = flipped(first_entry(value)["canonicalizedBody"])


def no_entry(value: dict[str, Any]) -> None:
    value["verificationMaterial"]["tlogEntries"] = []


def two_entries(value: dict[str, Any]) -> None:
    value["verificationMaterial"]["tlogEntries"] *= 2


def garbage_for_an_entry(value: dict[str, Any]) -> None:
    value["verificationMaterial"]["tlogEntries"] = [{"kindVersion": None}]


def time_stamp(value: dict[str, Any]) -> None:
    held = value["verificationMaterial"]["timestampVerificationData"]["rfc3161Timestamps"][0]
    held["signedTimestamp"] = flipped(held["signedTimestamp"])


def doubled_time_stamp(value: dict[str, Any]) -> None:
    value["verificationMaterial"]["timestampVerificationData"]["rfc3161Timestamps"] *= 2


def no_time_stamp(value: dict[str, Any]) -> None:
    del value["verificationMaterial"]["timestampVerificationData"]


def too_many_time_stamps(value: dict[str, Any]) -> None:
    value["verificationMaterial"]["timestampVerificationData"]["rfc3161Timestamps"] *= 33


def unknown_field(value: dict[str, Any]) -> None:
    value["verificationMaterial"]["more"] = {}


KEYLESS_ALTERATIONS: tuple[Alteration, ...] = (
    payload, signature, certificate, promise_of_the_certificate_log, garbage_for_a_certificate, inclusion_proof,
    root_of_the_log, checkpoint_of_the_log, two_entries, body_of_the_entry, garbage_for_an_entry, time_stamp,
    doubled_time_stamp,
)  # fmt: skip
"""Of a keyless bundle of either kind of log: each is a step that fails."""

ALTERATIONS: tuple[Alteration, ...] = (
    payload, payload_type, signature, second_signature, key_name, certificate, promise_of_the_certificate_log,
    garbage_for_a_certificate, inclusion_proof, root_of_the_log, checkpoint_of_the_log, signed_entry_timestamp,
    time_of_the_log, time_of_the_log_in_the_future, body_of_the_entry, no_entry, two_entries, garbage_for_an_entry, time_stamp, doubled_time_stamp,
    no_time_stamp, too_many_time_stamps, unknown_field,
)  # fmt: skip
"""All of them; one whose part a bundle does not have raises KeyError or IndexError."""
