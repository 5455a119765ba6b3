"""Which locations are remote, and what is said where one cannot be read."""

import subprocess
import sys
from pathlib import Path

import pytest

from attest.checkpoint.source import SOURCES, is_remote, open_tree
from attest.errors import InputError


def test_paths_are_local_and_uris_are_not(tmp_path: Path):
    assert [is_remote(one) for one in ("hf://a/b", "x://", "a/b", "hf:/a", Path("hf://a/b"))] == [True] * 2 + [
        False
    ] * 3
    (tmp_path / "x").touch()
    assert open_tree(tmp_path).files == open_tree(str(tmp_path)).files


@pytest.mark.parametrize("uri", ["file:///etc/passwd", "ftp://a.example/x", "HFX://a/b", "://x", "gs://bucket/x"])
def test_other_schemes_are_refused(uri: str):
    with pytest.raises(InputError) as caught:
        open_tree(uri)
    assert caught.value.code == "unknown-scheme"


WITHOUT = """
import sys
for name in ("urllib3", "boto3"):
    sys.modules[name] = None
from attest.checkpoint.source import open_tree
from attest.errors import InputError
try:
    open_tree(sys.argv[1])
except InputError as error:
    print(error.code, error.fix)
"""


@pytest.mark.parametrize(("scheme", "extra"), [(scheme, extra) for scheme, (_, extra) in SOURCES.items()])
def test_a_missing_extra_is_named(scheme: str, extra: str):
    command = [sys.executable, "-c", WITHOUT, f"{scheme}://example/x"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"extra-missing pip install 'attest-checkpoints[{extra}]'\n"
