"""Put a finished run into `pretrained/flickr8k`: pack it, score it, write its card.

    python pretrained/make.py runs/best --data flickr8k --features features

Everything that the package (and the first lines of README) says of the model is replaced by this
run's own numbers, and its confidence is calibrated on its dev captions, as by `miacap evaluate RUN
DATA --calibrate`. `--features` saves time: the run's captions come from them, and where its
backbone is frozen so do those of the packed run; a tuned one, rounded by packing, looks at the
photos. Takes a few minutes: 1,000 dev photos are captioned twice, and SPICE parses their
references.
"""

import argparse
import re
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import card  # noqa: E402
import recipe  # noqa: E402
import scores  # noqa: E402

from miacap import captioning, runs, terminal, visual  # noqa: E402
from miacap.captioning import Row  # noqa: E402
from miacap.data import Dataset, FeatureStore, read  # noqa: E402
from miacap.errors import MiacapError, RunError  # noqa: E402
from miacap.files import atomic, sha256  # noqa: E402
from miacap.runs import Calibration, Run, confidence  # noqa: E402
from miacap.runs.packing import write_sums  # noqa: E402

PACKAGE = HERE / "flickr8k"
PHOTOS = HERE.parent / "examples" / "photos"
MOST = 40_000_000
"""Bytes of the packed run, at most."""


def make(options: argparse.Namespace) -> None:
    """Calibrate, pack, score, write."""
    folder = options.package / "src" / "miacap_flickr8k" / "run"
    dataset = read(options.data)
    run = runs.load(options.run)
    made = (
        recipe.commands(run)
        if options.commands is None
        else options.commands.read_text(encoding="utf-8").strip().splitlines()
    )
    with tempfile.TemporaryDirectory() as temporary:
        store = (
            _features(run, dataset, options.split, Path(temporary) / "features")
            if options.features is None
            else FeatureStore.open(options.features)
        )
        before, calibration = calibrated(run, dataset, options.split, store)
        packed = runs.pack(options.run, folder)
        size = packed.bytes + keep(calibration, folder)
        if size > MOST:
            raise RunError(f"{folder}: {size / 1e6:.1f} MB; at most {MOST / 1e6:.0f} are meant.")
        terminal.tell(f"packed: {size / 1e6:.1f} MB")
        rows = captioning.captions_of(packed.run, dataset, options.split, store, device="cpu")
    same = captioning.compare(before, rows)
    found = scores.found(packed.run, rows, dataset, options.split, PHOTOS)
    with atomic(options.package / "README.md", "w") as file:
        file.write(card.text(packed.run, size, found, same, made))
    if options.package == PACKAGE:
        _write_example(HERE.parent / "README.md", found)
    if options.version is not None:
        _write_version(options.package / "pyproject.toml", options.version)
    terminal.result(f"{options.package / 'README.md'}: CIDEr-D {found.scores['CIDEr-D']:.4f}")
    terminal.result(f"{len(same.differing)} of {same.compared} captions differ by packing")


def _features(run: Run, dataset: Dataset, split: str, folder: Path) -> FeatureStore:
    """Look at a split's photos with the run's own network."""
    regions = visual.regions_for(run.preprocessing, "cpu", run.folder)
    return visual.extract(dataset.split(split), folder, regions=regions)


def calibrated(
    run: Run, dataset: Dataset, split: str, store: FeatureStore
) -> tuple[tuple[Row, ...], Calibration]:
    """Caption a split, and learn of it how far the run may be trusted.

    Raises:
        RunError: features that are not the run's.
        DataError: captions of which nothing can be learned.
    """
    result = captioning.evaluate(
        run, dataset, split, store, metrics=("CIDEr-D",), controls=False, device="cpu"
    )
    return result.rows, captioning.calibrate(run, result, dataset, store, split)


def keep(calibration: Calibration, folder: Path) -> int:
    """Write a run's calibration beside its rounded weights; gives the file's bytes."""
    file = folder / confidence.FILE
    already = file.stat().st_size if file.is_file() else 0
    replace(calibration, weights_sha256=sha256(folder / "weights.safetensors")).save(folder)
    write_sums(folder)
    return file.stat().st_size - already


def _write_example(file: Path, found: scores.Found) -> None:
    """Say in README what the captioner says of the photo of its first lines."""
    said = {name: caption for name, caption, _ in found.photos}
    text, changed = re.subn(
        r"^(miacap caption examples/photos/(\S+)  # ).*$",
        lambda line: line[1] + said[line[2]],
        file.read_text(encoding="utf-8"),
        flags=re.M,
    )
    if not changed:
        raise RunError(f"{file}: has no line 'miacap caption examples/photos/NAME  # ...' to fill.")
    with atomic(file, "w") as out:
        out.write(text)


def _write_version(file: Path, version: str) -> None:
    text = re.sub(r'^version = ".*"$', f'version = "{version}"', file.read_text(), flags=re.M)
    with atomic(file, "w") as out:
        out.write(text)


def parsed(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", type=Path, help="a finished run folder")
    parser.add_argument("--data", type=Path, required=True, help="Flickr8k")
    parser.add_argument("--features", type=Path, help="features of its photos, to save time")
    parser.add_argument("--split", default="dev", help="which pictures are scored")
    parser.add_argument("--commands", type=Path, help="file with the commands that made the run")
    parser.add_argument("--version", help="new version of the package")
    parser.add_argument("--package", type=Path, default=PACKAGE, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    try:
        make(parsed())
    except MiacapError as error:
        sys.exit(f"make.py: {error}")
