import numpy as np

from attest.licenses.detect import index
from attest.licenses.detect.index import KINDS, TEXT_BITS, powers, prefix_digests
from attest.resource import resource


def test_the_digests_in_the_file_are_those_of_the_words_beside_them():
    known = index()
    for entry in range(0, len(known.kinds), 97):
        words = known.words(entry)
        assert prefix_digests(words, powers(len(words)))[-1] == known.digests[entry]


def test_the_words_of_the_entries_are_all_that_the_file_holds():
    known = index()
    assert int(known.lengths.sum()) == len(known.stream)
    assert int(known.stream.max()) < len(known.vocabulary)
    assert set(np.unique(known.kinds)) == set(range(len(KINDS)))


def test_each_sampled_gram_names_a_text():
    known = index()
    texts = int(np.count_nonzero(known.kinds == KINDS.index("text")))
    assert int((known.sampled & TEXT_BITS).max()) < texts <= int(TEXT_BITS)
    assert np.array_equal(np.sort(known.sampled), known.sampled)


def test_the_index_is_light():
    assert resource("licenses/detect/index.z").stat().st_size < 2 * 1024 * 1024
