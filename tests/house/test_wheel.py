"""The wheel, installed outside the checkout: scoring without torch, and the command line."""

import csv
import json
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

import miacap

ROOT = Path(__file__).resolve().parents[2]

_SCORE = """
import sys
from miacap.metrics import score
references = {"1": ["a dog runs on the grass", "the dog is running"], "2": ["two cats sleep"]}
found = score(references, {"1": "a dog runs on the grass", "2": "two cats sleep"})
print(found["BLEU-1"], found["ROUGE-L"], sorted(found.skipped), "torch" in sys.modules)
"""


def run(*command: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False
    )


def test_its_licences_are_those_of_all_that_it_carries() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    with (ROOT / "examples" / "photos" / "CREDITS.csv").open(encoding="utf-8", newline="") as file:
        of_photos = {row["licence"].replace(" ", "-") for row in csv.DictReader(file)}
    captions = "CC-BY-4.0"  # COCO's
    assert set(project["license"].split(" AND ")) == {"Apache-2.0", captions, *of_photos}
    assert project["license-files"] == ["LICENSE", "examples/photos/README.md"]
    assert all((ROOT / name).is_file() for name in project["license-files"])
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "captions of COCO (CC BY 4.0)" in readme.partition("## Licence")[2]


@pytest.mark.slow
def test_the_wheel_scores_in_an_environment_without_torch(tmp_path: Path) -> None:
    built = run(
        sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path, ROOT,
        cwd=tmp_path,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        names = file.namelist()
    assert "miacap/experiments/photos/CREDITS.csv" in names
    assert any(name.endswith(".dist-info/licenses/examples/photos/README.md") for name in names)
    assert sum(name.startswith("miacap/experiments/photos/") for name in names) == 10
    assert not [name for name in names if "flickr8k" in name or name.endswith(".safetensors")]
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env" / "bin" / "python"
    installed = run(python, "-m", "pip", "install", "--quiet", wheel, cwd=tmp_path)
    assert installed.returncode == 0, installed.stderr
    listed = run(python, "-m", "pip", "list", "--format", "json", cwd=tmp_path)
    names = {row["name"].lower() for row in json.loads(listed.stdout)}
    assert "torch" not in names and {"numpy", "safetensors", "rich", "typer"} <= names

    scored = run(python, "-c", _SCORE, cwd=tmp_path)
    assert scored.returncode == 0, scored.stderr
    bleu, rouge, *rest = scored.stdout.split(" ", 2)
    assert float(bleu) == pytest.approx(1, abs=1e-6) and float(rouge) == pytest.approx(1)
    assert rest == ["['METEOR', 'SPICE'] False\n"]

    command = tmp_path / "env" / "bin" / "miacap"
    assert run(command, "--version", cwd=tmp_path).stdout == f"miacap {miacap.__version__}\n"
    assert run(command, "--help", cwd=tmp_path).returncode == 0
    (tmp_path / "r.json").write_text('{"1": ["a dog runs"], "2": ["two cats sleep"]}')
    (tmp_path / "c.json").write_text('{"1": "a dog runs", "2": "two cats"}')
    done = run(command, "score", "r.json", "c.json", "--json", "s.json", cwd=tmp_path)
    assert done.returncode == 0 and "METEOR needs the extra [meteor]" in done.stdout + done.stderr
    assert 0 < json.loads((tmp_path / "s.json").read_text())["BLEU-1"] <= 1
    missing = run(command, "demo", cwd=tmp_path)
    assert missing.returncode == 1 and "pip install 'miacap[torch]'" in missing.stderr
