"""Sentences for people."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miacap.text import PUNCTUATION, detokenize, tokenize


@pytest.mark.parametrize(
    ("tokens", "sentence"),
    [
        ("", ""),
        ("the dog 's ball", "The dog's ball."),
        ("a man ca n't ride , he wo n't", "A man can't ride, he won't."),
        ("i 'm here and they 've left", "I'm here and they've left."),
        ("the dogs ' ball .", "The dogs' ball."),
        ("`` stop '' , he said -lrb- loudly -rrb-", '"Stop", he said (loudly).'),
        ("a sign that says `` stop . ''", 'A sign that says "stop."'),
        ("5 % of $ 5 on # 1", "5% of $5 on #1."),
        ("1\u00a01/2 cups", "1 1/2 cups."),
        ("we can not stay", "We cannot stay."),
        ("'t is at&t and m&m pie", "'Tis AT&T and M&M pie."),
        ("a train at 5 p.m.", "A train at 5 p.m."),
        ("really ?", "Really?"),
        ("on 12th st", "On 12th st"),
        ("a dog", "A dog."),
        ("cats , dogs , etc. .", "Cats, dogs, etc."),
        ("élan", "Élan."),
    ],
)
def test_sentences(tokens: str, sentence: str) -> None:
    assert detokenize(tokens.split(" ") if tokens else []) == sentence


def test_blank_tokens_are_nothing() -> None:
    assert detokenize(["", " "]) == ""


_TOKENS = """\
a the dog cats 's n't ca 'm i , . '' `` -lrb- -rrb- u.s. 5 % $ & black-and-white""".replace(
    "\n", " "
)


@given(
    st.lists(
        st.sampled_from(_TOKENS.split(" ")),
        max_size=10,
    )
)
def test_any_tokens_give_a_line(tokens: list[str]) -> None:
    sentence = detokenize(tokens)
    assert "\n" not in sentence and bool(sentence) == bool(tokens)


@given(
    st.lists(
        st.sampled_from(
            [
                "a",
                "man",
                "dogs",
                "rides",
                "one",
                "horse",
                "cannot",
                "don't",
                "it's",
                "U.S.",
                "5",
                "we've",
            ]
        )
    )
)
def test_tokens_of_plain_captions_come_back(words: list[str]) -> None:
    tokens = tokenize(" ".join(words))
    assert tokenize(detokenize(tokens)) == [t for t in tokens if t not in PUNCTUATION]
