"""The model card of `miacap-flickr8k`: README.md of the distribution, from a run's own numbers."""

import shlex
import textwrap
from collections.abc import Sequence
from pathlib import Path
from string import Template

from scores import METRICS, Found  # beside this file

from miacap.captioning import Comparison
from miacap.captioning.calibrating import bias
from miacap.errors import RunError
from miacap.files import read_json, read_json_lines
from miacap.runs import Run, SelfCritical
from miacap.runs.confidence import calibration_of
from miacap.runs.packing import PACKED
from miacap.visual import tuned
from miacap.wording import counted

TEMPLATE = Path(__file__).with_name("card.md")


def text(run: Run, bytes: int, found: Found, same: Comparison, made: Sequence[str]) -> str:
    """Give the card.

    Args:
        run: the packed run.
        bytes: its size.
        found: its captions and scores.
        same: its captions beside those of the run before it was packed.
        made: the commands that trained it.
    """
    texts = {row.caption for row in found.rows if row.error is None}
    filled = {
        "size": f"{bytes / 1e6:.0f} MB",
        "architecture": _architecture(run),
        "photos": f"{len(found.scores.ids):,}",
        "distinct": f"{len(texts):,}",
        "scores": _scores(found),
        "signature": found.scores.signature,
        "same": f"{same.compared - len(same.differing):,}",
        "compared": f"{same.compared:,}",
        "differing": f"{100 * same.share:.2f} % differ",
        "trust": _trust(run, found),
        "subjects": _subjects(found),
        "shown": _photos(found),
        "backbone": _backbone(run),
        "training": _training(run),
        "commands": _wrapped(made),
        "run": _last_folder(made) or f"runs/{read_json(run.folder / PACKED)['run']}",
    }
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(filled)


def _last_folder(made: Sequence[str]) -> str:
    """Give the folder that the last command fills: who follows the card has the run there."""
    words = shlex.split("\n".join(made).replace("\\\n", " "), comments=True)
    places = [index for index, word in enumerate(words[:-1]) if word in ("-o", "--output")]
    return words[places[-1] + 1] if places else ""


def _architecture(run: Run) -> str:
    settings = run.settings
    said = f"- captioner `{settings.captioner}`, source `{settings.source}`"
    sizes = ", ".join(f"{name} {value}" for name, value in settings.sizes.items())
    carried = (run.folder / tuned.WEIGHTS).is_file()
    whose = (
        "tuned along with a captioner, carried here"
        if carried
        else "as its package has it (`miacap[torch]` brings it)"
    )
    lines = [
        said + (f" ({sizes})" if sizes else ""),
        f"- vocabulary of {len(run.vocabulary.words):,} words, captions of at most "
        f"{settings.maximum_words} words, beam {settings.beam}",
        f"- features: {run.preprocessing.title}, {whose}",
    ]
    if run.concepts is not None:
        lines.append(f"- finds {len(run.concepts.words):,} concept words in a photo first")
    return "\n".join(lines)


def _scores(found: Found) -> str:
    names = [name for name in METRICS if name in found.ranges]
    ranges = [(name, found.ranges[name]) for name in names]
    return "\n".join(f"| {n} | {r.score:.4f} | {r.low:.4f} to {r.high:.4f} |" for n, r in ranges)


def _trust(run: Run, found: Found) -> str:
    known, why = calibration_of(run)
    if known is None:
        raise RunError(f"{run.folder}: has no confidence to tell of: {why}.")
    rows = [row for row in found.rows if row.error is None and row.confidence is not None]
    deep = sum(row.confidence.out_of_depth for row in rows if row.confidence)
    unsure = sum(row.confidence.unsure for row in rows if row.confidence)
    one, two, three, four = (f"{share:.0%}" for share in known.ratings)
    doubt = bias(run)
    more = "" if doubt is None else f"But {textwrap.fill(doubt, 100)}.\n"
    return (
        f"Of its {known.pictures:,} dev captions {known.wrong:.0%} are, by what they score, "
        f"such as people call wrong\n(ratings 1 to 4: {one}, {two}, {three}, {four}; the expected "
        f"calibration error of its shares is {known.calibration_error:.3f}).\n{more}It is unsure "
        f"of {unsure:,} of {len(rows):,} dev photos; {deep:,} of these count as out of its depth.\n"
        f"{_unlike(found)}"
    )


def _unlike(found: Found) -> str:
    flagged = [name for name, deep in found.unlike.items() if deep]
    rest = [name for name, deep in found.unlike.items() if not deep]
    said = f"Out of its depth are images of: {', '.join(flagged) or 'none that were tried'}."
    return said + (f" Not noticed: {', '.join(rest)}." if rest else "")


def _subjects(found: Found) -> str:
    lines = [f"| {name} | {n} | {mean:.3f} |" for name, (n, mean) in found.subjects.items()]
    return "\n".join(lines)


def _photos(found: Found) -> str:
    return "\n".join(f"| {name} | {ours} | {theirs} |" for name, ours, theirs in found.photos)


def _backbone(run: Run) -> str:
    tuning = tuned.Tuning.of(run.folder)
    if tuning is None:
        return ", which stayed as they are"
    return f" and was tuned on the same {tuning.pictures:,} training photos"


def _training(run: Run) -> str:
    settings = run.settings
    rows = _log(run)
    what = "self-critically" if isinstance(settings.objective, SelfCritical) else "on references"
    took = f" and took {float(rows[-1]['seconds']) / 3600:.1f} hours" if rows else ""
    threads = counted(settings.training.threads or 0, "thread")
    where = f" on {threads} of a shared machine" if settings.training.threads else ""
    return (
        f"Seed {settings.training.seed}; the last training, {what}, was evaluated "
        f"{counted(len(rows), 'time')}{took}{where}."
    )


def _log(run: Run) -> list[dict[str, float]]:
    file = run.folder / "metrics.jsonl"
    return read_json_lines(file) if file.is_file() else []


def _wrapped(made: Sequence[str]) -> str:
    """Break long commands before their options."""
    return "\n".join(line.replace(" --set ", " \\\n    --set ") for line in made)
