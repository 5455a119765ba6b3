r"""Regular expressions of quoted strings, for texts of any version of a language, also cut off or broken.

They take time and memory in proportion to the text, and say the same under every Python: before 3.11.5 a possessive group
that held a choice, or failed after its first character, could leave the place of the match wrong (CPython issue 106052).
So loops here are of single characters, or of ``\\.`` and what follows.
"""

__all__ = ["ONE_LINE", "TRIPLE"]

ONE_LINE = (
    r'"[^"\\\n]*+(?:\\.[^"\\\n]*+)*+(?:"|(?=\n)|\\?\Z)'
    r"|'[^'\\\n]*+(?:\\.[^'\\\n]*+)*+(?:'|(?=\n)|\\?\Z)"
)
"""A string up to its quotation mark, to the end of the line or of the text. Needs ``re.DOTALL``."""

TRIPLE = (
    r'"""(?:|.*?[^\\])(?:\\\\){0,1000}(?:"""|\\?\Z)'
    r"|'''(?:|.*?[^\\])(?:\\\\){0,1000}(?:'''|\\?\Z)"
)
"""A string between triple marks, or to the end of the text. Needs ``re.DOTALL``."""
