"""The pages evidence.v1.md and detail.v1.md suffice: every byte is computed here a second time, from their words.

Nothing of attest computes in this file; only its results, and the examples, are held against it.
"""

import hashlib
import json
import math
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from attest.architecture.family import FILES, PARTS
from attest.architecture.layout import FUSED
from attest.architecture.stack import EXPERT, LABELS, LAYER, MAX_STACKS
from attest.document import canonical
from attest.evidence import EVIDENCE_TYPE
from attest.fingerprint import DEEP_IDS, FINGERPRINTS
from attest.measure import Measurement, measure
from attest.resource import resource

ROOT = Path(__file__).resolve().parent.parent
SEED_1 = ROOT / "tests" / "data" / "family" / "seed-1"
CHUNK = 67_108_864
PAGES = {name: resource(f"schemas/{name}.v1.md").read_text(encoding="utf-8") for name in ("evidence", "detail")}
EVIDENCE, COMPARISON, SCAN, DETAIL = (
    json.loads(resource(f"schemas/{name}.v1.example.json").read_text(encoding="utf-8"))
    for name in ("evidence", "comparison", "repository-scan", "detail")
)
ROWS = {row["name"]: row for row in DETAIL["detail/tensors.json"]["tensors"]}


@pytest.fixture(scope="module")
def first() -> Measurement:
    return measure(SEED_1)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def g(value: float) -> str:
    return f"{value + 0.0:.9g}"


def header_of(data: bytes) -> tuple[dict, int]:
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length]), 8 + length


def weights() -> dict[str, np.ndarray]:
    """Values of seed-1, whose dtype is BF16, as float64."""
    data = (SEED_1 / "model.safetensors").read_bytes()
    header, base = header_of(data)
    header.pop("__metadata__", None)
    values = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        codes = np.frombuffer(data[base + begin : base + end], "<u2").astype("<u4") << 16
        values[name] = codes.view("<f4").astype(np.float64).reshape(entry["shape"])
    return values


WEIGHTS = weights()
PLACES = {(row["role"], row["layer"]): WEIGHTS[name] for name, row in ROWS.items()}
LAYERS = range(EVIDENCE["architecture"]["layers"])


def test_the_tree_digest_is_the_one_on_the_page():
    lines = [f"{file['sha256']} {file['size']} {file['path']}\n" for file in EVIDENCE["checkpoint"]["files"]]
    listed = "attest tree v1\n" + "".join(lines)
    assert "".join(f"    {line}\n" for line in listed.splitlines()) in PAGES["evidence"]
    assert sha256(listed.encode()) == EVIDENCE["checkpoint"]["treeDigest"]
    assert EVIDENCE["checkpoint"]["treeDigest"] in PAGES["evidence"]


def chunks_of(data: bytes, *, has_tensors: bool) -> Iterator[dict]:
    pieces = [(0, len(data), None)]
    if has_tensors:
        header, base = header_of(data)
        header.pop("__metadata__", None)
        tensors = sorted((*entry["data_offsets"], name) for name, entry in header.items())
        pieces = [(0, base, None), *((base + begin, base + end, name) for begin, end, name in tensors)]
    for begin, end, name in pieces:
        for start in range(begin, end, CHUNK):
            part = data[start : min(start + CHUNK, end)]
            yield {"begin": start, "size": len(part), "sha256": sha256(part), "tensor": name}


def test_chunks_and_tensor_digests():
    for file in DETAIL["detail/chunks.json"]["files"]:
        data = (SEED_1 / file["path"]).read_bytes()
        assert file["chunks"] == list(chunks_of(data, has_tensors=file["path"].endswith(".safetensors")))
    for file in DETAIL["detail/chunks.json"]["files"]:
        for chunk in file["chunks"]:
            if chunk["tensor"] is not None:
                row = ROWS[chunk["tensor"]]
                head = f"attest tensor v1\n{row['dtype']}\n{','.join(map(str, row['shape']))}\n".encode()
                assert row["digest"] == sha256(head + bytes.fromhex(chunk["sha256"]))
    assert ROWS["model.embed_tokens.weight"]["digest"] in PAGES["detail"]


def test_large_tensors_and_plain_files_are_cut_every_64_mib(tmp_path: Path):
    header = json.dumps({"w": {"dtype": "U8", "shape": [CHUNK + 5], "data_offsets": [0, CHUNK + 5]}}).encode()
    data = struct.pack("<Q", len(header)) + header + bytes(CHUNK + 5)
    (tmp_path / "model.safetensors").write_bytes(data)
    (tmp_path / "other.dat").write_bytes(data)
    (tmp_path / "empty").touch()
    measured = measure(tmp_path)
    found = {file["path"]: file["chunks"] for file in json.loads(measured.details["detail/chunks.json"])["files"]}
    assert found == {
        "empty": [],
        "model.safetensors": list(chunks_of(data, has_tensors=True)),
        "other.dat": list(chunks_of(data, has_tensors=False)),
    }
    parts = b"".join(bytes.fromhex(chunk["sha256"]) for chunk in found["model.safetensors"][1:])
    assert len(parts) == 64
    (row,) = measured.tensors.tensors
    assert row.digest == sha256(f"attest tensor v1\nU8\n{CHUNK + 5}\n".encode() + parts)


def root(value: Fraction) -> float:
    if not value:
        return 0.0
    p, q = value.numerator, value.denominator
    s = max(0, 64 - math.floor(Fraction(p.bit_length() - q.bit_length(), 2)))
    return float(Fraction(math.isqrt(p * 4**s // q), 2**s))


def exact_values(values: np.ndarray) -> dict[Fraction, int]:
    """Finite values as fractions, and how often each occurs."""
    counted = Counter(values[np.isfinite(values)].ravel().tolist())
    return {Fraction(value): count for value, count in counted.items()}


def std(values: np.ndarray) -> float:
    counted = exact_values(values)
    n = sum(counted.values())
    mean = sum(value * count for value, count in counted.items()) / n
    return root(sum((value - mean) ** 2 * count for value, count in counted.items()) / (n - 1))


def moments(values: np.ndarray) -> dict:
    counted = exact_values(values)
    n = sum(counted.values())
    mean = sum(value * count for value, count in counted.items()) / n
    second, third, fourth = (
        sum((value - mean) ** k * count for value, count in counted.items()) / n for k in (2, 3, 4)
    )
    ordered = sorted(values.ravel().tolist())
    shares = [Fraction(text) for text in ("0.001", "0.01", "0.25", "0.5", "0.75", "0.99", "0.999")]
    return {
        "n": n,
        "mean": g(float(mean)),
        "std": g(root(second * Fraction(n, n - 1))),
        "skewness": g(math.copysign(root(third**2 / second**3), third)),
        "excessKurtosis": g(float(fourth / second**2 - 3)),
        "minimum": g(ordered[0]),
        "maximum": g(ordered[-1]),
        "zeros": int(np.count_nonzero(values == 0)),
        "nans": 0,
        "infinities": 0,
        "quantiles": [g(ordered[max(1, math.ceil(share * n)) - 1]) for share in shares],
        "distinct": len(counted),
    }


@pytest.mark.parametrize(
    "name", ["model.layers.0.input_layernorm.weight", "model.layers.2.self_attn.k_proj.weight", "model.norm.weight"]
)
def test_moments(name: str):
    assert moments(WEIGHTS[name]) == ROWS[name]["moments"]


def packed(arrays: dict[str, np.ndarray], fingerprint: str) -> bytes:
    """A file of arrays, byte for byte as the page says."""
    dtypes = {"int64": "I64", "float64": "F64", "float32": "F32", "int8": "I8"}
    order = sorted(arrays, key=lambda name: (list(dtypes).index(arrays[name].dtype.name), name))
    header: dict = {"__metadata__": {"fingerprint": fingerprint}}
    begin = 0
    for name in order:
        end = begin + arrays[name].nbytes
        header[name] = {
            "dtype": dtypes[arrays[name].dtype.name],
            "shape": list(arrays[name].shape),
            "data_offsets": [begin, end],
        }
        begin = end
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + b"".join(arrays[name].tobytes() for name in order)


def lanes(terms: np.ndarray) -> np.ndarray:
    """The 64 lanes of the lane sum of each row."""
    sums = np.zeros((terms.shape[0], 64))
    for j in range(terms.shape[1]):
        sums[:, j % 64] += terms[:, j]
    return sums


def total(terms: np.ndarray) -> np.ndarray:
    """Sum of each row, one term after the other."""
    sums = np.zeros(terms.shape[0])
    for j in range(terms.shape[1]):
        sums += terms[:, j]
    return sums


def attention_std() -> dict[str, np.ndarray]:
    return {role: np.array([std(PLACES[role, layer]) for layer in LAYERS]) for role in "qkvo"}


def norm_gain() -> dict[str, np.ndarray]:
    names = {(role, layer): f"layers.{layer}.{role}" for role in ("attention_norm", "mlp_norm") for layer in LAYERS}
    return {
        name: PLACES[place].astype(np.float32) for place, name in {**names, ("final_norm", None): "final_norm"}.items()
    }


def qkv_bias() -> dict[str, np.ndarray]:
    return {
        f"layers.{layer}.{role}.bias": PLACES[f"{role}.bias", layer].astype(np.float32)
        for role in "qkv"
        for layer in LAYERS
    }


def unit_norms() -> dict[str, np.ndarray]:
    arrays = {}
    for role in ("q", "k", "v", "o", "gate", "up", "down"):
        for layer in LAYERS:
            squares = PLACES[role, layer] ** 2
            rows, columns = total(lanes(squares)), total(squares.T)
            units, residual = (columns, rows) if role in {"o", "down"} else (rows, columns)
            arrays[f"layers.{layer}.residual.{role}"] = residual
            if role in {"gate", "up", "down"}:
                arrays[f"layers.{layer}.neuron.{role}"] = units
            else:
                arrays[f"layers.{layer}.head.{role}"] = total(units.reshape(-1, EVIDENCE["architecture"]["dHead"]))
    return {name: np.sqrt(sums).astype(np.float32) for name, sums in arrays.items()}


def signs(part: str, n: int) -> np.ndarray:
    stream = hashlib.shake_256(f"attest neuron-sketch/v1 {part}".encode()).digest(n // 8 + 1)
    return np.array([-1.0 if stream[j // 8] >> (j % 8) & 1 else 1.0 for j in range(n)])


def quantized(entries: np.ndarray, squared_norms: np.ndarray) -> np.ndarray:
    steps = entries / np.sqrt(squared_norms)[:, None] * (math.sqrt(8) * 32)
    return np.clip(np.rint(steps), -127, 127).astype(np.int8)


def neuron_sketch() -> dict[str, np.ndarray]:
    arrays = {}
    for layer in LAYERS:
        parts = []
        for role in ("gate", "up"):
            matrix = PLACES[role, layer]
            products = matrix * (signs(role, matrix.shape[1]) * PLACES["mlp_norm", layer])
            sums = lanes(products)
            entries = np.stack([total(sums[:, bucket::8]) for bucket in range(8)], axis=1)
            parts.append(quantized(entries, total(lanes(products**2))))
        down = PLACES["down", layer]
        signed = down * signs("down", down.shape[0])[:, None]
        entries = np.stack([total(signed[bucket::8].T) for bucket in range(8)], axis=1)
        arrays[f"layers.{layer}"] = np.concatenate([*parts, quantized(entries, total(down.T**2))], axis=1)
    return arrays


@pytest.mark.parametrize("recipe", [attention_std, norm_gain, qkv_bias, unit_norms, neuron_sketch])
def test_every_byte_of_a_fingerprint(recipe: Callable[[], dict[str, np.ndarray]], first: Measurement):
    name = recipe.__name__.replace("_", "-")
    assert packed(recipe(), f"{name}/v1") == first.details[f"detail/{name}.v1.safetensors"]


@pytest.mark.parametrize("fingerprint", [*(one.id for one in FINGERPRINTS), *DEEP_IDS])
def test_every_fingerprint_has_its_section(fingerprint: str):
    assert f"\n### `{fingerprint}`\n" in PAGES["detail"]


def test_the_first_public_signs_are_on_the_page():
    for part in ("gate", "up", "down"):
        first_byte = hashlib.shake_256(f"attest neuron-sketch/v1 {part}".encode()).hexdigest(1)
        shown = " ".join("+" if sign > 0 else "-" for sign in signs(part, 8))
        assert f"| {part} | `{first_byte}` | `{shown}` |" in PAGES["detail"]


def test_how_names_are_read_is_on_the_page():
    page = PAGES["detail"].partition("## Roles")[2]
    assert f"`{LAYER.pattern}`" in page
    assert f"`{EXPERT.pattern}`" in page
    assert f"first {MAX_STACKS} are left out" in page
    assert ", ".join(f"`{name.removesuffix('.toml')}`" for name in FILES) in page
    assert [word for word, label in LABELS if f"`{word}`" not in page or f"`{label}`" not in page] == []
    assert [
        part for part, added in PARTS.items() if f"`{part}`" not in page or (added and f"`{added}`" not in page)
    ] == []
    assert [role for role, parts in FUSED.items() for one in (role, *parts) if f"`{one}`" not in page] == []


def test_the_statement_of_the_example():
    files = EVIDENCE["checkpoint"]["files"]
    named = [*((file["path"], file["sha256"]) for file in files), (".", EVIDENCE["checkpoint"]["treeDigest"])]
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": name, "digest": {"sha256": digest}} for name, digest in named],
        "predicateType": EVIDENCE_TYPE,
        "predicate": EVIDENCE,
    }
    payload = json.dumps(statement, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    assert payload == canonical(statement)
    assert sha256(payload) == COMPARISON["a"]["statementSha256"]


def test_the_detail_files_of_the_example():
    held = {detail["name"]: detail for detail in (*SCAN["details"], *EVIDENCE["details"])}
    for name, value in DETAIL.items():
        data = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        assert (held[name]["size"], held[name]["sha256"]) == (len(data), sha256(data)), name
