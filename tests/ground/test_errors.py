import re

import miacap
from miacap.errors import MiacapError, MissingExtra, UnknownName


def test_an_unknown_name_offers_the_nearest() -> None:
    error = UnknownName("captioner", "up-dwon", ["nic", "up-down"])
    assert str(error) == (
        "No captioner named 'up-dwon'. Did you mean 'up-down'? Known: nic, up-down."
    )


def test_a_missing_extra_is_one_line_to_paste() -> None:
    error = MissingExtra("meteor", "METEOR")
    assert isinstance(error, MiacapError) and isinstance(error, ImportError)
    assert str(error) == "METEOR needs the extra [meteor]: pip install 'miacap[meteor]'"


def test_the_version_is_a_version() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+)?", miacap.__version__)


def test_the_nearest_may_be_sought_among_more_than_is_listed() -> None:
    error = UnknownName("recipe", "nicplain", ["nic", "up-down"], near=["nic-plain", "nic"])
    assert str(error) == (
        "No recipe named 'nicplain'. Did you mean 'nic-plain'? Known: nic, up-down."
    )
