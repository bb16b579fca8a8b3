"""Captions as words: the official COCO tokenizer, sentences for people, and the vocabulary.

One tokenizer serves data and metrics alike; changing it would invalidate every vocabulary.
It may import the ground floor (errors, files) and nothing else of miacap, and never torch.
"""

from miacap.text.detokenizer import detokenize
from miacap.text.tokenizer import PUNCTUATION, tokenize, tokenize_all
from miacap.text.vocabulary import BOS, EOS, PAD, SPECIAL_NAMES, UNK, Vocabulary

__all__ = [
    "BOS",
    "EOS",
    "PAD",
    "PUNCTUATION",
    "SPECIAL_NAMES",
    "UNK",
    "Vocabulary",
    "detokenize",
    "tokenize",
    "tokenize_all",
]
