"""What the endpoints answer: the same numbers as `miacap.explain.look`, whatever the form."""

import asyncio
import base64
import io
import json
import math
import tempfile
from typing import Any

import pytest
from PIL import Image

from miacap.runs import Confidence
from miacap.runs.confidence import Calibration
from miacap.serving import Answering

from .conftest import all_of, ask, photo, requested


def test_a_caption_has_its_words_concepts_and_regions(app: Any, answering: Answering) -> None:
    answer = ask(app, "POST", "/v1/caption", content=photo())
    assert answer.status_code == 200
    told = answer.json()
    look = answering._looker.look(photo(), hide=False, best=3)
    assert told["caption"] == look.caption
    assert [(w["word"], w["log_probability"]) for w in told["words"]] == [
        (w.text, w.log_probability) for w in look.words
    ]
    assert told["log_probability"] == pytest.approx(look.log_probability)
    assert [one["caption"] for one in told["best"]] == [one.caption for one in look.candidates]
    assert told["best"][0]["caption"] == look.caption and len(told["best"]) == 3
    assert told["best"][0]["log_probability"] == pytest.approx(look.log_probability, abs=1e-4)
    assert [c["word"] for c in told["concepts"]] == [c.word for c in look.concepts]
    assert told["concepts"][0]["probability"] == look.concepts[0].probability
    assert told["regions"][4]["name"] == "row 2, column 2"
    assert told["regions"][4]["box"] == pytest.approx([1 / 3, 1 / 2, 2 / 3, 1])
    assert (told["runs"], told["captioner"], told["source"]) == (
        ["run"], "spatial-attention", "combined",
    )  # fmt: skip


def test_all_forms_of_a_photo_get_the_same_answer(app: Any) -> None:
    def caption(**more: Any) -> Any:
        answer = ask(app, "POST", "/v1/caption", **more)
        assert answer.status_code == 200, answer.text
        return answer.json()

    first = caption(content=photo())
    for kind in ("image/jpeg", "IMAGE/JPEG", "image/x-anything", "application/octet-stream", ""):
        assert caption(content=photo(), headers={"content-type": kind}) == first
    assert caption(files={"photo": ("a.jpg", photo())}) == first
    assert caption(files={"else": ("a.bin", photo())}, data={"title": "x" * 5000}) == first
    assert caption(content=photo("PNG")) == first


def test_a_calibrated_run_says_how_far_to_trust_it(
    app: Any, answering: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ask(app, "POST", "/v1/caption", content=photo()).json()["confidence"] is None
    rows = answering._looker.inputs.regions.regions(["x"])[0][0]  # type: ignore[union-attr]
    typical = tuple((rows.mean(0) / rows.mean(0).norm()).tolist())
    for side, depth in ((1.0, False), (-1.0, True)):
        made = Calibration(
            -1.0, -2.0, tuple(side * value for value in typical), 0.5, "", "dev", 9, 0.4,
            (0.1, 0.3, 0.4, 0.2), 0.1, (),
        )  # fmt: skip
        monkeypatch.setattr(answering._looker, "calibration", made)
        told = ask(app, "POST", "/v1/caption", content=photo()).json()
        trust = told["confidence"]
        share = 1 / (1 + math.exp(1 + 2 * told["log_probability"] / len(told["words"])))
        assert trust["wrong"] == (None if depth else pytest.approx(share, abs=1e-5))
        assert trust["unsure"] == (depth or share >= 0.5) and trust["out_of_depth"] == depth
        assert trust["sentence"] == Confidence(trust["wrong"], trust["unsure"], depth).sentence


@pytest.mark.parametrize("best", [1, 5])
def test_as_many_captions_as_are_asked_for(app: Any, best: int) -> None:
    told = ask(app, "POST", f"/v1/caption?best={best}", content=photo()).json()
    assert len(told["best"]) == best
    several = [one["log_probability"] for one in told["best"][1:]]
    assert several == sorted(several, reverse=True)


def test_an_explanation_is_the_look_itself(app: Any, answering: Answering) -> None:
    answer = ask(app, "POST", "/v1/explain", content=photo())
    told, look = answer.json(), answering._looker.look(photo(), "the photo")
    jpeg = told["photo"].pop("jpeg")
    assert told == json.loads(json.dumps(look.to_json(6)))
    assert look.hidden is not None and len(told["hidden"]["changes"]) == 6
    head, _, data = jpeg.partition(",")
    assert head == "data:image/jpeg;base64"
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == (90, 60)


def test_hiding_is_left_out_where_it_is_not_wanted(app: Any) -> None:
    assert ask(app, "POST", "/v1/explain?hide=false", content=photo()).json()["hidden"] is None


def test_ten_at_once_get_ten_answers(app: Any) -> None:
    sizes = [(20 + 10 * n, 30) for n in range(10)]

    async def ten() -> list[Any]:
        return await all_of(
            *(
                lambda size=size: requested(
                    app, "POST", "/v1/explain?hide=false", content=photo("PNG", size)
                )
                for size in sizes
            )
        )

    told = [answer.json()["photo"] for answer in asyncio.run(ten())]
    assert [(one["width"], one["height"]) for one in told] == sizes


def test_nothing_is_written(app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a temporary file")

    for name in ("TemporaryFile", "NamedTemporaryFile", "mkstemp"):
        monkeypatch.setattr(tempfile, name, refuse)
    large = photo("BMP", (1200, 900))  # above what form parsers keep in memory by default
    assert len(large) > 3_000_000
    for more in ({"content": large}, {"files": {"photo": ("a.bmp", large)}}):
        assert ask(app, "POST", "/v1/caption", **more).status_code == 200


def test_it_says_that_it_is_there(app: Any) -> None:
    told = ask(app, "GET", "/health").json()
    assert told["status"] == "ok" and told["runs"] == ["run"]
