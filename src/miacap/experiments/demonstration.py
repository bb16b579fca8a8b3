"""The main job once, on drawn scenes: draw, see, find concepts, train twice, score, show.

It begins with photos that people took, captioned by what is installed (`real_photos.py`). Every
step leaves its result in the output folder and is not done again if it is there.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from miacap import captioning, concepts, runs, terminal, visual
from miacap.captioning import Evaluation
from miacap.concepts import ConceptFolder, ConceptSettings
from miacap.data import Dataset, read, scenes
from miacap.data.store import FeatureStore
from miacap.devices import choose
from miacap.errors import DataError, RunError
from miacap.experiments.page import write_page
from miacap.experiments.real_photos import Seen, look_at_photos, seen
from miacap.files import CLAIM, atomic, claim, is_claimed, strangers, subfolder
from miacap.metrics import Scores
from miacap.runs import Installed, RunSettings
from miacap.wording import counted

ARMS = ("plain", "combined")
"""The paper's Baseline and w/ MIA."""

PARTS = ("photos", "scenes", "features", "concepts", "runs")
"""Folders of the demo's steps."""

SHOWN = ("BLEU-1", "BLEU-4", "ROUGE-L", "CIDEr-D")


@dataclass(frozen=True)
class Demo:
    """How much the demo does. The defaults take a few minutes on two cores."""

    pictures: int = 1200
    epochs: int = 6
    width: int = 192
    seed: int = 0

    def __post_init__(self) -> None:
        if self.pictures < 20:
            raise ValueError(f"pictures is at least 20, not {self.pictures}.")


def demo(
    folder: str | os.PathLike[str],
    settings: Demo | None = None,
    *,
    device: str = "auto",
    quiet: bool = False,
) -> str:
    """Walk the whole way on drawn scenes and leave table.md, index.html and two runs.

    Args:
        folder: where everything goes; what is already there is used again.
        settings: how much to do.
        device: where everything runs; "auto" takes a GPU where torch sees one.
        quiet: show no progress.

    Returns:
        The table, plain beside combined, as Markdown.

    Raises:
        RunError: the folder, or that of a step, holds something else; it is left as it was.
        SettingsError: a device that torch does not have.
    """
    settings = settings or Demo()
    path = Path(folder)
    choose(device)
    _take(path)
    dataset = _scenes(path / "scenes", settings)
    regions = visual.extract(dataset, path / "features", device=device, quiet=quiet)
    _concepts(path, regions, dataset, settings, device, quiet)
    trained = ConceptFolder.open(path / "concepts")
    results: dict[str, Evaluation] = {}
    for arm in ARMS:
        run = path / "runs" / arm
        if not quiet:
            terminal.tell(f"training {arm}")
        wanted = _run_settings(arm, settings, device)
        used = None if arm == "plain" else trained  # plain looks at regions alone
        captioning.train(dataset, regions, run, wanted, concepts=used, quiet=quiet)
        results[arm] = captioning.evaluate(
            runs.load(run), dataset, "test", regions, metrics=SHOWN, device=device, quiet=quiet
        )
    text = table(results, dataset)
    with atomic(path / "table.md", "w") as file:
        file.write(text)
    write_page(path / "index.html", dataset, results, text, seen(path), path / "photos")
    return text


def first_look(
    folder: str | os.PathLike[str], captioner: Installed, *, device: str = "auto"
) -> Iterator[Seen]:
    """Begin the demo: caption photos with what is installed, one after another.

    Args:
        folder: of the demo; its folder `photos` gets a picture for each photo.
        captioner: that is installed (`runs.installed`).
        device: where the networks run; "auto" takes a GPU where torch sees one.

    Raises:
        RunError: the folder holds something else, or the captioner is not whole.
        SettingsError: a device that torch does not have.
    """
    choose(device)
    _take(Path(folder))
    yield from look_at_photos(captioner, folder, device)


def _take(path: Path) -> None:
    """Take the folder and those of the steps. Raises RunError where they hold something else."""
    _require_ours(path)
    claim(path, "demo", PARTS)
    for part in PARTS:
        subfolder(path, part)


def _require_ours(folder: Path) -> None:
    """Refuse folders of steps that hold something else, before anything is written."""
    marks = {
        "photos": "captions.json", "scenes": "scenes.json", "features": "manifest.json",
        "concepts": "settings.json",
    }  # fmt: skip
    for part in PARTS:
        inside = folder / part
        if inside.is_symlink():
            raise RunError(f"{inside}: a link, and nothing is written through one.")
        if inside.exists() and not inside.is_dir():
            raise RunError(f"{inside}: is no folder of a demo; choose another --output.")
        others = strangers(inside, (".lock", CLAIM, *ARMS) if part == "runs" else (".lock", CLAIM))
        if others and (part == "runs" or not (inside / marks[part]).is_file()):
            raise RunError(
                f"{inside}: holds {others[0]!r}, which is of no demo; choose another --output."
            )
    for arm in ARMS:
        run = folder / "runs" / arm
        if run.is_symlink() or (strangers(run) and not is_claimed(run, "run")):
            raise RunError(f"{run}: is no run of a demo; choose another --output.")


def _scenes(folder: Path, settings: Demo) -> Dataset:
    if (folder / "metadata.jsonl").exists():
        dataset = read(folder)
        if len(dataset) != settings.pictures:
            raise DataError(
                f"{folder}: holds {counted(len(dataset), 'scene')}, not {settings.pictures}; "
                "choose another --output, or the same number."
            )
    return scenes.draw(folder, settings.pictures, seed=settings.seed)  # or see that it is the same


def _concepts(
    folder: Path,
    regions: FeatureStore,
    dataset: Dataset,
    settings: Demo,
    device: str,
    quiet: bool,
) -> None:
    default = ConceptSettings(seed=settings.seed, batch_size=32)
    # Few pictures: more epochs than Flickr8k needs, each a matter of seconds.
    training = replace(default.training, epochs=12, warmup_steps=20, device=device)
    wanted = replace(default, training=training)
    concepts.train(regions, dataset, folder / "concepts", wanted, quiet=quiet)


def _run_settings(arm: str, settings: Demo, device: str) -> RunSettings:
    run = RunSettings(
        captioner="spatial-attention",
        source=arm,
        sizes={"width": settings.width, "dropout": 0.3},
        minimum_count=2,
    )
    training = replace(
        run.training, epochs=settings.epochs, seed=settings.seed, warmup_steps=50, device=device
    )
    return replace(run, training=training)


def table(results: Mapping[str, Evaluation], dataset: Dataset) -> str:
    """Set the arms side by side as a Markdown table, with what made the numbers."""
    scores: dict[str, Scores] = {}
    for arm, result in results.items():
        if result.scores is None:
            raise DataError(f"{dataset.name}: the test split has no captions to score with.")
        scores[arm] = result.scores
    lines = ["| metric | " + " | ".join(results) + " |", "|---|" + "---:|" * len(results)]
    for name in SHOWN:
        lines.append(f"| {name} | " + " | ".join(f"{s[name]:.3f}" for s in scores.values()) + " |")
    counts = " | ".join(str(result.distinct) for result in results.values())
    lines.append(f"| distinct captions | {counts} |")
    first = next(iter(scores.values()))
    pictures = len(next(iter(results.values())).rows)
    note = (
        "\nScores lie between 0 and 1, CIDEr-D between 0 and 10; higher is better.\n"
        f"\n{counted(pictures, 'drawn test scene')}, one short training an arm: an example of "
        "the way, "
        f"no evidence for either arm.\n\nSignature: `{first.signature}`\n"
    )
    return "\n".join(lines) + "\n" + note
