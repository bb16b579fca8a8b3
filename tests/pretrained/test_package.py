"""The captioner in the box: whole, small, of nobody's machine, and its card tells the truth."""

import hashlib
import json
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from scores import NO_PHOTOS  # pretrained/scores.py; conftest.py says where

import miacap
from miacap import runs
from miacap.runs import pretrained
from miacap.runs.confidence import calibration_of
from miacap.runs.packing import PACKED, SUMS

ROOT = Path(__file__).resolve().parents[2]
PHOTOS = ROOT / "examples" / "photos"


@pytest.fixture(scope="module")
def run(package: Path) -> Path:
    return package / "src" / "miacap_flickr8k" / "run"


def test_it_is_at_most_40_megabytes_and_every_sum_is_right(run: Path) -> None:
    listed = dict(reversed(line.split("  ")) for line in (run / SUMS).read_text().splitlines())
    files = {file.name for file in run.iterdir()} - {SUMS, ".miacap"}
    assert set(listed) == files and {PACKED, "weights.safetensors"} <= files
    assert sum((run / name).stat().st_size for name in files) <= 40_000_000
    for name, digest in listed.items():
        assert hashlib.sha256((run / name).read_bytes()).hexdigest() == digest, name


def test_nothing_of_a_machine_is_in_it(run: Path) -> None:
    for file in run.iterdir():
        if file.suffix in (".json", ".jsonl", ".md"):
            text = file.read_text(encoding="utf-8")
            assert not re.search(r"[\s\"'=`(]/(?:work|home|root|tmp|Users|mnt)/", text), file.name


def test_its_package_says_where_it_is(package: Path, run: Path, tmp_path: Path) -> None:
    told = tomllib.loads((package / "pyproject.toml").read_text())["project"]
    assert told["entry-points"][pretrained.GROUP] == {"miacap-flickr8k": "miacap_flickr8k"}
    assert run.parent.name == "miacap_flickr8k" and run.name == pretrained.FOLDER
    assert (package / told["license-files"][0]).is_file()
    assert "dependencies" not in told  # torch's build is its user's choice


def test_the_card_says_what_it_says(package: Path, run: Path) -> None:
    """The captions of the eight photos are those of the weights that are here."""
    card = (package / "README.md").read_text(encoding="utf-8")
    packed = re.search(r"^python pretrained/make\.py (runs/\S+) --data", card, re.M)
    assert packed is not None and f" -o {packed[1]} " in card  # the run that the lines before make
    rows = re.findall(r"^\| ([\w-]+\.jpg) \| (.+?) \| (.+?) \|$", card, re.M)
    assert {name for name, _, _ in rows} == {file.name for file in PHOTOS.glob("*.jpg")}
    pipeline = miacap.load(run, device="cpu")
    for name, said, _ in rows:
        assert pipeline.caption(PHOTOS / name) == said, name
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = re.search(r"^miacap caption examples/photos/(\S+)  # (.*)$", readme, re.M)
    assert shown is not None and (shown[1], shown[2]) in [(name, said) for name, said, _ in rows]


def test_the_card_has_terms_seed_scores_and_intervals(package: Path, run: Path) -> None:
    card = (package / "README.md").read_text(encoding="utf-8")
    assert "For research and education only" in card and "Mechanical Turk" in card
    assert f"Seed {runs.load(run).settings.training.seed};" in card
    for name in ("BLEU-4", "METEOR", "ROUGE-L", "CIDEr-D", "SPICE"):
        numbers = re.search(rf"^\| {name} \| ([\d.]+) \| ([\d.]+) to ([\d.]+) \|$", card, re.M)
        assert numbers is not None, name
        value, low, high = map(float, numbers.groups())
        assert 0 < low < value < high
    # What the run itself was chosen by, on the same photos, before it was packed.
    dev = json.loads((run / "dev.json").read_text())["scores"]["CIDEr-D"]
    value = re.search(r"^\| CIDEr-D \| ([\d.]+)", card, re.M)
    assert value is not None and abs(float(value[1]) - dev) < 0.01
    assert "$" not in re.sub(r"```.*?```", "", card, flags=re.S)  # a field that was not filled


@pytest.mark.slow
def test_its_wheel_is_found_where_it_is_installed(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path, package],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as file:
        file.extractall(site)
        names = file.namelist()
    assert any(name.endswith("licenses/LICENSE") for name in names)
    monkeypatch.setattr(sys, "path", [str(site), *sys.path])
    (found,) = (one for one in runs.installed() if one.name == "miacap-flickr8k")
    assert found.folder == site / "miacap_flickr8k" / "run"
    assert "miacap_flickr8k" not in sys.modules
    pipeline = miacap.load("miacap-flickr8k", device="cpu")
    assert pipeline.caption(PHOTOS / "skiers.jpg").endswith(".")


@pytest.mark.slow
def test_it_says_how_far_to_trust_it_and_that_noise_is_no_photo(package: Path, run: Path) -> None:
    known, why = calibration_of(runs.load(run))
    assert known is not None, why
    assert known.split == "dev" and known.pictures >= 900 and 0 < known.wrong < 1
    card = (package / "README.md").read_text(encoding="utf-8")
    assert f"dev captions {known.wrong:.0%} are" in card
    pipeline = miacap.load(run, device="cpu")
    assert pipeline.why_uncalibrated() is None
    trust = pipeline.row(NO_PHOTOS["pure noise"]).confidence
    assert trust is not None and trust.out_of_depth and trust.unsure
    trust = pipeline.row(PHOTOS / "skiers.jpg").confidence
    assert trust is not None
