"""`PTBTokenizer` as in pycocoevalcap.tokenizer.ptbtokenizer."""

from collections.abc import Mapping, Sequence

from miacap.metrics.tokens import tokenised
from miacap.text import PUNCTUATION

PUNCTUATIONS = sorted(PUNCTUATION)


class PTBTokenizer:
    """Tokenise captions; repeated captions cost a look-up."""

    def tokenize(
        self, captions_for_image: Mapping[object, Sequence[Mapping[str, str]]]
    ) -> dict[object, list[str]]:
        """Turn id -> [{"caption": ...}] into id -> [tokenised sentence]; ids of no caption go."""
        return {
            key: tokenised(annotation["caption"] for annotation in annotations)
            for key, annotations in captions_for_image.items()
            if annotations
        }
