"""What files say of their origin: quoted, compared where it is a digest, never followed."""

import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from attest.checkpoint import open_checkpoint
from attest.checkpoint.tree import DigestClaim
from attest.errors import CheckpointError
from attest.measure import measure
from attest.provenance import check_claims, find_provenance
from attest.reproduce import _without_place

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def copy(family: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(family / "seed-1", tmp_path / "copy"))


def note(folder: Path, name: str, text: str) -> None:
    """Leave what huggingface_hub would note of a download."""
    path = folder / ".cache" / "huggingface" / "download" / f"{name}.metadata"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def found(folder: Path) -> list[tuple[str, str, int | None, str]]:
    findings = find_provenance(open_checkpoint(folder)).findings
    return [(one.code, one.path, one.line, one.text) for one in findings]


def test_notes_of_downloads(copy: Path):
    digest = sha256((copy / "model.safetensors").read_bytes()).hexdigest()
    note(copy, "model.safetensors", f"{COMMIT}\n{digest}\n1700000000.0\n")
    note(copy, "config.json", f"{COMMIT}\n{'b' * 40}\n1700000000.0\n")
    provenance = find_provenance(open_checkpoint(copy))
    assert [one.text for one in provenance.findings if one.code == "hub-download"] == [
        f"2 files with notes of a download at {COMMIT}"
    ]
    assert provenance.claims == (DigestClaim(path="model.safetensors", sha256=digest, by="the note of its download"),)


@pytest.mark.parametrize(
    "text", ["", "x", f"{COMMIT}", "main\nabc\n1\n", f"{COMMIT.upper()}\nabc\n1\n", "\0" * 2000, f" {COMMIT}\nx\n"]
)
def test_notes_that_are_none(copy: Path, text: str):
    note(copy, "model.safetensors", text)
    assert [one for one in found(copy) if one[0] == "hub-download"] == []


def test_notes_of_files_that_are_not_there(copy: Path):
    note(copy, "other.safetensors", f"{COMMIT}\nabc\n1\n")
    note(copy, "../../../config.json", f"{COMMIT}\nabc\n1\n")
    assert [one for one in found(copy) if one[0] == "hub-download"] == []


def test_a_note_with_another_digest_is_told(copy: Path):
    note(copy, "model.safetensors", f'{COMMIT}\n"{"0" * 64}"\n1\n')
    checkpoint = measure(copy).evidence.checkpoint
    texts = {one.path: one.text for one in checkpoint.findings if one.code == "digest-differs"}
    digest = {file.path: file.sha256 for file in checkpoint.files}["model.safetensors"]
    assert texts == {"model.safetensors": f"the note of its download names SHA-256 {'0' * 64}, the bytes have {digest}"}
    assert {file.server_sha256 for file in checkpoint.files} == {None}


CARDS: dict[str, tuple[str, list[str]]] = {
    "a word": ("---\nbase_model: org/base\n---\n", ["org/base"]),
    "a list": ("---\nbase_model:\n- org/a\n- 'org/b'\nlicense: mit\n---\n", ["org/a, org/b"]),
    "no front matter": ("base_model: org/base\n", []),
    "a file to read": ("---\nbase_model: ../../etc/passwd\n---\n", ["../../etc/passwd"]),
}


@pytest.mark.parametrize(("card", "texts"), CARDS.values(), ids=CARDS)
def test_base_models_of_the_card(copy: Path, card: str, texts: list[str]):
    (copy / "README.md").write_text(card)
    assert [text for code, _, _, text in found(copy) if code == "declared-base-model"] == texts


def test_the_name_in_the_configuration(copy: Path):
    config = copy / "config.json"
    config.write_text(config.read_text().replace("{", '{"_name_or_path": "/home/\\u001b[2Jx",', 1))
    assert ("config-name-or-path", "config.json", 2, "/home/\ufffd[2Jx") in [
        (code, path, line and 2, text) for code, path, line, text in found(copy)
    ]


def test_many_differences_are_counted():
    claims = tuple(DigestClaim(path=str(number), sha256="0" * 64, by="the server") for number in range(25))
    findings = check_claims(claims, {str(number): "1" * 64 for number in range(25)})
    assert [one.code for one in findings] == ["digest-differs"] * 20 + ["findings-cut"]
    assert check_claims(claims, {}) == ()


def snapshot(family: Path, cache: Path, *, name: str = "models--org--seed-1", commit: str = COMMIT) -> Path:
    """A snapshot as huggingface_hub keeps it in its cache."""
    repository = cache / name
    folder = repository / "snapshots" / commit
    folder.mkdir(parents=True)
    (repository / "blobs").mkdir()
    for path in (family / "seed-1").iterdir():
        data = path.read_bytes()
        blob = sha256(data).hexdigest() if path.suffix == ".safetensors" else "c" * 40
        (repository / "blobs" / blob).write_bytes(data)
        (folder / path.name).symlink_to(f"../../blobs/{blob}")
    return folder


def test_a_snapshot_of_a_cache(family: Path, tmp_path: Path):
    folder = snapshot(family, tmp_path)
    checkpoint = open_checkpoint(folder)
    provenance = find_provenance(checkpoint)
    assert [one.code for one in provenance.findings] == ["hub-cache"]
    assert [claim.path for claim in provenance.claims] == ["model.safetensors"]
    assert measure(folder).details == measure(family / "seed-1").details


def test_a_blob_that_is_not_what_its_name_says(family: Path, tmp_path: Path):
    folder = snapshot(family, tmp_path)
    blob = (folder / "model.safetensors").resolve()
    blob.write_bytes(blob.read_bytes()[:-1] + b"\0")
    codes = {one.code for one in measure(folder).evidence.checkpoint.findings}
    assert codes >= {"hub-cache", "digest-differs"}


def test_another_place_is_no_difference_when_reproducing(family: Path, tmp_path: Path):
    cached = measure(snapshot(family, tmp_path)).evidence.checkpoint
    plain = measure(family / "seed-1", name=cached.name).evidence.checkpoint
    assert cached != plain
    assert _without_place(cached) == _without_place(plain)


def linked(path: Path, target: str) -> Path:
    path.unlink()
    path.symlink_to(target)
    return path


ELSEWHERE: dict[str, Callable[[Path], object]] = {
    "beside the blobs": lambda folder: linked(folder / "config.json", "../../refs"),
    "a file in refs": lambda folder: linked(folder / "config.json", "../../main"),
    "another repository": lambda folder: linked(folder / "config.json", f"../../../other/blobs/{'c' * 40}"),
    "a blob of another name": lambda folder: linked(folder / "config.json", "../../blobs/config.json"),
    "a folder in the blobs": lambda folder: linked(folder / "config.json", "../../blobs/sub/" + "c" * 40),
    "through a blob that is a link": lambda folder: linked(
        folder.parent.parent / "blobs" / ("c" * 40), "/etc/hostname"
    ),
}


@pytest.mark.parametrize("lead", ELSEWHERE.values(), ids=ELSEWHERE)
def test_links_of_a_snapshot_lead_to_its_blobs_only(
    family: Path, tmp_path: Path, lead: Callable[[Path], object], code_of: Callable[[Callable[[], object]], str]
):
    folder = snapshot(family, tmp_path)
    blobs = folder.parent.parent / "blobs"
    for path in (blobs / "config.json", blobs / "sub" / ("c" * 40), blobs.parent / "main",
                 tmp_path / "other" / "blobs" / ("c" * 40)):  # fmt: skip
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    assert open_checkpoint(folder)
    lead(folder)
    assert code_of(lambda: open_checkpoint(folder)) == "link-out-of-tree"


@pytest.mark.parametrize(("name", "commit"), [("seed-1", COMMIT), ("models--org--seed-1", "main")])
def test_folders_that_only_look_like_a_cache(
    family: Path, tmp_path: Path, name: str, commit: str, code_of: Callable[[Callable[[], object]], str]
):
    folder = snapshot(family, tmp_path, name=name, commit=commit)
    assert code_of(lambda: open_checkpoint(folder)) == "link-out-of-tree"


@pytest.fixture
def code_of() -> Callable[[Callable[[], object]], str]:
    """Code of the error that an action raises."""

    def code(action: Callable[[], object]) -> str:
        with pytest.raises(CheckpointError) as caught:
            action()
        return caught.value.code

    return code
