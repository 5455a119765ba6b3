"""A quantized copy is related to its parent, and not to a stranger of the same recipe, whatever the scheme."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from mixture import write_mixture
from packing import PACKINGS, Packing, float8, four_bits, gptq, matrices, write_gguf, write_mlx, write_packed
from small_checkpoint import write_tensors

from attest.architecture import place_tensors
from attest.checkpoint import open_checkpoint
from attest.checkpoint.packed import open_packed
from attest.compare import compare
from attest.compare.fingerprints import Fingerprints
from attest.compare.tensors.multiset_identity import multiset_identity
from attest.compare.tensors.row_containment import row_containment
from attest.compare.weights.replay import exact_replay
from attest.compare.weights.role_weights import RoleWeights
from attest.comparison import Comparison
from attest.errors import CheckpointError
from attest.fingerprint import FINGERPRINTS, make_accumulators
from attest.fingerprint.unpacked import Unpacked, unpacked
from attest.measure import Measurement, measure
from attest.policy import conclude
from attest.program import environment, this_tool
from attest.sweep import TensorResult, sweep

SCHEMES = ("GPTQ", "GPTQ of 2 bits", "AWQ", "bitsandbytes NF4, nested", "NVFP4 of ModelOpt", "FP8 with scales",
           "compressed-tensors with zeros")  # fmt: skip
TYPES = ("Q4_0", "MXFP4", "Q8_0")


@cache
def measured(path: Path) -> Measurement:
    return measure(path)


def compared(first: Path, second: Path, *, weights: bool = False) -> Comparison:
    a, b = (measured(path) for path in (first, second))
    return compare(
        Fingerprints.of(a.evidence, a.tensors, a.profiles, None),
        Fingerprints.of(b.evidence, b.tensors, b.profiles, None),
        tool=this_tool(),
        environment=environment("numpy"),
        weights=(place_tensors(open_checkpoint(first)), place_tensors(open_checkpoint(second))) if weights else None,
    )


def related(first: Path, second: Path) -> tuple[str, float]:
    """The conclusion, and z of the alignment of neurons."""
    comparison = compared(first, second)
    (z,) = (test.z for test in comparison.tests if test.id == "neuron-alignment/v1")
    assert z is not None
    return conclude(comparison).rung, z


def agrees_with_its_parent_alone(copy: Path, family: Path) -> None:
    rung, z = related(family / "seed-1", copy)
    assert rung == "exact-rejected"
    assert z > 100
    rung, z = related(family / "seed-2", copy)
    assert rung == "no-evidence"
    assert abs(z) < 4


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_packed_copy(scheme: str, family: Path, tmp_path: Path):
    copy = write_packed(tmp_path / "copy", family / "seed-1", PACKINGS[scheme])
    agrees_with_its_parent_alone(copy, family)
    evidence, parent = measured(copy).evidence, measured(family / "seed-1").evidence
    assert evidence.tensors.unmapped == ()
    assert evidence.architecture == parent.architecture
    assert {one.id for one in evidence.fingerprints if one.detail} >= {"unit-norms/v1", "neuron-sketch/v1"}


@pytest.mark.parametrize("scheme", ["GPTQ", "bitsandbytes NF4, nested"])
def test_strangers_quantized_by_one_tool(scheme: str, family: Path, tmp_path: Path):
    """What they share is the tool's: zeros and orders, tables of values, powers of two."""
    copies = [write_packed(tmp_path / name, family / name, PACKINGS[scheme]) for name in ("seed-1", "seed-2")]
    a, b = (Fingerprints.of(one.evidence, one.tensors, one.profiles, None) for one in map(measured, copies))
    weights = (place_tensors(open_checkpoint(copies[0])), place_tensors(open_checkpoint(copies[1])))
    found = (multiset_identity(a, b), row_containment(a, b), exact_replay(a, b, weights))
    assert not any(test.n for one in found for test in one.tests)


@pytest.mark.parametrize("kind", TYPES)
def test_a_gguf_copy(kind: str, family: Path, tmp_path: Path):
    agrees_with_its_parent_alone(write_gguf(tmp_path / "model.gguf", family / "seed-1", kind), family)


def test_an_mlx_copy(family: Path, tmp_path: Path):
    agrees_with_its_parent_alone(write_mlx(tmp_path / "copy", family / "seed-1", bits=3), family)


def test_two_copies_by_different_schemes(family: Path, tmp_path: Path):
    first = write_packed(tmp_path / "a", family / "seed-1", PACKINGS["AWQ"])
    second = write_gguf(tmp_path / "model.gguf", family / "seed-1", "Q4_0")
    assert related(first, second)[1] > 100


def test_norms_are_of_the_values(family: Path, tmp_path: Path):
    """The same values stored as they are have the same norms, sketches and standard deviations, to the bit."""
    packings: dict[str, Packing] = {}

    def pack(weight: np.ndarray) -> Packing:
        packings[weight.tobytes()[:64].hex()] = found = float8(weight)
        return found

    copy = write_packed(tmp_path / "copy", family / "seed-1", pack)
    opened = open_checkpoint(copy)
    plain = {}
    for name, one in opened.packed.items():
        plain[name] = open_packed(one, opened.read_bits).unpack(opened.read_bits(one.tensor), 0)
    beside = {tensor.name for one in opened.packed.values() for tensor in one.companions.values()}
    rest = {
        one.name: opened.read_bits(one) for one in opened.tensors if one.name not in plain and one.name not in beside
    }
    (tmp_path / "plain").mkdir()
    write_tensors(tmp_path / "plain" / "model.safetensors", plain | rest)
    (tmp_path / "plain" / "config.json").write_bytes((copy / "config.json").read_bytes())
    here, there = measured(copy), measured(tmp_path / "plain")
    for fingerprint in ("unit-norms/v1", "neuron-sketch/v1", "attention-std/v1"):
        assert here.profiles[fingerprint].keys() == there.profiles[fingerprint].keys()
        for name, array in here.profiles[fingerprint].items():
            assert np.array_equal(array, there.profiles[fingerprint][name])


@pytest.mark.parametrize("pack", [four_bits, lambda weight: gptq(weight, bits=3)])
def test_it_does_not_matter_where_codes_are_cut(pack: Callable[..., Packing], family: Path, tmp_path: Path):
    model = place_tensors(open_checkpoint(write_packed(tmp_path / "copy", family / "seed-1", pack)))
    placed = {one.tensor.name: one for one in model.tensors}

    def arrays(block_size: int, threads: int) -> dict[str, np.ndarray]:
        read = sweep(
            model.checkpoint,
            lambda tensor: make_accumulators(
                {name: make for one in FINGERPRINTS for name, make in one.collect(model, placed[tensor.name]).items()},
                model.checkpoint.read_bits,
            ),
            threads=threads,
            block_size=block_size,
        )
        profiles = {one.id: one.profile(model, read.tensors).arrays for one in FINGERPRINTS}
        return {f"{kind} {name}": array for kind, found in profiles.items() for name, array in found.items()}

    whole = arrays(2**21, 1)
    assert any(name.startswith("neuron-sketch") for name in whole)
    for block_size, threads in ((1001, 1), (4096, 2)):
        cut = arrays(block_size, threads)
        assert cut.keys() == whole.keys()
        assert all(np.array_equal(cut[name], array, equal_nan=True) for name, array in whole.items())


def test_a_resumed_measurement_is_the_same(family: Path, tmp_path: Path):
    def padded(weight: np.ndarray) -> Packing:
        packing = gptq(weight)
        return Packing({**packing.parts, "padding": np.ones(2**14, np.float32)}, packing.values)

    copy = write_packed(tmp_path / "copy", family / "seed-1", padded)
    first = measure(copy, resume=tmp_path / "journal")
    again = measure(copy, resume=tmp_path / "journal")
    assert "resumed" in {file.basis for file in again.evidence.checkpoint.files}
    assert again.details == first.details


def test_scales_that_changed_after_they_were_read_ahead_are_refused(family: Path, tmp_path: Path):
    checkpoint = open_checkpoint(write_packed(tmp_path / "copy", family / "seed-1", gptq))
    one = next(iter(checkpoint.packed.values()))
    names = {tensor.name: "00" for tensor in one.companions.values()}
    results = {name: TensorResult(digest="00", collected={}) for name in names}
    results[one.tensor.name] = TensorResult(digest="", collected={"unpacked": Unpacked(collected={}, companions=names)})
    assert unpacked(one, results) == {}
    results[one.companions["scales"].name] = TensorResult(digest="01", collected={})
    with pytest.raises(CheckpointError, match="changed while it was read"):
        unpacked(one, results)


def test_experts_are_sketched_by_their_values(family: Path, tmp_path: Path):
    mixture = write_mixture(family / "seed-1", tmp_path / "mixture", lambda _, expert: [expert, expert])
    copy = write_packed(tmp_path / "copy", mixture, float8)
    sketches, packed = (measured(path).profiles["expert-sketch/v1"] for path in (mixture, copy))
    assert sketches.keys() == packed.keys() == {f"layers.{layer}.experts.{n}" for layer in range(4) for n in (0, 1)}
    for name, sketch in sketches.items():
        assert np.corrcoef(sketch.ravel(), packed[name].ravel())[0, 1] > 0.99


@pytest.mark.parametrize("scheme", ["GPTQ", "bitsandbytes NF4", "FP8 with scales"])
def test_weights_by_role_are_the_values(scheme: str, family: Path, tmp_path: Path):
    copy = open_checkpoint(write_packed(tmp_path / "copy", family / "seed-1", PACKINGS[scheme]))
    _, weights = matrices(family / "seed-1")
    by_role = RoleWeights(model=place_tensors(copy))
    for role, name in (("up", "mlp.up_proj"), ("q", "self_attn.q_proj"), ("down", "mlp.down_proj")):
        meant = PACKINGS[scheme](weights[f"model.layers.2.{name}.weight"]).values
        found = by_role.matrix(role, 2)
        assert found is not None
        assert np.array_equal(found, meant)
        some = by_role.rows(role, 2, np.array([3, 1]))
        assert some is None or np.array_equal(some, meant[[3, 1]])


@pytest.mark.parametrize("name", ["seed-1", "seed-2"])
def test_comparing_the_weights_too(name: str, family: Path, tmp_path: Path):
    copy = write_packed(tmp_path / "copy", family / "seed-1", PACKINGS["AWQ"])
    comparison = compared(family / name, copy, weights=True)
    assert conclude(comparison).rung == ("exact-rejected" if name == "seed-1" else "no-evidence")
