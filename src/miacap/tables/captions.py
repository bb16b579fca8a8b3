"""What the place for captions holds: one, several, a list written as text, or nothing.

"A dog runs."                            one caption
["A dog runs.", "A brown dog."]          several
'["A dog runs.", "A brown dog."]'        a list inside a cell, as JSON
"['A dog runs.' 'A brown dog.']"         the same as Python or numpy print it
{"raw": "A dog runs."}                   as COCO and Karpathy keep one
["a", "dog"]                             a caption cut into words: refused
nan                                      an empty cell that pandas wrote out: empty
"""

import ast
import contextlib
import json
import math
import re
import string
from collections.abc import Iterable, Sequence
from typing import Any

from miacap.wording import part

_STRING = r"""(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
_LIST = re.compile(rf"\[\s*{_STRING}(?:(?:\s*,\s*|\s+){_STRING})*\s*,?\s*\]", re.DOTALL)
_ITEM = re.compile(_STRING, re.DOTALL)
_SENTENCE = re.compile(r"\s*[^\W\d_]{2,}[.!?]\s*")
# Scripts that leave no blanks between words: Chinese, Japanese, Thai, Lao, Khmer, Burmese.
_SCRIPTS = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\U00020000-\U0002fa1f"
)
_UNBROKEN = re.compile(f"[{_SCRIPTS}]")
# Longer than a word: captions that were cut into words have shorter runs.
_RUN = re.compile(f"[{_SCRIPTS}]{{6,}}")
_SPECIAL = re.compile(
    r"</?(?:s|unk|eos|bos|sos|pad|start|end)>|\[(?:CLS|SEP|PAD|UNK|EOS|BOS)\]"
    r"|(?:^|\s)(?:startseq|endseq)(?=\s|$)",
    re.IGNORECASE,
)


# How a text may begin that holds a list, or says "nan"; most captions are told by this alone.
CLOSER_LOOK = frozenset(("", "[", "n", "N", *string.whitespace))
VIZWIZ = frozenset(("is_rejected", "is_precanned"))
"""Keys of VizWiz' annotations that `left_out_by_vizwiz` looks at."""
CUT = 'a caption cut into words; join them with blanks ("a dog runs")'
"""Why a list of words is refused."""


def items(value: Any, names: Sequence[str]) -> list[Any]:
    """Give the captions that a value holds, in order.

    Lists inside texts are opened, objects give their text, "nan" becomes "". What is no caption
    stays as it is, for the caller to refuse or to set aside.

    Args:
        value: of a cell or of a JSON member.
        names: what a caption may be called inside an object, the likeliest first.
    """
    if isinstance(value, str):
        if value[:1] not in CLOSER_LOOK:
            return [value]
        value = list_in_text(value)
    result = []
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, dict):
            item = next((item[name] for name in ("raw", *names) if name in item), item)
        result.append("" if is_nan(item) else item)
    return result


def is_nan(value: Any) -> bool:
    """Whether a value is an empty cell that pandas wrote out: NaN, or the text "nan"."""
    if isinstance(value, str):
        return len(value) < 10 and value.strip() in ("nan", "NaN")
    return isinstance(value, float) and math.isnan(value)


def list_in_text(text: str) -> list[str] | str:
    """Give the list that a text writes out, as JSON, Python or numpy do; else the text itself."""
    plain = text.strip()
    if plain[:1] != "[":
        return text
    try:
        value = json.loads(plain)
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    if _LIST.fullmatch(plain):
        with contextlib.suppress(ValueError, SyntaxError):  # a wrong escape
            return [str(ast.literal_eval(item)) for item in _ITEM.findall(plain)]
    return text


def is_cut(value: Any) -> bool:
    """Whether captions are cut into words: a list of single words, or a list of such lists."""
    if isinstance(value, str):
        if value[:1] not in CLOSER_LOOK:
            return False
        value = list_in_text(value)
    if isinstance(value, dict):
        return "raw" not in value and isinstance(value.get("tokens"), list)
    if not isinstance(value, list) or not value:
        return False
    if any(isinstance(item, dict) and is_cut(item) for item in value):
        return True
    if all(isinstance(item, list) for item in value):
        return _are_words([word for item in value for word in item])
    return len(value) > 1 and _are_words(value)


def _are_words(values: list[Any]) -> bool:
    """Whether texts are words rather than captions of one word ("Skiing.", "Two")."""
    return (
        bool(values)
        and all(isinstance(value, str) and len(value.split()) == 1 for value in values)
        and not any(_SENTENCE.fullmatch(value) or without_blanks(value) for value in values)
        and not all(value.strip()[0].isupper() for value in values)
    )


def without_blanks(text: str) -> bool:
    """Whether a text is in a script that leaves no blanks between its words."""
    return _UNBROKEN.search(text) is not None


def odd_words(captions: Iterable[str], what: str) -> list[str]:
    """Say what in captions counts as words and should not, or is not cut into words.

    Args:
        captions: raw ones.
        what: one of them is called in the sentence.

    Returns:
        a sentence each for special tokens and for scripts without blanks; none where all is well.
    """
    count = special = unbroken = 0
    for caption in captions:
        count += 1
        special += _SPECIAL.search(caption) is not None
        unbroken += _RUN.search(caption) is not None
    warnings = []
    if special:
        warnings.append(
            f"{part(special, count, what, 'holds', 'hold')} special tokens such as <unk>, </s> or "
            "startseq; they count as words. Remove them first."
        )
    if unbroken:
        warnings.append(
            f"{part(unbroken, count, what, 'is', 'are')} in a script without blanks between words "
            "(Chinese, Thai ...): what stands between blanks counts as one word. Cut them into "
            "words first."
        )
    return warnings


def left_out_by_vizwiz(annotation: Any) -> str:
    """Say why VizWiz' own evaluation leaves a caption out, or give "".

    Source: Gurari et al. (2020), "Captioning Images Taken by People Who Are Blind": the
    annotations' `is_rejected` (spam) and `is_precanned` ("Quality issues are too severe ...").
    """
    if isinstance(annotation, dict):
        if annotation.get("is_rejected") == 1:
            return "rejected by VizWiz' annotators (is_rejected)"
        if annotation.get("is_precanned") == 1:
            return "VizWiz' sentence for photos too poor to describe (is_precanned)"
    return ""
