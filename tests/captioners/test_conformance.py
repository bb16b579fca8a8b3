"""The conformance suite over every registered captioner and source, with both kinds of rows."""

import pytest

from miacap import captioners
from miacap.captioners import conformance
from miacap.captioners.conformance import Check
from miacap.errors import SettingsError

SMALL = {"width": 8, "heads": 2, "inner": 12}
REFINED = ("regions", "concepts", "combined", "both", "concatenated")


def every(**sizes: object) -> list[Check]:
    return [
        check for name in captioners.names() for check in conformance.checks(name, **SMALL, **sizes)
    ]


@pytest.mark.parametrize("check", every(), ids=str)
def test_captioners_conform(check: Check) -> None:
    check()


def of_unequal_rows() -> list[Check]:
    """Checks with rows="aligned"; words of another width than rows wherever that is allowed."""
    tied = ("att-fcn", "concept-attention")  # e = d_h, always
    checks = every(rows="aligned", word_width=6, preset="released")
    checks = [check for check in checks if check.captioner not in tied]
    checks += [c for c in every(rows="aligned", preset="released") if c.captioner in tied]
    wanted = ("forward-is-steps", "alone", "padding", "reorder", "gradients", "reads")
    return [check for check in checks if check.source in REFINED and check.what in wanted]


@pytest.mark.parametrize("check", of_unequal_rows(), ids=str)
def test_unequal_rows_conform(check: Check) -> None:
    check()


@pytest.mark.parametrize(
    ("name", "source"),
    [
        (name, source)
        for name in captioners.names()
        for source in ("plain", "regions", "concepts", "combined", "both", "concatenated", "normed")
        if source not in captioners.sources(name)
    ],
)
def test_other_sources_are_refused(name: str, source: str) -> None:
    with pytest.raises(
        SettingsError, match=f"{name}' cannot be fed '{source}'.* It takes: plain, "
    ):
        captioners.build(name, source, words=9)
