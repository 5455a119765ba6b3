"""Make ``attest/licenses/detect/index.z`` from the license data of two packages.

Usage: ``pip download --no-deps scancode-toolkit-mini==32.5.0``, ``npm pack spdx-license-list@6.12.0``, then
``make_license_index.py WHEEL TARBALL``. Both are read as archives; nothing of them is installed or run. The data are
CC-BY-4.0 and CC0-1.0: see ATTRIBUTION.md beside the index.
"""

from __future__ import annotations

import json
import re
import sys
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from attest.licenses.detect.index import KINDS, TEXT_BITS, powers, prefix_digests
from attest.licenses.detect.words import words_of

TARGET = Path(__file__).resolve().parent.parent / "attest" / "licenses" / "detect" / "index.z"
DATA = "licensedcode/data/"
MODEL_LICENSES = frozenset(
    [
        "apple-ml-ferret-2023",
        "bigcode-open-rail-m-v1",
        "bigscience-open-rail-m",
        "bigscience-open-rail-m2",
        "bigscience-rail-1.0",
        "bilibili-model-ula-2025-09-09",
        "chameleon-research-2024",
        "deepseek-la-1.0",
        "exaone-ai-model-1.1-nc",
        "fair-ai-public-1.0",
        "fair-ai-public-1.0-sd",
        "falcon-2-11b-1.0",
        "flux-1-nc",
        "gemma-pup-2024-02-21",
        "gemma-tou-2024-04-01",
        "gemma-tou-2025-03-24",
        "gretelai-sal-1.0",
        "hyperclova-x-seed-2025",
        "llama-2-license-2023",
        "llama-3.1-license-2024",
        "llama-3.2-license-2024",
        "llama-3.3-license-2024",
        "llama-4-cla-2025",
        "llama-4-license-2025",
        "llama-license-2023",
        "ltxv-owl-2025-04-17",
        "ltxv-owl-2025-05-05",
        "moonshot-ai-modified-mit-2025",
        "nvidia-model-training-2025",
        "nvidia-open-model-2025-04-28",
        "open-weights-permissive-1.0.0",
        "openatom-model-1.0",
        "qwen-2024",
        "responsible-ai-source-1.0",
        "responsible-ai-source-1.1",
        "salesforce-ai-aup-2025",
        "salesforce-ai-ethics-2025",
        "stability-ai-community-2024",
        "stability-ai-nc-2023-12-06",
        "stable-diffusion-2022-08-22",
        "tencent-hunyuan-3d-2.0-cla",
        "tongyi-qianwen-2023",
    ]
)
KEY = re.compile(r"[\w.+-]+")
OPERATORS = frozenset({"and", "or", "with"})
MIN_RELEVANCE = 90
MAX_NOTICE = 400
MIN_SHARE = 0.75
Entry = tuple[str, str, tuple[str, ...]]


def field(head: str, name: str) -> str:
    """A scalar of the head of a data file, or the empty string."""
    found = re.search(rf"^{name}: *['\"]?(.*?)['\"]?$", head, re.MULTILINE)
    return found[1] if found else ""


def data_files(archive: zipfile.ZipFile, folder: str, suffix: str) -> Iterator[tuple[str, str]]:
    """Head and text of each data file that is in use."""
    for name in sorted(archive.namelist()):
        if name.startswith(DATA + folder) and name.endswith(suffix):
            _, head, text = archive.read(name).decode("utf-8").split("---", 2)
            if field(head, "is_deprecated") != "yes":
                yield head, text


def spdx_ids(archive: zipfile.ZipFile) -> dict[str, str]:
    """SPDX id, or LicenseRef, of each key that the index holds."""
    found = {}
    for head, _ in data_files(archive, "licenses/", ".LICENSE"):
        key, spdx = field(head, "key"), field(head, "spdx_license_key")
        if (spdx and not spdx.startswith("LicenseRef-")) or key in MODEL_LICENSES:
            found[key] = spdx or f"LicenseRef-scancode-{key}"
    return found


def kind_of(head: str) -> str | None:
    """What a rule is, or None where it is too vague to be of use."""
    if field(head, "is_false_positive") == "yes":
        return "false-positive"
    for kind in ("text", "notice", "tag", "reference"):
        if field(head, f"is_license_{kind}") == "yes":
            vague = int(field(head, "relevance") or 100) < MIN_RELEVANCE
            return None if vague and kind != "text" else kind
    return None


def entries(archive: zipfile.ZipFile) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Expression, kind and words of each entry."""
    ids = spdx_ids(archive)
    for head, text in data_files(archive, "licenses/", ".LICENSE"):
        if field(head, "key") in ids:
            yield ids[field(head, "key")], "text", words_of(text).words
    for head, text in data_files(archive, "rules/", ".RULE"):
        kind, expression = kind_of(head), field(head, "license_expression").lower()
        keys = [key for key in KEY.findall(expression) if key not in OPERATORS]
        if field(head, "language") not in ("", "en") or kind is None or not all(key in ids for key in keys):
            continue
        words = words_of(text).words
        if kind == "text" or len(words) <= MAX_NOTICE:
            spelled = KEY.sub(lambda found: ids.get(found[0], found[0].upper()), expression)
            yield spelled if keys else "", kind, words


def spdx_texts(archive: tarfile.TarFile) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Expression, kind and words of each text of the SPDX list."""
    for member in sorted(archive.getmembers(), key=lambda member: member.name):
        stream = archive.extractfile(member) if member.name.startswith("package/licenses/") else None
        if stream:
            text = json.load(stream)["licenseText"]
            yield member.name.removeprefix("package/licenses/").removesuffix(".json"), "text", words_of(text).words


def _without_fragments(found: list[Entry]) -> list[Entry]:
    """Entries without the texts that are much shorter than the license itself, which is the first text of each.

    The conditions of a two-clause license without their disclaimer stand in many a longer license.
    """
    whole: dict[str, int] = {}
    for expression, kind, words in found:
        if kind == "text":
            whole.setdefault(expression, len(words))
    return [
        (expression, kind, words)
        for expression, kind, words in found
        if kind != "text" or len(words) >= MIN_SHARE * whole[expression]
    ]


def main() -> None:
    """Write the index; of two entries with the same words the first that scancode has counts."""
    wheel, tarball = sys.argv[1:3]
    with zipfile.ZipFile(wheel) as archive, tarfile.open(tarball) as listed_texts:
        found = _without_fragments([*entries(archive), *spdx_texts(listed_texts)])
    rows = {(kind, words): expression for expression, kind, words in reversed(found) if len(words) > 1}
    listed = sorted((KINDS.index(kind), expression, words) for (kind, words), expression in rows.items())
    vocabulary = sorted(
        word for word, _ in Counter(word for _, _, words in listed for word in words).most_common(65_535)
    )
    numbers = {word: number for number, word in enumerate(vocabulary)}
    kept = [row for row in listed if all(word in numbers for word in row[2])]
    expressions = sorted({expression for _, expression, _ in kept})
    places = {expression: place for place, expression in enumerate(expressions)}
    header = json.dumps(
        {
            "source": f"{Path(wheel).name} {Path(tarball).name}",
            "expressions": expressions,
            "vocabulary": vocabulary,
            "entries": len(kept),
        },
        ensure_ascii=False,
    ).encode()
    header += b" " * (-(len(header) + 4) % 8)  # the columns are read where they lie
    streams = [np.array([numbers[word] for word in words], "<u2") for _, _, words in kept]
    columns = [
        np.array([prefix_digests(stream, powers(len(stream)))[-1] for stream in streams], "<u8").tobytes(),
        np.array([places[expression] for _, expression, _ in kept], "<u2").tobytes(),
        np.array([len(stream) for stream in streams], "<u2").tobytes(),
        *(stream.tobytes() for stream in streams),
        np.array([kind for kind, _, _ in kept], "<u1").tobytes(),
    ]
    texts = sum(kind == KINDS.index("text") for kind, _, _ in kept)
    if texts > int(TEXT_BITS):
        sys.exit(f"{texts} texts, and numbers for {TEXT_BITS}")
    raw = b"".join([len(header).to_bytes(4, "little"), header, *columns])
    TARGET.write_bytes(zlib.compress(raw, 9))
    print(
        f"{len(kept)} entries, {len(expressions)} expressions, {len(raw)} bytes raw, {TARGET.stat().st_size} in the wheel"
    )
    print(Counter(KINDS[kind] for kind, _, _ in kept))


if __name__ == "__main__":
    main()
