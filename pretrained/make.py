"""Put a finished run into `pretrained/flickr8k`: pack it, score it, write its card.

    python pretrained/make.py runs/best --data flickr8k --features features

Everything that the package (and the first lines of README) says of the model is replaced by this
run's own numbers. `--features`
saves time where the run's backbone is frozen; one that was tuned looks at the photos. Takes a few
minutes: 1,000 dev photos are captioned twice, and SPICE parses their references.
"""

import argparse
import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import card  # noqa: E402
import recipe  # noqa: E402
import scores  # noqa: E402

from miacap import captioning, runs, terminal  # noqa: E402
from miacap.data import FeatureStore, read  # noqa: E402
from miacap.errors import MiacapError, RunError  # noqa: E402
from miacap.files import atomic  # noqa: E402

PACKAGE = HERE / "flickr8k"
PHOTOS = HERE.parent / "examples" / "photos"
MOST = 40_000_000
"""Bytes of the packed run, at most."""


def make(options: argparse.Namespace) -> None:
    """Pack, score, write."""
    folder = options.package / "src" / "miacap_flickr8k" / "run"
    dataset = read(options.data)
    store = None if options.features is None else FeatureStore.open(options.features)
    run = runs.load(options.run)
    made = (
        recipe.commands(run)
        if options.commands is None
        else options.commands.read_text(encoding="utf-8").strip().splitlines()
    )
    packed = runs.pack(options.run, folder)
    if packed.bytes > MOST:
        raise RunError(
            f"{folder}: {packed.bytes / 1e6:.1f} MB; at most {MOST / 1e6:.0f} are meant."
        )
    terminal.tell(f"packed: {packed.bytes / 1e6:.1f} MB")
    before, rows = (
        captioning.captions_of(one, dataset, options.split, store, device="cpu")
        for one in (run, packed.run)
    )
    same = captioning.compare(before, rows)
    found = scores.found(packed.run, rows, dataset, options.split, PHOTOS)
    with atomic(options.package / "README.md", "w") as file:
        file.write(card.text(packed.run, packed.bytes, found, same, made))
    if options.package == PACKAGE:
        _write_example(HERE.parent / "README.md", found)
    if options.version is not None:
        _write_version(options.package / "pyproject.toml", options.version)
    terminal.result(f"{options.package / 'README.md'}: CIDEr-D {found.scores['CIDEr-D']:.4f}")
    terminal.result(f"{len(same.differing)} of {same.compared} captions differ by packing")


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
