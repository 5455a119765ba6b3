from importlib.metadata import version

import pytest

from attest.errors import InputError
from attest.licenses.scan import read_files
from attest.licenses.source import Source


def test_an_installed_package_is_read_by_the_paths_that_programs_import():
    files = {item.path: item for item in read_files(f"pkg:pypi/rfc8785@{version('rfc8785')}")}
    assert isinstance(files["rfc8785/__init__.py"], Source)
    assert any(path and path.endswith(".dist-info/METADATA") for path in files)
    assert files.keys() == {item.path for item in read_files("pkg:pypi/rfc8785")}


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("pkg:pypi/rfc8785@0.0.1", "no-package"),
        ("pkg:pypi/no-such-package", "no-package"),
        ("pkg:pypi/", "bad-package"),
        ("pkg:npm/left-pad@1", "bad-package"),
        ("pkg:pypi/../x", "bad-package"),
    ],
)
def test_what_is_not_installed_is_one_error(url: str, code: str):
    with pytest.raises(InputError) as caught:
        read_files(url)
    assert caught.value.code == code
