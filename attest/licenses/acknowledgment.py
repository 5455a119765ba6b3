"""Lines by which model licenses ask to be acknowledged: "Built with Llama", "Powered by openPangu"."""

from __future__ import annotations

import re
from collections.abc import Iterator

from attest.finding import Finding
from attest.licenses.source import Source

__all__ = ["detect"]

_WORDS = (b"built with", b"improved using", b"powered by", b"is a trademark of", b"built using")
_LINE = re.compile(
    r"(?:built with|improved using|powered by)\W{1,4}(?:meta |deepseek |tencent )?"
    r"(?:llama|qwen|openpangu|gemma|deepseek|hunyuan|stability|falcon|glm-4|xai\b)"
    r"|openpangu is a trademark of huawei"
    r"|built using artificial intelligence technology from the technology innovation institute",
    re.IGNORECASE,
)


def detect(source: Source) -> Iterator[Finding]:
    """Each such line, verbatim; license texts, which quote the words, are left to who reads the path."""
    for excerpt in source.excerpts(*_WORDS):
        if _LINE.search(excerpt.text):
            yield source.finding("acknowledgment", excerpt.line, excerpt.text)
