"""The tree of the loopback logs, recomputed from its proofs."""

from __future__ import annotations

import pytest
from sigstore_loopback.merkle import MerkleTree, climb


def test_the_tree_of_known_leaves():
    """Roots of RFC 6962's reference tests, as certificate-transparency's merkletree/merkle_tree_test.cc has them."""
    tree = MerkleTree()
    tree.append(b"")
    assert tree.root().hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    tree.append(b"\x00")
    assert tree.root().hex() == "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"
    tree.append(b"\x10")
    assert tree.root().hex() == "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"


@pytest.mark.parametrize("count", range(1, 18))
def test_every_leaf_has_a_path_to_the_root_and_to_no_other(count: int):
    tree = MerkleTree()
    for number in range(count):
        tree.append(b"%d" % number)
    for index in range(count):
        path = tree.path(index)
        assert climb(b"%d" % index, index, count, path) == tree.root()
        assert climb(b"another", index, count, path) != tree.root()
