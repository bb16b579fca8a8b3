"""The commands that made a run, from what its folder and those of earlier runs say."""

import json
import shlex
from typing import Any

from miacap import runs
from miacap.data.features import Detector, Preprocessing
from miacap.errors import RunError
from miacap.files import sha256
from miacap.runs import Run, RunSettings
from miacap.settings import to_json
from miacap.visual import tuned

_ELSEWHERE = (
    "captioner", "source", "start", "region_width", "word_vectors", "format", "training.seed",
    "training.device",
)  # fmt: skip
"""Settings with options of their own, that the features decide, or that change no number; the
number of threads is not among them, as sums differ with it."""


def commands(run: Run, data: str = "flickr8k") -> list[str]:
    """Give the commands that made a run, the first one first.

    Args:
        run: whose `settings.json` names the run that it began with; that lies beside it.
        data: what the dataset is called in the commands.

    Raises:
        RunError: an earlier run is not there, or is another one.
    """
    settings, folder = run.settings, f"runs/{run.folder.resolve().name}"
    earlier = _earlier(run)
    before = [] if earlier is None else commands(earlier, data)
    begins = [] if earlier is None else ["--from", f"runs/{earlier.folder.resolve().name}"]
    if settings.tuning is not None:
        usual = settings if earlier is None else runs.tuned(earlier, settings.objective.kind)
        made = ["miacap", "tune", data, *begins, "-o", folder]
        made += [*_seed(settings), *_sets(settings, usual)]
        return [*before, shlex.join(made)]
    features, filled = _features(run, earlier, data)
    if earlier is not None:
        usual = runs.continued(earlier, settings.objective.kind)  # type: ignore[arg-type]
    else:
        usual = RunSettings(settings.captioner, settings.source)
    made = ["miacap", "train", data, "--features", features, *begins]
    if earlier is None:
        made += ["--captioner", settings.captioner, "--source", settings.source]
    if run.concepts is not None:
        filled.append(f"miacap concepts train {data} --features {features} -o concepts")
        made += ["--concepts", "concepts"]
    made += ["-o", folder, *_seed(settings), *_sets(settings, usual)]
    return [*before, *(line for line in filled if line not in before), shlex.join(made)]


def _earlier(run: Run) -> Run | None:
    """Load the run that a training began with, from beside it."""
    start = run.settings.start
    if start is None:
        return None
    folder = run.folder.resolve().parent / start.run
    weights = folder / "weights.safetensors"
    if not weights.is_file() or sha256(weights) != start.weights_sha256:
        raise RunError(
            f"{folder}: the run that {run.folder} began with is not here, or was trained on since; "
            "put it there, or give --commands FILE."
        )
    return runs.load(folder)


def _features(run: Run, earlier: Run | None, data: str) -> tuple[str, list[str]]:
    """Name the folder of features, and give the command that filled it."""
    record = run.preprocessing
    seen = record.pooling if isinstance(record, Detector) else record
    assert isinstance(seen, Preprocessing)
    carries = (run.folder / tuned.WEIGHTS).is_file()
    name = "features" if not carries else "features-tuned"
    words = ["miacap", "features", data]
    if carries and earlier is not None:
        words += ["--backbone", f"tuned:runs/{earlier.folder.resolve().name}"]
    elif seen.backbone != "efficientnet-lite2":
        words += ["--backbone", seen.backbone]
    if isinstance(record, Detector):
        words += ["--regions", "detector:FILE.onnx"]
    own, usual = to_json(seen), to_json(Preprocessing(seen.backbone, seen.weights_sha256))
    for setting in (name for name in own if own[name] != usual[name]):
        words += ["--set", f"{setting}={_text(own[setting])}"]
    return name, [shlex.join([*words, "-o", name])]


def _sets(settings: RunSettings, usual: RunSettings) -> list[str]:
    """Give `--set` for each setting that is not the usual one."""
    words: list[str] = []
    own, other = to_json(settings), to_json(usual)
    if settings.objective.kind != RunSettings().objective.kind:
        words += ["--set", f"objective={settings.objective.kind}"]
    for name, value in _flat(own):
        elsewhere = name in _ELSEWHERE or name.split(".")[0] in _ELSEWHERE
        same = dict(_flat(other)).get(name, _ABSENT) == value
        if not (elsewhere or same or name.endswith(".kind")):
            words += ["--set", f"{name}={_text(value)}"]
    return words


def _seed(settings: RunSettings) -> list[str]:
    return ["--seed", str(settings.training.seed)]


_ABSENT = object()


def _flat(tree: Any, name: str = "") -> list[tuple[str, Any]]:
    if not isinstance(tree, dict):
        return [(name, tree)]
    inside = [_flat(below, f"{name}.{part}" if name else part) for part, below in tree.items()]
    return [leaf for leaves in inside for leaf in leaves]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
