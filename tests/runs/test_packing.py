"""A packed run: half the size, whole, as any run, and nothing of the training or the machine."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from miacap import runs
from miacap.errors import RunError
from miacap.files import sha256
from miacap.runs import folder as module
from miacap.runs import packing
from miacap.runs.confidence import Calibration, calibration_of
from miacap.runs.packing import PACKED, SUMS
from miacap.weights import halved, write_weights

from .test_folder import WORDS, lay


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "best"
    laid = lay(folder)
    torch.manual_seed(0)
    write_weights(
        folder / "weights.safetensors", module.build(laid.settings, len(WORDS)).state_dict()
    )
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "step-1.safetensors").write_bytes(b"large")
    (folder / "README.md").write_text("a card")
    (folder / "metrics.jsonl").write_text("{}\n")
    return folder


def test_matrices_are_halved_and_what_half_precision_cannot_hold_stays() -> None:
    large = torch.tensor([[65_504.0, 1.0]])
    given = {
        "matrix": torch.tensor([[1.0, 1 / 3]]),
        "most": large,
        "beyond": large * 2,
        "infinite": torch.tensor([[-torch.inf, 1.0]]),  # a mask
        "vector": torch.tensor([1 / 3]),
        "numbers": torch.tensor([[7]]),
        "double": torch.tensor([[1 / 3]], dtype=torch.float64),
    }
    found = halved(given)
    kinds = {name: tensor.dtype for name, tensor in found.items()}
    half, single = torch.float16, torch.float32
    assert kinds == {
        "matrix": half, "most": half, "beyond": single, "infinite": half, "vector": single,
        "numbers": torch.int64, "double": half,
    }  # fmt: skip
    # 1/3 with eleven bits: 1365 / 4096.
    assert found["matrix"].tolist() == [[1.0, 1365 / 4096]]
    assert found["beyond"].tolist() == [[131_008.0, 2.0]]


def test_a_packed_run_is_a_run_with_weights_of_half_precision(run: Path, tmp_path: Path) -> None:
    packed = runs.pack(run, tmp_path / "small")
    before, after = runs.load(run), runs.load(tmp_path / "small")
    assert after.settings == before.settings and after.vocabulary == before.vocabulary
    assert after.preprocessing == before.preprocessing
    for name in ("preprocessing.json", "vocabulary.json"):
        assert (tmp_path / "small" / name).read_bytes() == (run / name).read_bytes()
    whole, small = (one.captioner("cpu").state_dict() for one in (before, after))
    for name, tensor in whole.items():
        expected = tensor.half().float() if tensor.ndim > 1 else tensor
        assert torch.equal(small[name], expected), name
        assert small[name].dtype == torch.float32
    stored = load_file(tmp_path / "small" / "weights.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {torch.float16, torch.float32}
    files = {path.name: path for path in (tmp_path / "small").iterdir()}
    assert set(files) == {
        ".miacap", "settings.json", "vocabulary.json", "preprocessing.json", "data.json",
        "environment.json", "weights.safetensors", "README.md", "metrics.jsonl", PACKED, SUMS,
    }  # fmt: skip
    counted = [path.stat().st_size for name, path in files.items() if name not in (".miacap", SUMS)]
    assert packed.bytes == sum(counted)
    assert packed.before == (run / "weights.safetensors").stat().st_size
    assert not any(str(tmp_path).encode() in path.read_bytes() for path in files.values())


def test_the_sums_are_those_of_the_files(run: Path, tmp_path: Path) -> None:
    target = tmp_path / "small"
    runs.pack(run, target)
    check = ["sha256sum", "--check", "--strict", SUMS]
    assert subprocess.run(check, cwd=target, capture_output=True, check=False).returncode == 0
    lines = (target / SUMS).read_text().splitlines()
    assert len(lines) == len(list(target.iterdir())) - 2  # the claim and the sums
    file = target / "vocabulary.json"
    file.write_text(file.read_text().replace("cat", "cut"))
    assert subprocess.run(check, cwd=target, capture_output=True, check=False).returncode == 1
    with pytest.raises(RunError, match=r"vocabulary\.json: damaged"):
        runs.load(target)


def test_damaged_weights_are_neither_packed_nor_loaded(run: Path, tmp_path: Path) -> None:
    runs.pack(run, tmp_path / "small")
    for folder in (tmp_path / "small", run):
        file = folder / "weights.safetensors"
        content = bytearray(file.read_bytes())
        content[-1] ^= 16
        file.write_bytes(bytes(content))
    with pytest.raises(RunError, match=r"small.weights\.safetensors: damaged"):
        runs.load(tmp_path / "small").captioner("cpu")
    with pytest.raises(RunError, match=r"best.weights\.safetensors: damaged"):
        runs.pack(run, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_folder_is_packed_anew_and_others_are_left_alone(run: Path, tmp_path: Path) -> None:
    target = tmp_path / "small"
    runs.pack(run, target)
    (target / "left-over.safetensors").write_bytes(b"of an earlier run")
    (run / "README.md").write_text("another card")
    runs.pack(run, target)
    assert (target / "README.md").read_text() == "another card"
    assert not (target / "left-over.safetensors").exists()
    assert json.loads((target / PACKED).read_text())["run"] == "best"
    with pytest.raises(RunError, match="is the run itself; pack it into another folder"):
        runs.pack(run, run)
    other = lay(tmp_path / "other")
    with pytest.raises(RunError, match="is no packed run of miacap; choose an empty or new"):
        runs.pack(run, other.folder)
    assert (other.folder / "settings.json").is_file()


def test_a_folder_that_is_being_packed_anew_is_no_run(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the first file that goes to the last that comes: killed in between, it is none."""
    target = tmp_path / "small"
    for step in ("strangers", "write_weights", "write_sums"):
        runs.pack(run, target)

        def killed(*_: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(packing, step, killed)
            with pytest.raises(KeyboardInterrupt):
                runs.pack(run, target)
        if step != "write_sums":
            assert not (target / "settings.json").exists(), step
    runs.pack(run, target)
    assert runs.load(target).captioner("cpu") is not None


def test_what_is_not_whole_is_not_packed(run: Path, tmp_path: Path) -> None:
    (run / "environment.json").unlink()
    with pytest.raises(RunError, match=r"environment\.json: absent; copy the run folder again"):
        runs.pack(run, tmp_path / "small")
    with pytest.raises(RunError, match="no run folder"):
        runs.load(tmp_path / "small")
    (run / "weights.safetensors").unlink()
    with pytest.raises(RunError, match="no weights yet"):
        runs.pack(run, tmp_path / "another")


def test_a_calibration_goes_along_and_holds_for_the_rounded_weights(
    run: Path, tmp_path: Path
) -> None:
    weights = run / "weights.safetensors"
    made = Calibration(
        -3.0, -4.0, (1.0,), 0.5, sha256(weights), "dev", 9, 0.5, (0.2, 0.3, 0.4, 0.1), 0.0, ()
    )
    made.save(run)
    packed = runs.pack(run, tmp_path / "small").run
    found, _ = calibration_of(packed)
    assert found is not None and found.weights_sha256 != made.weights_sha256
    assert replace(found, weights_sha256=made.weights_sha256) == made
    assert "confidence.json" in (tmp_path / "small" / SUMS).read_text()
    write_weights(weights, {})  # other weights: it says nothing of them any more
    assert calibration_of(runs.load(run))[0] is None
