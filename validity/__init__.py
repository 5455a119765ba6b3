"""The laboratory: trains families of small networks, launders them, and measures what every test says of them.

Nothing here is part of the installed package. ``python -m validity.run`` does everything; see ``docs/validity.md``.
"""
