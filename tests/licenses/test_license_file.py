import pytest

from attest.licenses.license_file import code_of_name, detect
from attest.licenses.source import Source

LICENSES = [
    "LICENSE",
    "license.md",
    "LICENCE.txt",
    "LICENSE-MIT",
    "LICENSE.APACHE",
    "LICENSE-MODEL",
    "MODEL_LICENSE.txt",
    "dragon4_LICENSE.txt",
    "COPYING",
    "COPYING.LESSER",
    "UNLICENSE",
    "OPENPANGU MODEL LICENSE AGREEMENT",
    "LICENSE.pdf",
    "LICENSES/Apache-2.0.txt",
    "package.dist-info/licenses/AUTHORS.md",
    "model_licenses/LLAMA",
    "legal/terms.txt",
    "TERMS_OF_USE.md",
    "LEGAL.md",
    "COPYRIGHT",
    "copyright.txt",
    "PATENTS",
    "llama.LICENSE",
    "apache-2.0.LICENSE",
    "\u6a21\u578b\u8bb8\u53ef\u534f\u8bae.txt",
]
NOTICES = [
    "NOTICE",
    "notice.txt",
    "Open Source Software Notice",
    "Third_Party_Open_Source_Software_Notice",
    "ThirdPartyNotices.txt",
    "LICENSES.third-party",
    "THIRD_PARTY_LICENSES.md",
    "\u5f00\u6e90\u8f6f\u4ef6\u58f0\u660e",
]
POLICIES = ["USE_POLICY.md", "Acceptable-Use-Policy.md", "prohibited_use.txt"]
OTHERS = ["license.py", "licenses/scan.py", "licenses.json", "relicensed.txt", "noticeable.md", "README.md", "copy.txt"]
OTHERS += ["LICENSE/weights.bin", "notice.js", "model.safetensors.license", "cat.png.license", ".gitignore.license"]
OTHERS += ["copyright_line.md", "legal_bert.txt", "\u901a\u4fe1\u534f\u8bae.md"]


@pytest.mark.parametrize(
    ("path", "code"),
    [(path, "license-file") for path in LICENSES]
    + [(path, "notice-file") for path in NOTICES]
    + [(path, "use-policy-file") for path in POLICIES]
    + [(path, None) for path in OTHERS],
)
def test_names(path: str, code: str | None):
    assert code_of_name(path) == code


def test_the_text_is_the_first_three_lines_with_words():
    data = b"\n=====\n  MIT License\n-----\n\nCopyright (c) 2024 A\nPermission is hereby granted\nmore"
    (finding,) = detect(Source.of("LICENSE", data))
    assert (finding.line, finding.text) == (3, "MIT License / Copyright (c) 2024 A / Permission is hereby granted")


@pytest.mark.parametrize("data", [b"", b" \n\n\t", b"\n" * 100_000])
def test_an_empty_license_file_is_found_with_an_empty_text(data: bytes):
    (finding,) = detect(Source.of("LICENSE", data))
    assert (finding.code, finding.line, finding.text) == ("license-file", None, "")


def test_a_file_of_another_name_is_not_a_license_file_whatever_it_says():
    assert list(detect(Source.of("main.py", b"MIT License"))) == []
