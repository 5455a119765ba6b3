"""The folder, the query and the panel of a library."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from attest.compare import compare
from attest.compare.correspondence.neuron_alignment import neuron_alignment
from attest.compare.correspondence.norms import NORM_GAIN_TEST, norm_gain_correspondence
from attest.compare.fingerprints import Fingerprints, read_fingerprints
from attest.errors import DocumentError, InputError
from attest.library import Library, create_library, make_panel, open_library, query
from attest.library.screen import WANTED, Screen
from attest.panel import ReferencePanel, pack_panel
from attest.program import environment, this_tool

NEURONS = "neuron-alignment/v1"
SKETCH = "neuron-sketch/v1"
GAINS = "norm-gain/v1"


def zs(suspect: Fingerprints, member: Fingerprints) -> dict[str, float]:
    return {one.test: one.z for one in Screen(suspect).against(member)}


def test_z_in_closed_form_is_that_of_the_comparison(evidence: Path):
    for first, second in (("seed-1", "seed-2"), ("seed-1", "seed-1-continued")):
        a, b = read_fingerprints(evidence / first), read_fingerprints(evidence / second)
        tests = compare(a, b, tool=this_tool(), environment=environment()).tests
        expected = {test.id: test.z for test in tests}
        found = zs(a, b)
        assert found.keys() == {NEURONS, NORM_GAIN_TEST}
        for name, z in found.items():
            assert z == pytest.approx(expected[name], rel=5e-6, abs=5e-6)


Sketches = dict[str, NDArray[np.int8]]


def with_sketches(one: Fingerprints, change: Callable[[Sketches], Sketches]) -> Fingerprints:
    return replace(one, arrays={**one.arrays, SKETCH: change(dict(one.arrays[SKETCH]))})


def padded(one: Fingerprints) -> Fingerprints:
    """The same with 64 neurons of zeros at the end of every layer."""
    return with_sketches(
        one, lambda held: {name: np.vstack([array, np.zeros_like(array[:64])]) for name, array in held.items()}
    )


def in_order(one: Fingerprints) -> Fingerprints:
    """The same with the neurons of every layer sorted by the first number of their sketch."""
    return with_sketches(
        one, lambda held: {name: array[np.argsort(array[:, 0], kind="stable")] for name, array in held.items()}
    )


def repeated(one: Fingerprints) -> Fingerprints:
    """The same with its second layer in the place of all."""
    return with_sketches(one, lambda held: dict.fromkeys(held, held["layers.1"]))


@pytest.mark.parametrize("change", [in_order, repeated])
def test_what_stands_out_is_looked_at_as_a_comparison_does(
    evidence: Path, change: Callable[[Fingerprints], Fingerprints]
):
    for first, second in (("seed-1", "seed-2"), ("seed-1", "seed-1-continued")):
        a, b = (change(read_fingerprints(evidence / name)) for name in (first, second))
        found, expected = zs(a, b)[NEURONS], neuron_alignment(a, b).tests[0].z
        if second != "seed-2" or change is in_order:
            assert found == pytest.approx(expected, rel=5e-6, abs=5e-6)
        assert second != "seed-2" or abs(found) < 4


Gains = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def with_gains(one: Fingerprints, change: Gains) -> Fingerprints:
    changed = {name: change(array) for name, array in one.arrays[GAINS].items()}
    return replace(one, arrays={**one.arrays, GAINS: changed})


def untouched(gains: NDArray[np.float32]) -> NDArray[np.float32]:
    return gains


def with_padding(gains: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.concatenate([gains, np.ones(16, np.float32)])


def with_nan(gains: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.concatenate([np.full(1, np.nan, np.float32), gains[1:]])


def rounded(gains: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.round(gains, 2)


@pytest.mark.parametrize("change", [untouched, np.sort, with_padding, with_nan, rounded])
def test_gains_are_looked_at_as_a_comparison_does(evidence: Path, change: Gains):
    suspect, relative, stranger = (
        with_gains(read_fingerprints(evidence / name), change) for name in ("seed-1", "seed-1-continued", "seed-2")
    )
    for member in (relative, stranger):
        expected = [one.z for one in norm_gain_correspondence(suspect, member).tests]
        found = [z for name, z in zs(suspect, member).items() if name == NORM_GAIN_TEST]
        assert found == pytest.approx(expected, rel=5e-6, abs=5e-6)
    assert abs(zs(suspect, stranger).get(NORM_GAIN_TEST, 0.0)) < 4


def test_padding_that_both_have_is_left_out(evidence: Path):
    a, b = (read_fingerprints(evidence / name) for name in ("seed-1", "seed-2"))
    assert zs(padded(a), padded(b))[NEURONS] == pytest.approx(zs(a, b)[NEURONS], rel=5e-6, abs=5e-6)


def test_sketches_of_other_hidden_sizes_are_not_paired(evidence: Path):
    a, b = (read_fingerprints(evidence / name) for name in ("seed-1", "seed-1-continued"))
    assert NEURONS not in zs(a, replace(b, architecture=replace(b.architecture, d_model=97)))


def test_the_parent_stands_first_and_strangers_stay_chance(library: Library, evidence: Path):
    answer = query(library, read_fingerprints(evidence / "seed-1-continued"), top=3)
    assert answer.candidates[0].member.name == "seed-1"
    assert (answer.members, answer.tests) == (3, 6)
    parent, *strangers = answer.candidates
    assert all(test.adjusted <= 1e-5 and abs(test.z) > 15 for test in parent.tests)
    assert all(test.adjusted > 0.01 for one in strangers for test in one.tests)
    assert all(test.pvalue <= test.adjusted for one in answer.candidates for test in one.tests)


def test_a_member_that_is_the_suspect_is_passed_over(library: Library, evidence: Path):
    assert query(library, read_fingerprints(evidence / "seed-1")).members == 2


def test_numbers_do_not_depend_on_threads(library: Library, evidence: Path):
    suspect = read_fingerprints(evidence / "seed-1-continued")
    assert query(library, suspect, threads=1) == query(library, suspect, threads=4)


def test_shared_tensors_are_counted(library: Library, evidence: Path):
    copy = read_fingerprints(evidence / "seed-1")
    digest = copy.side.tree_digest
    renamed = replace(copy, side=replace(copy.side, name="copy", tree_digest="0" * 64))
    first = query(library, renamed, top=1).candidates[0]
    assert first.member.tree_digest == digest
    assert first.same_tensors > 20
    assert first.same_values > 20


def test_a_panel_of_a_library_holds_what_the_comparison_gives(library: Library, evidence: Path):
    library.add(evidence / "seed-1-continued", ("seed-1",))
    panel = make_panel(library, name="mine", version="1", made="here", most=100)
    ReferencePanel.of(pack_panel(panel), where="panel")
    members = {one.name: one for one in panel.models}
    relations = [members[one.a].relation(members[one.b]) for one in panel.pairs]
    assert (relations.count("independent"), relations.count("derived")) == (5, 1)
    derived = panel.pairs[relations.index("derived")]
    a, b = (read_fingerprints(evidence / name) for name in ("seed-1", "seed-1-continued"))
    tests = compare(a, b, tool=this_tool(), environment=environment()).tests
    assert {"matched-agreement/v1", "attention-std-correlation/v1", "norm-gain-cosine/v1"} <= derived.statistics.keys()
    assert {name: (one.statistic, one.n) for name, one in derived.statistics.items()} == {
        test.id: (test.statistic, test.n) for test in tests if test.id in derived.statistics
    }


def test_a_panel_goes_on_where_it_was(library: Library):
    first = make_panel(library, name="mine", version="1", made="", most=100)
    (kept,) = library.path.glob("pairs-*.jsonl")
    kept.write_bytes(kept.read_bytes()[:-20])
    told: list[tuple[int, int]] = []
    again = make_panel(library, name="mine", version="1", made="", most=100, advance=lambda *said: told.append(said))
    assert again == first
    assert told == [(1, 1)]


def test_what_is_kept_of_pairs_is_not_written_through_a_link(library: Library, tmp_path: Path):
    make_panel(library, name="mine", version="1", made="", most=1)
    (kept,) = library.path.glob("pairs-*.jsonl")
    kept.rename(tmp_path / "outside")
    kept.symlink_to(tmp_path / "outside")
    with pytest.raises(DocumentError, match="behind a link"):
        make_panel(library, name="mine", version="1", made="", most=100)


def test_more_pairs_than_wanted_are_a_public_choice(library: Library):
    one = make_panel(library, name="mine", version="1", made="", most=2)
    assert len(one.pairs) == 2
    assert one == make_panel(library, name="mine", version="1", made="", most=2)


def test_members_without_an_origin_are_held_out_of_panels(evidence: Path, tmp_path: Path):
    library = create_library(tmp_path / "library")
    library.add(evidence / "seed-1")
    library.add(evidence / "seed-2", ("two",))
    with pytest.raises(InputError) as refused:
        make_panel(library, name="mine", version="1", made="", most=2)
    assert refused.value.code == "no-lineages"


def test_a_member_is_replaced_only_by_force(library: Library, evidence: Path):
    with pytest.raises(InputError) as refused:
        library.add(evidence / "seed-1", ("other",))
    assert refused.value.code == "output-exists"
    member = library.add(evidence / "seed-1", ("other",), force=True)
    assert library.member(member.side.tree_digest).lineages == ("other",)


def test_a_lineage_without_a_name_is_refused(library: Library, evidence: Path):
    for lineage in ("", "x" * 201):
        with pytest.raises(DocumentError):
            library.add(evidence / "seed-1", (lineage,), force=True)


def test_a_file_under_another_name_is_refused(library: Library):
    first, second, _ = library.digests()
    members = library.path / "members"
    shutil.copy(members / f"{first}.parquet", members / f"{second}.parquet")
    with pytest.raises(DocumentError) as refused:
        library.member(second)
    assert refused.value.code == "bad-library"


def test_a_link_out_of_the_library_is_not_followed(library: Library, tmp_path: Path):
    digest = library.digests()[0]
    file = library.path / "members" / f"{digest}.parquet"
    file.rename(tmp_path / "outside")
    file.symlink_to(tmp_path / "outside")
    with pytest.raises(InputError):
        library.member(digest)


def test_a_folder_without_members_is_no_library(tmp_path: Path):
    with pytest.raises(InputError) as refused:
        open_library(tmp_path)
    assert refused.value.code == "no-library"


def test_what_is_looked_at_is_what_is_read(library: Library, evidence: Path):
    suspect = read_fingerprints(evidence / "seed-1-continued")
    whole = {one.test: one.z for one in Screen(suspect).against(library.fingerprints(library.digests()[0])[1])}
    part = {one.test: one.z for one in Screen(suspect).against(library.fingerprints(library.digests()[0], WANTED)[1])}
    assert whole == part
