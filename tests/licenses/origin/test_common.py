"""What two sides may both have from a third is left out; what only they share stays."""

from collections.abc import Iterator

import numpy as np
from programs import program

from attest.licenses.origin import Common, Origins, common_of, compare_code, date_files, origin_text
from attest.licenses.origin.corpus import corpus_of, program_of
from attest.licenses.origin.tokens import all_grams, fingerprint
from attest.licenses.source import Source
from attest.repository_scan import IdenticalFile, Origin

OLD, OURS, THEIRS = tuple(range(700, 705)), (900, 901, 902), (800, 801, 802)
STRANGERS = {f"m{number}.py": program(*range(10 * number, 10 * number + 5)) for number in range(25)}
THIRD = {"old.py": program(*OLD)}
DESCENDANT = STRANGERS | {"theirs.py": program(*OLD, *THEIRS)}


def sources(files: dict[str, str]) -> Iterator[Source]:
    return (Source.of(path, text.encode()) for path, text in files.items())


def common(*repositories: dict[str, str]) -> Common:
    return common_of(sources(files) for files in repositories)


def only(result: Origins) -> Origin:
    (origin,) = result.origins
    return origin


def test_siblings_are_distinctive_without_their_parent_and_strangers_with_it():
    sibling = {"ours.py": program(*OLD, *OURS)}
    assert only(compare_code(sources(sibling), sources(DESCENDANT))).is_distinctive
    result = compare_code(sources(sibling), sources(DESCENDANT), common(THIRD))
    assert (result.origins, result.programs, result.common_programs) == ((), 1, 0)


def test_a_true_copy_stays_distinctive_with_the_third_left_out():
    copy = {"ours.py": DESCENDANT["theirs.py"]}
    origin = only(compare_code(sources(copy), sources(DESCENDANT), common(THIRD)))
    assert (origin.origin, origin.containment, origin.reverse, origin.blind_containment) == ("theirs.py", "1", "1", "1")
    assert origin.is_distinctive
    assert 0.5 < float(origin.common) < 0.7


def test_part_of_what_is_left_is_measured_by_what_is_left():
    half = {"ours.py": program(*OLD, *THEIRS[:2], *OURS[:2])}
    origin = only(compare_code(sources(half), sources(DESCENDANT), common(THIRD)))
    assert 0.4 < float(origin.containment) < 0.6
    assert 0.6 < float(origin.reverse) < 0.75


def test_files_of_which_little_is_left_have_no_origin_and_are_none():
    files = {"old.py": THIRD["old.py"], "nearly.py": program(*OLD) + "\nx = 1\n"}
    result = compare_code(sources(files), sources(STRANGERS | files), common(THIRD))
    assert (result.origins, result.programs, result.common_programs) == ((), 0, 2)
    assert (result.reference_programs, result.common_reference_programs) == (25, 2)


def test_files_that_the_third_holds_make_no_null():
    """With their grams taken out they would be alike to nothing, and any likeness would be rare beside them."""
    family = {
        f"f{number}.py": program(*range(10 * number, 10 * number + 4), 500, 501, 502, 503) for number in range(25)
    }
    emptied = {f"g{number}.py": program(*range(1000 + number, 1004 + number)) for number in range(100)}
    copy = {"x.py": program(600, 601, 602, 603, 500, 501, 502, 503)}
    alone = only(compare_code(sources(copy), sources(family)))
    beside = only(compare_code(sources(copy), sources(family | emptied), common(emptied)))
    assert (beside.containment, beside.both_percentile) == (alone.containment, alone.both_percentile)
    assert not beside.is_distinctive


def test_two_hundred_tokens_must_be_alike_beside_what_is_common():
    little = DESCENDANT | {"theirs.py": program(*OLD, 800)}
    origin = only(compare_code(sources({"ours.py": program(*OLD, 800)}), sources(little), common(THIRD)))
    assert origin.containment == "1"
    assert origin.is_short
    assert origin.reading == "too short to be distinctive"


def test_the_same_bytes_in_all_three_are_no_origin():
    logo = {"logo.json": "{}\n", "mine.json": "[1]\n", "empty.txt": ""}
    result = compare_code(sources(logo), sources(logo), common({"a.json": "{}\n", "b.txt": ""}))
    assert result.identical_files == (IdenticalFile(path="mine.json", origin="mine.json"),)
    assert result.common_files == (IdenticalFile(path="logo.json", origin="logo.json"),)
    assert "files with the same bytes as one of the other side, and as a common one: 1" in origin_text(result, None)


def test_several_thirds_hold_what_either_holds():
    both = common({"a.py": program(*OLD[:3])}, {"b.py": program(*OLD[3:])})
    assert compare_code(sources(THIRD), sources(STRANGERS | THIRD), both).common_programs == 1


def test_a_third_hides_what_winnowing_picks_elsewhere():
    """A winnowed gram depends on its neighbors, so the grams of the third are taken whole."""
    third = program(*OLD)
    winnowed, whole = fingerprint("a.py", third).named, all_grams("a.py", third)[0]
    taken = "\n".join(third.split("\n")[3:6])
    mixed = np.concatenate(
        [fingerprint("b.py", program(seed) + taken + "\n" + program(seed + 50)).named for seed in range(9)]
    )
    shared = mixed[np.isin(mixed, whole)]
    assert not np.isin(shared, winnowed).all()
    assert not np.isin(common({"a.py": third}).named, whole, invert=True).any()


def test_a_third_without_programs_changes_nothing():
    plain = compare_code(sources(THIRD), sources(DESCENDANT))
    assert compare_code(sources(THIRD), sources(DESCENDANT), common({"a.txt": "words\n"})) == plain
    assert only(plain).common == "0"


def test_releases_are_held_against_what_is_left():
    copy = program_of(Source.of("x.py", program(*OLD, *THEIRS).encode()))
    assert copy is not None
    rest = copy.without(common(THIRD))
    assert rest is not None
    (found,) = date_files([(rest, "m.py")], [sources({"m.py": text}) for text in (program(*OLD), program(*THEIRS))])
    assert float(found.containments[0]) < 0.1
    assert float(found.containments[1]) > 0.9


def test_a_corpus_counts_what_it_leaves_out():
    corpus = corpus_of(sources(DESCENDANT | THIRD), common(THIRD))
    assert (len(corpus.programs), corpus.common_programs) == (26, 1)
    assert all(one.path != "old.py" for one in corpus.programs)
