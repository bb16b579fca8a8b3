"""Look at what a run does with a photo: caption it, then read the caption again with a trace.

words    = search(captioner, photo)
trace    = forward(photo, words, trace=True)      teacher forcing: what led to each word
changes  = forward(photo without a region, words) - forward(photo, words)
"""

import io
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from miacap import captioning
from miacap.captioning.candidates import Candidate, candidates_of
from miacap.captioning.inputs import Inputs
from miacap.concepts import Extractor, heat
from miacap.decoding import Hypothesis, search
from miacap.devices import Device, choose
from miacap.errors import PictureError
from miacap.explain.concepts import columns_of
from miacap.explain.following import followed, refinement
from miacap.explain.hiding import hidden, word_log_probabilities
from miacap.explain.looks import Look
from miacap.explain.record import Array, Concept, Hidden, Photograph, Word
from miacap.pictures import Pictures
from miacap.runs import Trained, names_of
from miacap.runs.confidence import Confidence, calibration_of, likeness
from miacap.text import Vocabulary, detokenize
from miacap.text.vocabulary import BOS, EOS, SPECIAL_NAMES
from miacap.visual import decode, prepared, regions_for, upright
from miacap.visual.reading import read_file
from miacap.wording import counted

__all__ = ["Looker", "look", "photograph"]

_SIDE = 640
_ALTERNATIVES = 5
_LISTED = 10
"""Concepts shown of a captioner that reads the scores of all of them."""

Folders = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
Photo = str | os.PathLike[str] | bytes | Image.Image
Check = Callable[[], None]


def _go_on() -> None:
    """Let every look go on to its end."""


class Looker:
    """Looks at photos with one run, or with several as an ensemble; loads once.

    Arguments and errors are those of `captioning.Pipeline`, and

    Args:
        names: of the runs, in their order, where looks of others stand beside (`runs.names_of` of
            all of them); None takes their own.
    """

    def __init__(
        self,
        run: Folders | None = None,
        *,
        beam: int | None = None,
        length_penalty: float | None = None,
        device: Device = "auto",
        weights: Iterable[str | os.PathLike[str]] = (),
        allow_download: bool = False,
        names: Sequence[str] | None = None,
    ) -> None:
        pipeline = captioning.load(
            run, beam=beam, length_penalty=length_penalty, device=device, weights=weights,
            allow_download=allow_download,
        )  # fmt: skip
        self.run: Trained = pipeline.run
        self.names = tuple(names or names_of([one.folder for one in self.run.members]))
        self.search = pipeline.search
        self.calibration, _ = calibration_of(self.run)
        self.device = choose(device)
        found = regions_for(self.run.preprocessing, self.device, self.run.folder, pipeline.places)
        # Probabilities are for whoever looks; the captioner reads what it always reads.
        reads = self.run.reads
        if reads & {"concepts", "scores"}:
            reads = reads | {"scores"}
        self.inputs = Inputs.of_photos(
            self.run, found, self.device, reads=reads, places=pipeline.places
        )
        self.captioner: Any = self.run.captioner(self.device).eval()

    def look(
        self,
        photo: Photo,
        name: str | None = None,
        *,
        hide: bool = True,
        best: int = 0,
        check: Check = _go_on,
    ) -> Look:
        """Caption a photo and give all that can be seen of how.

        Args:
            photo: a path, the bytes of an image file, or a Pillow image.
            name: of the photo; its path, or "photo".
            hide: whether to find out what hiding each region does (a pass for each).
            best: candidates, the caption among them (`captioning.Pipeline.captions`).
            check: called before each step of the networks, first when the photo has been decoded;
                what it raises ends the look.

        Raises:
            PictureError: the photo cannot be read.
        """
        path = os.fspath(photo) if isinstance(photo, str | os.PathLike) else None
        name = name or path or "photo"
        source: Any = photo if path is None else read_file(path)
        assert self.inputs.regions is not None
        ready = next(iter(prepared([(name, source)], self.inputs.regions, workers=1)))
        if ready.picture is None:
            raise PictureError(ready.reason)
        shown = photograph(source, name, self.run)
        check()
        pictures = self.inputs.live([name], [ready.picture]).to(self.device)
        with torch.inference_mode():
            return _measured(self, pictures, shown, hide, best, check)


def look(run: Folders | None, photo: Photo, *, hide: bool = True, **options: Any) -> Look:
    """Look at one photo with a run, with several as an ensemble, or (None) with the installed one.

    Options are those of `Looker`; for several photos make one.

    Raises:
        RunError: the run folder cannot be used.
        PictureError: the photo cannot be read.
    """
    return Looker(run, **options).look(photo, hide=hide)


def photograph(source: Any, name: str, run: Trained) -> Photograph:
    """Give the photo as people see it, the same side up as the network does."""
    record: Any = run.preprocessing
    read: Any = upright if isinstance(source, Image.Image) else decode
    whole: Image.Image = read(source, name, record.alpha, record.exif)
    size = whole.size
    small = whole.copy()
    small.thumbnail((_SIDE, _SIDE))
    file = io.BytesIO()
    small.save(file, "JPEG", quality=85)
    return Photograph(name, *size, file.getvalue())


def _measured(
    looker: Looker, pictures: Pictures, photo: Photograph, hide: bool, best: int, check: Check
) -> Look:
    run, captioner = looker.run, looker.captioner
    check()
    found = search(captioner, pictures, looker.search)
    check()
    words, ended = found[0].words, found[0].ended
    read = [BOS, *words][: None if ended else -1]
    targets = [*words, *([EOS] if ended else [])]
    inputs = torch.tensor([[read]], device=looker.device)
    logits, trace = captioner(pictures, inputs, trace=True)
    logs = word_log_probabilities(logits[:, 0], targets)[0]
    regions, concepts = pictures.regions.shape[1], pictures.concepts.shape[1]
    paired = run.rows == "match" and concepts == regions
    members = run.members
    source = members[0].settings.source if len(members) == 1 else "several"
    rolled = refinement(trace.refiner, regions, concepts)
    assert pictures.boxes is not None
    notes = []
    changes = None
    if hide:
        changes, note = _hidden(looker, pictures, read, targets, logs, paired, check)
        notes += [note] if note else []
    check()
    attended = followed(trace, source, rolled, regions, concepts, paired)
    return Look(
        photo=photo,
        runs=looker.names,
        captioner=" + ".join(dict.fromkeys(m.settings.captioner for m in members)),
        source=" + ".join(dict.fromkeys(m.settings.source for m in members)),
        caption=detokenize(run.vocabulary.decode(words)),
        words=_words(run.vocabulary, logits[0, 0], targets, logs),
        boxes=pictures.boxes[0].cpu().numpy(),
        columns=columns_of(pictures.boxes[0].cpu()),
        attended=attended,
        gates={name: gate[0, 0].float().cpu().numpy() for name, gate in trace.gates.items()},
        concepts=_concepts(looker, pictures),
        refinement=rolled,
        hidden=changes,
        notes=(*_missing(run, bool(attended), rolled is not None), *notes),
        candidates=_candidates(looker, pictures, found, best),
        confidence=_confidence(looker, pictures, found[0]),
    )


def _confidence(looker: Looker, pictures: Pictures, caption: Hypothesis) -> Confidence | None:
    calibration = looker.calibration
    if calibration is None:
        return None
    alike = float(likeness(pictures, calibration.typical)[0])
    return calibration.confidence(caption.score(1.0), alike)


def _candidates(
    looker: Looker, pictures: Pictures, found: Sequence[Hypothesis], best: int
) -> tuple[Candidate, ...]:
    if not best:
        return ()
    vocabulary = looker.run.vocabulary
    each = candidates_of(looker.captioner, pictures, found, best, vocabulary, looker.search)
    return next(each)


def _words(
    vocabulary: Vocabulary, logits: Tensor, targets: Sequence[int], logs: Tensor
) -> tuple[Word, ...]:
    believed = logits.float().log_softmax(-1).topk(min(_ALTERNATIVES, logits.shape[-1]))
    names = (*SPECIAL_NAMES, *vocabulary.words)
    return tuple(
        Word(
            names[target],
            float(logs[place]),
            tuple(
                (names[number], float(log))
                for number, log in zip(
                    believed.indices[place].tolist(), believed.values[place], strict=True
                )
            ),
        )
        for place, target in enumerate(targets)
    )


def _hidden(
    looker: Looker,
    pictures: Pictures,
    read: Sequence[int],
    targets: Sequence[int],
    logs: Tensor,
    paired: bool,
    check: Check,
) -> tuple[Hidden | None, str]:
    """Give what hiding regions does; or a sentence that says why nothing can be hidden."""
    if "regions" not in looker.run.reads:
        return None, ("This captioner reads concepts alone: no region is hidden, for none is read.")
    if pictures.regions.shape[1] == 1:
        return None, "There is one region alone: without it nothing would be left to see."
    without = hidden(looker.captioner, pictures, read, targets, paired, check)
    with_it = "the least probable concept" if paired else ""
    return Hidden((without - logs).float().cpu().numpy(), with_it), ""


def _concepts(looker: Looker, pictures: Pictures) -> tuple[Concept, ...]:
    found = looker.inputs.concepts
    if found is None or pictures.concept_scores is None:
        return ()
    scores = pictures.concept_scores[0].cpu()
    source = looker.run.concepts
    assert source is not None
    extractor: Extractor | None = getattr(found, "extractor", None)
    names = extractor.words if extractor is not None else source.words
    if "concepts" in looker.run.reads:
        index = {int(word): at for at, word in enumerate(found.words.tolist()) if word >= 0}
        order = [index[word] for word in pictures.concepts[0].tolist()]
    else:
        order = scores.sort(descending=True, stable=True).indices[:_LISTED].tolist()
    belief: Array | None = None
    if extractor is not None and extractor.kind == "multiple-instance":
        belief = heat(extractor, pictures.regions[0].cpu()).numpy()
    return tuple(
        Concept(names[at], float(scores[at]), None if belief is None else np.array(belief[:, at]))
        for at in order
    )


def _missing(run: Trained, attends: bool, refines: bool) -> list[str]:
    """Say in sentences what this run has nothing to show of."""
    said = []
    several = len(run.members) > 1
    if several:
        said.append(
            f"An ensemble of {counted(len(run.members), 'run')}: words are chosen by the mean of "
            "their probabilities. Each one's attention is shown by itself; what happened in "
            "their refiners is shown on a page of a single run."
        )
    if not attends:
        said.append(
            "This captioner has no attention at a word: it reads the photo once, as one vector. "
            "What hiding a region does is shown all the same."
        )
    if not refines and not several:
        said.append(
            f"Fed {run.members[0].settings.source!r}: no refiner, so that there are no iterations "
            "to follow."
        )
    if not run.reads & {"concepts", "scores"}:
        said.append("This run reads no concepts.")
    return said
