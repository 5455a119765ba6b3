"""Write reports/trust: what was altered in every kind of bundle, and what attest verify made of it.

Signs tiny evidence in four ways through a Sigstore on loopback, alters every part of it, flips bits of every byte of the
bundles, and mutates them at random; runs the cases of sigstore-conformance where they are at hand.

    python scripts/write_trust_report.py --flips 1 --mutants 20000
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from alterations import ALTERATIONS, Alteration  # noqa: E402 - the tests' own list
from keyless_evidence import signed_evidence  # noqa: E402
from sigstore_loopback.loopback import LoopbackSigstore  # noqa: E402
from test_foreign import DOORS, material_of  # noqa: E402
from test_foreign import mutants as mutants_of_bytes  # noqa: E402
from tiny_evidence import WEIGHTS, TinyEvidence, write_checkpoint  # noqa: E402
from trust_report_words import (  # noqa: E402
    IRRELEVANT,
    say_conformance,
    say_doors,
    say_flips,
    say_head,
    say_matrix,
    say_mutants,
)

from attest.bundle import MAX_BUNDLE  # noqa: E402
from attest.cores import usable_cores  # noqa: E402
from attest.errors import AttestError  # noqa: E402
from attest.evidence_directory import SIGNER_KEY_NAME, sign_with_key, write_bundle  # noqa: E402
from attest.identity import Identity  # noqa: E402
from attest.keyless import sign_keyless  # noqa: E402
from attest.signer import open_signer  # noqa: E402
from attest.timestamp import request_time_stamp  # noqa: E402
from attest.trust import TrustedAuthority, TrustedRoot  # noqa: E402
from attest.verify import Expectation, Files, Trust, verify  # noqa: E402

PAGE = ROOT / "reports" / "trust" / "README.md"
ALICE = "alice@example.test"
Kind = Literal["key", "key and time stamp", "keyless, Rekor v1", "keyless, Rekor v2"]
KINDS: tuple[Kind, ...] = ("key", "key and time stamp", "keyless, Rekor v1", "keyless, Rekor v2")


@dataclass(frozen=True, kw_only=True)
class Subject:
    """Signed evidence of one kind, whom to expect, and whom to trust."""

    tiny: TinyEvidence
    expectation: Expectation
    strangers: Mapping[str, Expectation]
    trust: Trust
    good: bytes
    again: bytes

    def ending(
        self, expectation: Expectation | None = None, *, trust: Trust | None = None, is_whole: bool = True
    ) -> str:
        """Exit code, and the steps that failed or the code of the error."""
        files = Files(checkpoint=self.tiny.checkpoint) if is_whole else None
        path = self.tiny.directory if is_whole else self.alone
        try:
            result = verify(path, expectation=expectation or self.expectation, files=files, trust=trust or self.trust)
        except AttestError as error:
            return f"{error.exit_code} {error.code}"
        failed = [check.id for check in result.checks if check.outcome == "FAILED"]
        return " ".join([str(result.exit_code), *failed])

    @property
    def alone(self) -> Path:
        """Where this process writes a bundle on its own."""
        return self.tiny.root / f"{os.getpid()}.json"

    def lone(self, data: bytes) -> str:
        """The same for a bundle on its own."""
        self.alone.write_bytes(data)
        return self.ending(is_whole=False)


def make(kind: Kind, folder: Path, stack: ExitStack) -> Subject:
    """Evidence signed in one way."""
    tiny = TinyEvidence(root=folder)
    write_checkpoint(tiny.checkpoint)
    tiny.write()
    payload = (tiny.directory / "statement.json").read_bytes()
    sigstore = stack.enter_context(LoopbackSigstore.serving(rekor=2 if kind.endswith("2") else 1))
    root = TrustedRoot.parse(json.dumps(sigstore.trusted_root()).encode(), source="loopback")
    authority = TrustedAuthority(certificates=sigstore.authority.chain)
    if kind.startswith("keyless"):
        (folder / "config.json").write_text(json.dumps(sigstore.client_trust_config()))
        bundles = [
            sign_keyless(payload, announce=lambda _: None, token=sigstore.token(), trust_config=folder / "config.json")
            for _ in range(2)
        ]
        strangers = {
            "another identity is expected": Identity(identity="bob@example.test", issuer=sigstore.url),
            "another issuer is expected": Identity(identity=ALICE, issuer="https://example.test"),
        }
        return _write(tiny, bundles, Expectation(identity=Identity(identity=ALICE, issuer=sigstore.url)),
                      {name: Expectation(identity=one) for name, one in strangers.items()}, Trust(root=root, authorities=root.authorities), None)  # fmt: skip
    signer = open_signer(str(tiny.key()))
    stamps = (lambda data: (request_time_stamp(data, sigstore.time_stamp_url),)) if kind != "key" else lambda _: ()
    signed = [sign_with_key(payload, signer) for _ in range(2)]
    bundles = [
        type(one)(content=one.content, key_hint=one.key_hint, timestamps=stamps(one.content.signature))
        for one in signed
    ]
    trust = Trust(authorities=(authority,)) if kind != "key" else Trust()
    strangers_by_key = {"another key is expected": tiny.expectation("ed25519")}
    return _write(tiny, bundles, tiny.expectation(), strangers_by_key, trust, signer.public_key.pem)


def _write(
    tiny: TinyEvidence,
    bundles: list[Any],
    expectation: Expectation,
    strangers: Mapping[str, Expectation],
    trust: Trust,
    pem: bytes | None,
) -> Subject:
    write_bundle(tiny.directory, bundles[1], pem, force=True)
    return Subject(
        tiny=tiny,
        expectation=expectation,
        strangers=strangers,
        trust=trust,
        good=bundles[1].to_json(),
        again=bundles[0].to_json(),
    )


def altered(subject: Subject, change: Alteration) -> str:
    """Ending with one part of the bundle changed; a dash where it has no such part."""
    value = json.loads(subject.good)
    try:
        change(value)
    except (KeyError, IndexError):
        return "-"
    if value == json.loads(subject.good):
        return "-"
    subject.tiny.bundle.write_text(json.dumps(value))
    try:
        return subject.ending()
    finally:
        subject.tiny.bundle.write_bytes(subject.good)


def spoiled(subject: Subject, file: Path, spoil: Callable[[Path], Any]) -> str:
    """Ending with one file changed."""
    good = file.read_bytes()
    spoil(file)
    try:
        return subject.ending()
    finally:
        file.write_bytes(good)


def swapped(subject: Subject, *names: str) -> str:
    """Ending with parts of another good bundle over the same statement."""
    value, other = json.loads(subject.good), json.loads(subject.again)
    try:
        for name in names:
            value["verificationMaterial"][name] = other["verificationMaterial"][name]
    except KeyError:
        return "-"
    return "-" if value == json.loads(subject.good) else subject.lone(json.dumps(value).encode())


PARTS_OF_A_ROOT = {
    "certificateAuthorities": "certificate authority",
    "tlogs": "key of the log",
    "timestampAuthorities": "time-stamp authority",
}


def untimely(subject: Subject, part: str, bound: str) -> str:
    """Ending where somebody was trusted only before or after the signature was made; a dash where nobody is asked."""
    year = {"end": "2001-01-01T00:00:00+00:00", "start": "2999-01-01T00:00:00+00:00"}[bound]
    root, authorities = subject.trust.root, subject.trust.authorities
    if part == "timestampAuthorities":
        field = {"end": "end", "start": "begin"}[bound]
        authorities = tuple(replace(one, **{field: datetime.fromisoformat(year)}) for one in authorities)
    if root is not None:
        value = json.loads(root.data)
        for one in value[part]:
            (one["publicKey"] if part == "tlogs" else one)["validFor"] = {bound: year}
        root = TrustedRoot.parse(json.dumps(value).encode(), source="loopback")
    trust = Trust(root=root, authorities=authorities)
    return "-" if trust == subject.trust else subject.ending(trust=trust)


def rows(subjects: Mapping[Kind, Subject]) -> Iterator[tuple[str, list[str]]]:
    """Every row of the matrix."""
    every = list(subjects.values())
    yield "nothing", [one.ending() for one in every]
    for change in ALTERATIONS:
        yield change.__name__.replace("_", " "), [altered(one, change) for one in every]
    yield "log entry of another signature", [swapped(one, "tlogEntries") for one in every]
    yield "certificate of another signature", [swapped(one, "certificate") for one in every]
    yield "time stamp of another signature", [swapped(one, "timestampVerificationData") for one in every]
    detail = [
        spoiled(one, one.tiny.directory / "detail/bytes.bin", lambda file: file.write_bytes(b"x")) for one in every
    ]
    yield "detail file altered", detail
    yield (
        "checkpoint file altered",
        [
            spoiled(one, one.tiny.checkpoint / WEIGHTS, lambda file: file.write_bytes(file.read_bytes()[:-1] + b"x"))
            for one in every
        ],
    )
    yield "checkpoint file missing", [spoiled(one, one.tiny.checkpoint / WEIGHTS, Path.unlink) for one in every]
    names = sorted({name for one in every for name in one.strangers})
    for name in names:
        yield name, [one.ending(one.strangers[name]) if name in one.strangers else "-" for one in every]
    for part, called in PARTS_OF_A_ROOT.items():
        for bound, when in (("end", "expired before it signed"), ("start", "not valid yet when it signed")):
            yield f"{called} {when}", [untimely(one, part, bound) for one in every]
    foreign = subjects["key"] if every[0] is not subjects["key"] else every[-1]
    yield (
        "bundle of another evidence",
        [one.lone(foreign.good if one is not foreign else every[0].good) for one in every],
    )


_SUBJECTS: dict[Kind, Subject] = {}
"""What the processes that share the work inherit."""
SHARES = 16
"""Into so many parts the work on one bundle is cut."""


def flips(kind: Kind, bits: int, share: int) -> tuple[int, Counter[str]]:
    """How many single-bit flips were tried, and those that were still accepted, by the part of the JSON."""
    subject, accepted = _SUBJECTS[kind], Counter[str]()
    count = 0
    for place in range(share, len(subject.good), SHARES):
        for bit in random.Random(place).sample(range(8), bits):  # noqa: S311 - which bits are flipped is no secret
            data = bytearray(subject.good)
            data[place] ^= 1 << bit
            count += 1
            if subject.lone(bytes(data)).split()[0] == "0":
                accepted[_part_of(subject.good, bytes(data))] += 1
    return count, accepted


def _part_of(good: bytes, other: bytes) -> str:
    """JSON Pointer of the value in which two bundles differ."""

    def differing(a: Any, b: Any, path: str) -> str:
        if isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
            return next(differing(a[key], b[key], f"{path}/{key}") for key in a if a[key] != b[key])
        if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
            return next(differing(one, two, f"{path}/0") for one, two in zip(a, b, strict=True) if one != two)
        return path

    first, second = json.loads(good), json.loads(other)
    return differing(first, second, "") if first != second else "white space"


def mutants(kind: Kind, count: int, share: int) -> Counter[str]:
    """How random mutants of a bundle end: cut, doubled, spliced with another, bytes replaced."""
    rng = random.Random(share)  # noqa: S311 - no secret
    subject, endings = _SUBJECTS[kind], Counter[str]()
    for _ in range(count // SHARES):
        data = bytearray(subject.good)
        for _ in range(rng.randint(1, 3)):
            begin, end = sorted(rng.randrange(len(data) + 1) for _ in range(2))
            choice = rng.randrange(5)
            if choice == 0:
                del data[begin : begin + rng.randint(1, 64)]
            elif choice == 1:
                data[begin:begin] = data[begin : min(end, begin + 256)]
            elif choice == 2:
                data[begin : begin + 64] = subject.again[begin : begin + 64]
            elif choice == 3:
                data[begin : begin + 1] = rng.choice(
                    [b"", b'"', b"{", b"[", b"}", b"0", b"null", b"\\u0000", b"-1", b"1e400"]
                )
            else:
                data[begin : begin + 4] = rng.randbytes(4)
            data = data[:MAX_BUNDLE] or bytearray(b"{}")
        if bytes(data) != subject.good:
            endings[subject.lone(bytes(data)).split()[0]] += 1
    return endings


def page(flipped_bits: int, mutant_count: int, jobs: int) -> str:
    """The whole report."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with ExitStack() as stack:
            for number, kind in enumerate(KINDS):
                (folder / str(number)).mkdir()
                _SUBJECTS[kind] = make(kind, folder / str(number), stack)
        matrix = list(rows(_SUBJECTS))
        for row, endings in matrix[1:]:
            if any(ending.startswith("0") for ending in endings):
                raise SystemExit(f"accepted although altered: {row}: {endings}")
        for subject in _SUBJECTS.values():
            if subject.tiny.directory.joinpath(SIGNER_KEY_NAME).exists():
                shutil.copy(subject.tiny.directory / SIGNER_KEY_NAME, subject.tiny.root)
        with ProcessPoolExecutor(jobs, mp_context=get_context("fork")) as pool:
            opening = pool.submit(doors, folder / "doors", mutant_count)
            flipping = {kind: _add_flips(pool, kind, flipped_bits) for kind in KINDS}
            mutating = {
                kind: sum(pool.map(partial(mutants, kind, mutant_count), range(SHARES)), Counter()) for kind in KINDS
            }
            opened = opening.result()
    parts = [
        say_head(), say_matrix(KINDS, matrix), say_flips(flipping), say_mutants(mutating), say_doors(opened),
        say_conformance(),
    ]  # fmt: skip
    return "\n".join(line for part in parts for line in part) + "\n"


def _add_flips(pool: ProcessPoolExecutor, kind: Kind, bits: int) -> tuple[int, Counter[str]]:
    """All flips of one bundle; one that is accepted without a reason ends this script."""
    found = list(pool.map(partial(flips, kind, bits), range(SHARES)))
    accepted = sum((one for _, one in found), Counter[str]())
    if unknown := {part for part in accepted if not part.endswith(tuple(IRRELEVANT))}:
        raise SystemExit(f"flipped bytes are accepted without a reason: {unknown}")
    return sum(count for count, _ in found), accepted


def doors(folder: Path, count: int) -> dict[str, tuple[int, int]]:
    """How many mutants each door to a library was shown, and how many it refused with a code."""
    folder.mkdir()
    found = {}
    with signed_evidence(folder, 2) as signed:
        material = material_of(signed, folder)
    for door, (_, seeds) in DOORS.items():
        refused = 0
        for data in mutants_of_bytes(seeds(material), count):
            try:
                door(material, data)
            except AttestError:
                refused += 1
        found[door.__name__.replace("_", " ")] = (count, refused)
    return found


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flips", type=int, default=1, help="bits to flip of each byte, 1 to 8")
    parser.add_argument("--mutants", type=int, default=1000, help="random mutants of each bundle")
    parser.add_argument("--jobs", type=int, default=usable_cores(), help="processes that share the work")
    given = parser.parse_args()
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(given.flips, given.mutants, given.jobs), encoding="utf-8")
    print(f"wrote {PAGE}")


if __name__ == "__main__":
    main()
