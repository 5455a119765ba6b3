"""A library: the fingerprints of many checkpoints in one folder, searched at once, and made into a reference panel.

Reading and writing needs the extra ``library`` (pyarrow).
"""

from attest.library.folder import Library, create_library, open_library
from attest.library.member import LibraryMember
from attest.library.pairs import make_panel
from attest.library.query import Answer, Candidate, query

__all__ = [
    "Answer",
    "Candidate",
    "Library",
    "LibraryMember",
    "create_library",
    "make_panel",
    "open_library",
    "query",
]
