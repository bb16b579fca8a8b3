"""A run's README.md: a person's card, with the front matter that model hubs read."""

from collections.abc import Mapping, Sequence

from miacap.data.features import Detector, Given, Preprocessing
from miacap.runs.folder import Run, read_sources
from miacap.runs.objectives import WATCHED, SelfCritical
from miacap.runs.settings import RunSettings
from miacap.training.state import watched
from miacap.version import __version__
from miacap.visual import tuned
from miacap.wording import counted

_COUNTS = ("distinct",)

CARD = "README.md"


def card_text(run: Run, scores: Mapping[str, float], epoch: int, notes: Sequence[str] = ()) -> str:
    """Give the `README.md` of a run folder: what it is, its scores, how to use it.

    Args:
        run: a run.
        scores: dev scores by metric name, on their own scale.
        epoch: after which the kept weights were reached.
        notes: sentences about scores and captions.
    """
    folder, settings = run.folder, run.settings
    chosen_by, _ = watched(settings.training.watch, WATCHED)
    more = "".join(f"\n{note}" for note in notes)
    rows = "\n".join(f"| {name} | {shown(name, value)} |" for name, value in scores.items())
    data = "\n".join(
        f"- `{s.get('name')}` ({s.get('terms') or 'terms not stated'})"
        for s in read_sources(folder)
    )
    return f"""---
library_name: miacap
pipeline_tag: image-to-text
tags:
- image-captioning
- {settings.captioner}
---
# {settings.captioner}, source {settings.source}

A captioner trained with miacap {__version__} on features of {_features(run)}.
{_objective(settings)}

{_use(folder.name, run)}

## Scores on the development split

| metric | value |
|---|---|
{rows}

Reached after epoch {epoch}, chosen by {chosen_by} on that split, so these numbers are
a little optimistic.{more}

## Trained on

{data}

Captions describe what such photos usually show; they can be wrong, and they repeat
the habits of the people who wrote the training captions.
"""


def _features(run: Run) -> str:
    """Say what made the features, and on what a backbone was tuned."""
    made, tuning = f"`{run.preprocessing.title}`", tuned.Tuning.of(run.folder)
    if tuning is None:
        return made
    return (
        f"{made},\ntuned on the captions of {counted(tuning.pictures, 'training photo')} of "
        f"`{tuning.data}` (weights `{tuning.preprocessing.weights_sha256[:12]}`, here in "
        f"`{tuned.WEIGHTS}`)"
    )


def shown(name: str, value: float) -> str:
    """Print a dev score: counts as whole numbers, all else with four places."""
    return f"{value:.0f}" if name in _COUNTS else f"{value:.4f}"


def _objective(settings: RunSettings) -> str:
    """Say what it was trained for, and what its training began with."""
    objective, start = settings.objective, settings.start
    said = "It learned with cross-entropy on the reference captions"
    if isinstance(objective, SelfCritical):
        rewards = ", ".join(f"{w:g} {name}" for name, w in objective.rewards.items() if w)
        said = f"It learned self-critically (reward: {rewards}; baseline: {objective.baseline})"
    if start is None:
        return f"{said}."
    return f"{said},\nbeginning with the run `{start.run}` (weights `{start.weights_sha256[:12]}`)."


def _use(name: str, run: Run) -> str:
    """Say how to caption with the run."""
    stored = ""
    if isinstance(run.preprocessing, Given):
        stored = f"""Its features were given ({run.preprocessing.title}), so it cannot see photos,
and captions those alone whose features are stored:"""
    elif run.concepts is not None and run.concepts.is_lists:
        stored = f"""Its concepts were read from a file (`{run.concepts.file}`), so the run holds no
extractor, and captions those photos alone that have lists, in a folder that
`miacap concepts read` filled:"""
    elif run.concepts is not None and run.concepts.never_found:
        stored = """Its concepts were joined with those of a file, so that nothing finds them in a
new photo; it captions those alone that have them stored, in a folder that
`miacap concepts join` filled:"""
    if stored:
        concepts = "" if run.concepts is None else " --concepts CONCEPTS"
        return f"""## Caption photos

{stored}

```
miacap evaluate {name} DATA --features FEATURES{concepts} -o captions.jsonl
```"""
    return f"""## Caption a photo

```python
import miacap

print(miacap.load("{name}").caption("photo.jpg"))
```

or `miacap caption photo.jpg --run {name}`.{_models(run)}"""


def _models(run: Run) -> str:
    """Name the models of transformers that have to lie on the machine, with their checksums."""
    named = {}
    record = run.preprocessing
    own = record.pooling if isinstance(record, Detector) else record
    if isinstance(own, Preprocessing) and own.backbone.startswith("hf:"):
        named[own.backbone] = own.weights_sha256
    if run.concepts is not None and run.concepts.model is not None:
        model = run.concepts.model
        named[model.backbone.removeprefix("embedding of ")] = model.weights_sha256
    if not named:
        return ""
    told = " and ".join(f"`{name}` (`{sum[:12]}`)" for name, sum in named.items())
    return f"""

It needs {told}, which it does not carry: with `--weights FOLDER`
(or the variable `MIACAP_WEIGHTS`) say where that model lies."""
