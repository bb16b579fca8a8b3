"""Vision models of Hugging Face transformers as backbones: `hf:FOLDER`, or `hf:NAME` of its cache.

`load` gives the backbone, `find` the folder of a name. Needs the extra [hf].
"""

from miacap.visual.huggingface.finding import NAME, find, typed
from miacap.visual.huggingface.folder import ModelFolder
from miacap.visual.huggingface.network import load
from miacap.visual.huggingface.pairs import Embedder
from miacap.visual.huggingface.preparation import preparation
from miacap.visual.huggingface.weights import build

__all__ = ["NAME", "Embedder", "ModelFolder", "build", "find", "load", "preparation", "typed"]
