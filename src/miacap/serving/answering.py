"""From a photo's bytes to what is answered, in the worker's thread."""

import base64
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from miacap import explain
from miacap.devices import Device
from miacap.explain import Look
from miacap.serving.answers import Alternative, Captioned, Found, Region, Said, Trust
from miacap.serving.limits import Limits
from miacap.serving.refusals import Refused
from miacap.serving.worker import Deadline
from miacap.visual import size_of

__all__ = ["Answering"]

Folders = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
_PHOTO = "the photo"
_DIGITS = 6


class Answering:
    """Answers about photos with one run, or with several as an ensemble.

    Args:
        run: as for `captioning.Pipeline`, and so are the options.
        limits: of a photo's pixels.

    Raises:
        RunError: a folder is no run, or cannot caption photos.
    """

    def __init__(
        self,
        run: Folders,
        limits: Limits,
        *,
        beam: int | None = None,
        length_penalty: float | None = None,
        device: Device = "auto",
        weights: Iterable[str | os.PathLike[str]] = (),
        allow_download: bool = False,
    ) -> None:
        self._limits = limits
        self._looker = explain.Looker(
            run, beam=beam, length_penalty=length_penalty, device=device, weights=weights,
            allow_download=allow_download,
        )  # fmt: skip
        members = self._looker.run.members
        self.runs = self._looker.names
        self.captioner = " + ".join(dict.fromkeys(m.settings.captioner for m in members))
        self.source = " + ".join(dict.fromkeys(m.settings.source for m in members))

    def caption(self, photo: bytes, best: int, deadline: Deadline) -> Captioned:
        """Caption a photo.

        Args:
            photo: bytes of an image file.
            best: captions, the best one among them.
            deadline: by when.

        Raises:
            PictureError: it cannot be read.
            Refused: too many pixels (413), too late (503), or nobody waits any more.
        """
        self._check(photo, deadline)
        look = self._looker.look(photo, _PHOTO, hide=False, best=best, check=deadline.step)
        deadline.check()
        return _captioned(look)

    def explain(self, photo: bytes, hide: bool, deadline: Deadline) -> dict[str, Any]:
        """Give all that can be seen of how a photo is captioned; arguments as for `caption`.

        Args:
            photo: bytes of an image file.
            hide: whether to find out what hiding each region does.
            deadline: by when.

        Returns:
            `Look.to_json`, and the photo as people see it as a data URL.
        """
        self._check(photo, deadline)
        look = self._looker.look(photo, _PHOTO, hide=hide, check=deadline.step)
        deadline.check()
        told = look.to_json(_DIGITS)
        jpeg = base64.b64encode(look.photo.jpeg).decode("ascii")
        told["photo"]["jpeg"] = f"data:image/jpeg;base64,{jpeg}"
        return told

    def _check(self, photo: bytes, deadline: Deadline) -> None:
        deadline.check()
        width, height = size_of(photo, _PHOTO)
        if width * height > self._limits.pixels:
            raise Refused(
                413,
                f"the photo: {width} x {height} pixels; at most {self._limits.pixels:,} are read "
                "here. Make it smaller.",
            )


def _captioned(look: Look) -> Captioned:
    sure = look.confidence
    return Captioned(
        caption=look.caption,
        log_probability=look.log_probability,
        confidence=None if sure is None else Trust(**asdict(sure), sentence=sure.sentence),
        words=[Said(word=w.text, log_probability=w.log_probability) for w in look.words],
        best=[
            Alternative(caption=c.caption, log_probability=c.log_probability)
            for c in look.candidates
        ],
        concepts=[Found(word=c.word, probability=c.probability) for c in look.concepts],
        regions=[
            Region(name=look.region_name(index), box=[float(side) for side in box])
            for index, box in enumerate(look.boxes)
        ],
        runs=list(look.runs),
        captioner=look.captioner,
        source=look.source,
        notes=list(look.notes),
    )
