"""A run's README.md: a person's card, with the front matter that model hubs read."""

import os
from collections.abc import Mapping
from pathlib import Path

from miacap.concepts import ConceptSource
from miacap.data import features
from miacap.files import atomic, read_json
from miacap.runs.folder import read_sources
from miacap.version import __version__

_COUNTS = ("distinct",)


def write_card(folder: str | os.PathLike[str], scores: Mapping[str, float]) -> None:
    """Write ``README.md`` of a run folder: what it is, its scores, how to use it.

    Args:
        folder: a run folder that holds settings.json, preprocessing.json and data.json.
        scores: dev scores by metric name, on their own scale.
    """
    folder = Path(folder)
    settings = read_json(folder / "settings.json")
    made = features.parse(read_json(folder / "preprocessing.json"), str(folder))
    rows = "\n".join(f"| {name} | {shown(name, value)} |" for name, value in scores.items())
    data = "\n".join(
        f"- `{s.get('name')}` ({s.get('terms') or 'terms not stated'})"
        for s in read_sources(folder)
    )
    source = ConceptSource.of(folder)
    with atomic(folder / "README.md", "w") as file:
        file.write(
            f"""---
library_name: miacap
pipeline_tag: image-to-text
tags:
- image-captioning
- {settings["captioner"]}
---
# {settings["captioner"]}, source {settings["source"]}

A captioner trained with miacap {__version__} on features of `{made.title}`.

{_use(folder.name, source)}

## Scores on the development split

| metric | value |
|---|---|
{rows}

Chosen by CIDEr-D on that split, so these numbers are a little optimistic.

## Trained on

{data}

Captions describe what such photos usually show; they can be wrong, and they repeat
the habits of the people who wrote the training captions.
"""
        )


def shown(name: str, value: float) -> str:
    """Print a dev score: counts as whole numbers, all else with four places."""
    return f"{value:.0f}" if name in _COUNTS else f"{value:.4f}"


def _use(name: str, source: ConceptSource | None) -> str:
    """Say how captions come of the run."""
    if source is not None and source.is_lists:
        return f"""## Caption photos

Its concepts were read from a file (`{source.file}`), so the run holds no extractor, and
captions those photos alone that have lists, in a folder that `miacap concepts read` filled:

```
miacap evaluate {name} DATA --features FEATURES --concepts CONCEPTS -o captions.jsonl
```"""
    return f"""## Caption a photo

```python
import miacap

print(miacap.load("{name}").caption("photo.jpg"))
```

or `miacap caption photo.jpg --run {name}`."""
