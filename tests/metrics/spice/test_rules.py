"""The rules of the parser on trees written by hand, as a dependency parser would give them.

A tree is written as "text/TAG/label>head", heads counted from 0.
"""

import pytest

from miacap.metrics.spice.parsing.patterns import tuples
from miacap.metrics.spice.parsing.words import Row, tree

pytestmark = pytest.mark.usefixtures("lemmas")


def _rows(text: str) -> list[Row]:
    rows = []
    for item in text.split():
        word, tag, rest = item.split("/")
        label, head = rest.split(">")
        rows.append(Row(word, tag, label, int(head)))
    return rows


def _tuples(text: str) -> set[tuple[str, ...]]:
    return set(tuples(_rows(text)))


def test_subject_predicate_object_with_adjective_and_compound() -> None:
    """A young man is riding a dirt bike over rocks."""
    assert _tuples(
        "a/DT/det>2 young/JJ/amod>2 man/NN/nsubj>4 is/VBZ/aux>4 riding/VBG/ROOT>4 a/DT/det>7"
        " dirt/NN/compound>7 bike/NN/dobj>4 over/IN/prep>4 rocks/NNS/pobj>8"
    ) == {
        ("man", "bike", "ride"), ("man", "rock", "ride over"), ("man", "young"), ("bike", "dirt"),
        ("man",), ("bike",), ("rock",),
    }  # fmt: skip


def test_a_participle_acts_like_a_verb() -> None:
    """A girl wearing a hat."""
    found = _tuples("a/DT/det>1 girl/NN/ROOT>1 wearing/VBG/acl>1 a/DT/det>4 hat/NN/dobj>2")
    assert found == {("girl", "hat", "wear"), ("girl",), ("hat",)}


def test_a_bare_subject_has_its_predicate_as_attribute() -> None:
    """The dog is tired and a cat sleeps."""
    found = _tuples(
        "the/DT/det>1 dog/NN/nsubj>2 is/VBZ/ROOT>2 tired/JJ/acomp>2 and/CC/cc>2 a/DT/det>6"
        " cat/NN/nsubj>7 sleeps/VBZ/conj>2"
    )
    assert found == {("dog", "tired"), ("cat", "sleep"), ("dog",), ("cat",)}


def test_a_copula_with_a_noun_is_an_attribute() -> None:
    """The woman is a nurse."""
    found = _tuples("the/DT/det>1 woman/NN/nsubj>2 is/VBZ/ROOT>2 a/DT/det>4 nurse/NN/attr>2")
    assert found == {("woman", "nurse"), ("woman",), ("nurse",)}


def test_to_be_somewhere_is_a_relation() -> None:
    """A dog is in the water."""
    found = _tuples(
        "a/DT/det>1 dog/NN/nsubj>2 is/VBZ/ROOT>2 in/IN/prep>2 the/DT/det>5 water/NN/pobj>3"
    )
    assert found == {("dog", "water", "be in"), ("dog",), ("water",)}


def test_prepositions_of_several_words() -> None:
    """A man stands in front of a house next to a tree."""
    found = _tuples(
        "a/DT/det>1 man/NN/nsubj>2 stands/VBZ/ROOT>2 in/IN/prep>2 front/NN/pobj>3 of/IN/prep>4"
        " a/DT/det>7 house/NN/pobj>5 next/RB/advmod>2 to/IN/prep>8 a/DT/det>11 tree/NN/pobj>9"
    )
    assert {("man", "house", "stand in front of"), ("man", "tree", "stand next to")} <= found
    assert not any(len(parts) == 3 and parts[2] == "of" for parts in found)
    assert ("man", "front", "stand in") not in found


def test_prepositions_in_a_row() -> None:
    """A dog comes out of the sea."""
    found = _tuples(
        "a/DT/det>1 dog/NN/nsubj>2 comes/VBZ/ROOT>2 out/IN/prep>2 of/IN/prep>3 the/DT/det>6"
        " sea/NN/pobj>4"
    )
    assert ("dog", "sea", "come out of") in found


def test_conjuncts_share_relations_and_modifiers() -> None:
    """Two men wear red and white shirts and hats."""
    found = _tuples(
        "two/CD/nummod>1 men/NNS/nsubj>2 wear/VBP/ROOT>2 red/JJ/amod>6 and/CC/cc>3 white/JJ/conj>3"
        " shirts/NNS/dobj>2 and/CC/cc>6 hats/NNS/conj>6"
    )
    assert {("man", "shirt", "wear"), ("man", "hat", "wear"), ("man", "two")} <= found
    assert {("shirt", "red"), ("shirt", "white")} <= found
    assert ("hat", "red") not in found


def test_verbs_in_conjunction_share_their_subject() -> None:
    """A dog jumps and catches a ball."""
    found = _tuples(
        "a/DT/det>1 dog/NN/nsubj>2 jumps/VBZ/ROOT>2 and/CC/cc>2 catches/VBZ/conj>2 a/DT/det>6"
        " ball/NN/dobj>4"
    )
    assert {("dog", "jump"), ("dog", "ball", "catch")} <= found


@pytest.mark.parametrize(
    ("mark", "shared"), [("", True), ("while/IN/mark>4", False)], ids=["sits holding", "while"]
)
def test_an_adverbial_participle_shares_the_subject_unless_it_is_marked(
    mark: str, shared: bool
) -> None:
    """A man sits (while) holding a cup."""
    shift = 1 if mark else 0
    found = _tuples(
        f"a/DT/det>1 man/NN/nsubj>2 sits/VBZ/ROOT>2 {mark} holding/VBG/advcl>2"
        f" a/DT/det>{5 + shift} cup/NN/dobj>{3 + shift}"
    )
    assert (("man", "cup", "hold") in found) is shared


def test_only_plurals_have_a_number() -> None:
    """Three dogs and one cat."""
    found = _tuples("three/CD/nummod>1 dogs/NNS/ROOT>1 and/CC/cc>1 one/CD/nummod>4 cat/NN/conj>1")
    assert found == {("dog", "three"), ("dog",), ("cat",)}


def test_a_quantity_is_no_object() -> None:
    """A lot of people watch a game, a bunch of them... but a big lot is a thing."""
    found = _tuples(
        "a/DT/det>1 lot/NN/nsubj>4 of/IN/prep>1 people/NNS/pobj>2 watch/VBP/ROOT>4 a/DT/det>6"
        " game/NN/dobj>4"
    )
    assert found == {("people", "game", "watch"), ("people", "lot"), ("people",), ("game",)}
    found = _tuples("a/DT/det>2 big/JJ/amod>2 lot/NN/ROOT>2 of/IN/prep>2 cars/NNS/pobj>3")
    assert found == {("lot", "big"), ("lot", "car", "of"), ("lot",), ("car",)}


def test_an_agent_acts() -> None:
    """A ball is thrown by a girl; a ball being thrown by her is as good."""
    found = _tuples(
        "a/DT/det>1 ball/NN/nsubjpass>3 is/VBZ/auxpass>3 thrown/VBN/ROOT>3 by/IN/agent>3 a/DT/det>6"
        " girl/NN/pobj>4"
    )
    assert found == {("girl", "ball", "throw"), ("girl",), ("ball",)}


def test_owners_have_things() -> None:
    """A man 's hat."""
    found = _tuples("a/DT/det>1 man/NN/poss>3 's/POS/case>1 hat/NN/ROOT>3")
    assert found == {("man", "hat", "have"), ("man",), ("hat",)}


def test_pronouns_stand_for_nouns() -> None:
    """A woman brushes her hair while men look at her."""
    found = _tuples(
        "a/DT/det>1 woman/NN/nsubj>2 brushes/VBZ/ROOT>2 her/PRP$/poss>4 hair/NN/dobj>2"
        " while/IN/mark>7 men/NNS/nsubj>7 look/VBP/advcl>2 at/IN/prep>7 her/PRP/pobj>8"
    )
    assert {("woman", "hair", "have"), ("man", "woman", "look at")} <= found


def test_a_pronoun_agrees_in_number_and_needs_something_before_it() -> None:
    """Two girls hold a dog on their lap. / It holds a dog."""
    found = _tuples(
        "two/CD/nummod>1 girls/NNS/nsubj>2 hold/VBP/ROOT>2 a/DT/det>4 dog/NN/dobj>2 on/IN/prep>4"
        " their/PRP$/poss>7 lap/NN/pobj>5"
    )
    assert ("girl", "lap", "have") in found
    assert _tuples("it/PRP/nsubj>1 holds/VBZ/ROOT>1 a/DT/det>3 dog/NN/dobj>1") == {("dog",)}


def test_particles_belong_to_the_verb() -> None:
    """A boy looking up; a boy running."""
    assert ("boy", "look up") in _tuples("a/DT/det>1 boy/NN/ROOT>1 looking/VBG/acl>1 up/RP/prt>2")
    assert _tuples("a/DT/det>1 boy/NN/ROOT>1 running/VBG/acl>1") == {("boy",)}


# Repairs: each tree is what a parser of full sentences makes of the caption.


def test_repair_a_verb_taken_for_a_plural() -> None:
    """A skater jumps over a rail: no noun phrase is singular and plural."""
    found = _tuples(
        "a/DT/det>2 skater/NN/compound>2 jumps/NNS/ROOT>2 over/IN/prep>2 a/DT/det>5 rail/NN/pobj>3"
    )
    assert found == {("skater", "rail", "jump over"), ("skater",), ("rail",)}


def test_repair_such_a_verb_inside_another_phrase() -> None:
    """A man with a dog jumps in a lake."""
    found = _tuples(
        "a/DT/det>1 man/NN/ROOT>1 with/IN/prep>1 a/DT/det>5 dog/NN/compound>5 jumps/NNS/pobj>2"
        " in/IN/prep>5 a/DT/det>8 lake/NN/pobj>6"
    )
    assert found == {
        ("man", "lake", "jump in"), ("man", "dog", "with"), ("man",), ("dog",), ("lake",)
    }  # fmt: skip


def test_repair_a_verb_that_was_the_subject_of_the_next() -> None:
    """A child squats and digs a hole."""
    found = _tuples(
        "a/DT/det>2 child/NN/compound>2 squats/NNS/nsubj>4 and/CC/cc>2 digs/VBZ/ROOT>4 a/DT/det>6"
        " hole/NN/dobj>4"
    )
    assert found == {("child", "squat"), ("child", "hole", "dig"), ("child",), ("hole",)}


def test_leave_plurals_alone() -> None:
    """A few dog toys on a bed; a sports car; two ski jumps."""
    few = _tuples(
        "a/DT/det>3 few/JJ/amod>3 dog/NN/compound>3 toys/NNS/ROOT>3 on/IN/prep>3 a/DT/det>6"
        " bed/NN/pobj>4"
    )
    assert {("toy", "dog"), ("toy", "bed", "on"), ("toy",)} <= few
    two = _tuples("two/CD/nummod>2 ski/NN/compound>2 jumps/NNS/ROOT>2 in/IN/prep>2 snow/NN/pobj>3")
    assert {("jump", "ski"), ("jump", "two")} <= two


def test_repair_a_verb_taken_for_a_singular() -> None:
    """Two girls dance on a stage."""
    found = _tuples(
        "two/CD/nummod>2 girls/NNS/compound>2 dance/NN/ROOT>2 on/IN/prep>2 a/DT/det>5"
        " stage/NN/pobj>3"
    )
    assert found == {("girl", "stage", "dance on"), ("girl", "two"), ("girl",), ("stage",)}


def test_repair_a_participle_taken_for_a_noun() -> None:
    """A baby playing in the sand, but a railroad crossing in the sand."""
    text = "a/DT/det>2 {0}/NN/compound>2 {1}/NN/ROOT>2 in/IN/prep>2 the/DT/det>5 sand/NN/pobj>3"
    found = _tuples(text.format("baby", "playing"))
    assert found == {("baby", "sand", "play in"), ("baby",), ("sand",)}
    assert ("crossing",) in _tuples(text.format("railroad", "crossing"))


def test_repair_a_fragment_read_as_a_sentence() -> None:
    """Two dogs running: no auxiliary, no sentence, so nothing is said of the dogs."""
    assert _tuples("two/CD/nummod>1 dogs/NNS/nsubj>2 running/VBG/ROOT>2") == {
        ("dog", "two"), ("dog",)
    }  # fmt: skip
    assert ("dog", "run") in _tuples("dogs/NNS/nsubj>2 are/VBP/aux>2 running/VBG/ROOT>2")


def test_repair_a_finite_verb_with_modifiers() -> None:
    """A golden retriever plays."""
    found = _tuples("a/DT/det>3 golden/JJ/amod>3 retriever/NN/compound>3 plays/VBZ/ROOT>3")
    assert found == {("retriever", "play"), ("retriever", "golden"), ("retriever",)}


def test_repair_a_participle_before_its_noun() -> None:
    """The sky over rippling water."""
    found = _tuples(
        "the/DT/det>1 sky/NN/ROOT>1 over/IN/prep>1 rippling/VBG/pcomp>2 water/NN/dobj>3"
    )
    assert found == {("sky", "water", "over"), ("water", "rippling"), ("sky",), ("water",)}


def test_repair_modifiers_inside_a_phrase() -> None:
    """A red sports car; two little girls (little hung on the number)."""
    found = _tuples("a/DT/det>3 red/JJ/amod>2 sports/NNS/compound>3 car/NN/ROOT>3")
    assert found == {("car", "red"), ("car", "sport"), ("car",)}
    found = _tuples("two/CD/nummod>2 little/JJ/amod>0 girls/NNS/ROOT>2")
    assert found == {("girl", "two"), ("girl", "little"), ("girl",)}


def test_a_color_is_no_object() -> None:
    """A man dressed in black; a man in the black."""
    found = _tuples("a/DT/det>1 man/NN/ROOT>1 dressed/VBN/acl>1 in/IN/prep>2 black/NN/pobj>3")
    assert found == {("man",)}
    found = _tuples("a/DT/det>1 man/NN/ROOT>1 in/IN/prep>1 the/DT/det>4 black/NN/pobj>2")
    assert ("black",) in found


def test_words_move_with_all_that_hangs_on_them() -> None:
    words = tree(_rows("a/DT/det>1 dog/NN/ROOT>1 in/IN/prep>1 snow/NN/pobj>2"))
    dog, preposition, snow = words[1], words[2], words[3]
    assert dog.above(snow)
    assert [child.index for child in dog.children] == [0, 2]
    preposition.hang(None, "ROOT")
    assert not dog.above(snow)
    assert preposition.above(snow)
    preposition.hang(dog, "prep")
    assert [child.index for child in dog.children] == [0, 2]
