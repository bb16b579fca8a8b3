"""What to tell somebody who has photos and no trained run: which runs lie near, and what else."""

from pathlib import Path

_PLACES = (".", "runs", "demo/runs")
_MOST = 5
TUTORIAL = "docs/tutorial.md (or `miacap demo`) makes one"


def runs_near() -> str:
    """Name the run folders that lie where runs usually lie, a few at most."""
    from miacap.runs.overview import is_run
    from miacap.wording import first_names

    folders = []
    for parent in map(Path, _PLACES):
        names = sorted(parent.iterdir()) if parent.is_dir() else []
        folders += [str(folder) for folder in names if is_run(folder)]
    if not folders:
        return f"none was found here; {TUTORIAL}"
    return f"add --run {first_names(folders, _MOST)}"


def photos_alone(data: Path) -> str:
    """Say how photos without captions are captioned, where a folder holds some; else nothing."""
    from miacap.tables.names import PHOTO_SUFFIXES

    if not data.is_dir() or not any(p.suffix.lower() in PHOTO_SUFFIXES for p in data.iterdir()):
        return ""
    return (
        " Photos without captions can be captioned, not learned from: "
        f"miacap caption {data} --run RUN, with a trained run ({runs_near()}); "
        "or learn from a public set: docs/data.md, Captions to learn from."
    )
