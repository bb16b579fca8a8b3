"""A run's README.md: a person's card, with the front matter that model hubs read."""

from collections.abc import Mapping
from pathlib import Path

from miacap.files import atomic, read_json
from miacap.version import __version__


def write_card(folder: Path, scores: Mapping[str, float]) -> None:
    """Write ``README.md`` of a run folder: what it is, its scores, how to use it.

    Args:
        folder: a run folder that holds settings.json, preprocessing.json and data.json.
        scores: dev scores by metric name, on their own scale.
    """
    settings = read_json(folder / "settings.json")
    preprocessing = read_json(folder / "preprocessing.json")
    sources = read_json(folder / "data.json")["sources"]
    rows = "\n".join(f"| {name} | {value:.4f} |" for name, value in scores.items())
    data = "\n".join(f"- `{s['name']}` ({s['terms'] or 'terms not stated'})" for s in sources)
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

A captioner trained with miacap {__version__} on features of `{preprocessing["backbone"]}`.

## Caption a photo

```python
import miacap

print(miacap.load("{folder.name}").caption("photo.jpg"))
```

or `miacap caption photo.jpg --run {folder.name}`.

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
