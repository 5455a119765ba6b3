"""Licenses: what the files of a repository say about licenses, copyrights and where code comes from.

A scan finds and quotes, and identifies license texts word by word; it judges nothing and gives no legal advice. A
detector is one file here and one line in ``DETECTORS`` (``scan.py``); a kind of finding is one line in ``kind.py`` and
a section in ``docs/findings.md``.
"""
