"""What the pages of the docs need to run on the small world, and which of their lines do not run.

How things are made small, and nothing else: a command that trains gets SMALL's options behind its
own (the last `--set` of a name counts), and `score` without `-m` counts CIDEr-D alone. Words in
capitals stand for names, as the pages say (WORDS). What a page takes as given (a run, a store, a
folder of concepts) is laid before it begins, made by commands of FIRST in the same way.
"""

from dataclasses import dataclass, field

_EPOCH = "--set training.epochs=1 --set training.threads=1 --set minimum_count=1"
_NARROW = "--set sizes.width=8 --set sizes.heads=2 --set sizes.inner=8"
SMALL = {
    "concepts train": "--set training.epochs=1 --set folds=2 --set minimum_count=1 --set hidden=8",
    "concepts detect": "--set minimum_count=1",
    "concepts zero-shot": "--set minimum_count=1",
    "concepts read": "--set minimum_count=1",
    "train --from": "--set training.epochs=1 --set training.threads=1",
    "train": f"{_EPOCH} {_NARROW}",
    "reproduce": f"--small {_EPOCH} {_NARROW}",
    "tune --from": "--set training.epochs=1 --set tuning.stages=1",
    "tune": "--set training.epochs=1 --set stages=1 --set minimum_count=1 --set hidden=8",
    "score": "-m CIDEr-D",
}
"""By verb, and by whether the line has --from."""

WORDS = {"DATA": "flickr8k", "F": "features", "C": "concepts"}

_TRAIN = "miacap train flickr8k --features features"
FIRST = {
    "features": "miacap features flickr8k -o features",
    "concepts": "miacap concepts train flickr8k --features features -o concepts",
    "runs/plain": f"{_TRAIN} --source plain -o runs/plain",
    "runs/combined": f"{_TRAIN} --concepts concepts -o runs/combined",
    "runs/n1": f"{_TRAIN} --concepts concepts --set sizes.iterations=1 -o runs/n1",
    "my-lists": "miacap concepts read mine.json flickr8k -o my-lists",
    "runs/n3": f"{_TRAIN} --concepts concepts --set sizes.iterations=3 -o runs/n3",
}
"""What pages take as given, and the command that makes it."""


@dataclass(frozen=True)
class Page:
    """How one page is run."""

    given: dict[str, str] = field(default_factory=dict)
    """What it takes as given, by the name that it has there."""
    before: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Lines that the page leaves to the reader ("for each run"), before a line that needs them."""
    words: dict[str, str] = field(default_factory=dict)
    """What words in capitals stand for, where it is not what WORDS says."""
    anew: bool = False
    """Its blocks are alternatives: each line finds its output (-o) absent."""


_STORES = {"features": "features", "concepts": "concepts"}
_BOTH = {**_STORES, "runs/plain": "runs/plain", "runs/combined": "runs/combined"}
_ARMS = {"runs/n1": "runs/n1", "runs/n2": "runs/combined", "runs/n3": "runs/n3"}
_ENSEMBLE = {"runs/a": "runs/combined", "runs/b": "runs/n1", "runs/c": "runs/n3"}
PAGES = {
    "README.md": Page({"demo/runs/combined": "runs/combined", "demo/scenes": "scenes"}),
    "pretrained/flickr8k/README.md": Page(),
    "tutorial.md": Page(),
    "tuning.md": Page({"features": "features"}, anew=True),
    "captioners.md": Page({"f": "features", "c": "concepts"}, words={"F": "f", "C": "c"}),
    "explaining.md": Page({**_BOTH, **_ARMS}),
    "confidence.md": Page({"runs/mine": "runs/combined", **_STORES}),
    "recipes.md": Page({**_STORES, **_ENSEMBLE}),
    "training.md": Page(_STORES),
    "concepts.md": Page({"features": "features", "my-lists": "my-lists"}, anew=True),
    "backbones.md": Page({"flickr8k": "few"}, anew=True),
    "metrics.md": Page(),
    "cli.md": Page(
        {
            **_BOTH,
            **_ARMS,
            **_ENSEMBLE,
            "my-lists": "my-lists",
            "annotations": "coco/annotations",
            "demo/runs/combined": "runs/combined",
        },
        before={
            "miacap concepts train flickr8k --features features -o concepts": (
                "miacap features flickr8k -o features",
            ),
        },
        anew=True,
    ),
    "coco.md": Page(
        before={
            "miacap concepts train coco --features features/googlenet": tuple(
                f"miacap features coco --backbone efficientnet-lite0 -o features/{name}"
                for name in ("googlenet", "resnet152", "resnet101")
            ),
            "miacap score coco/annotations": (
                "miacap evaluate runs/nic-plain coco --features features/googlenet --split test "
                "-o results/nic-plain.jsonl",
            ),
            "miacap evaluate runs/flickr8k flickr8k": (
                "miacap features flickr8k -o features/flickr8k",
                "miacap train flickr8k --features features/flickr8k --source plain "
                "-o runs/flickr8k",
            ),
        }
    ),
}

_WIDE = "no torchvision or timm in the tests, and no weights; read by tests/visual"
_MAKE = "installs, or runs all tests; that the target is there is tested in test_docs_blocks"
_PIP = (
    "installs from a network; what it names is tested in test_docs_blocks, tests/house/test_wheel"
)
_SERVE = "serves until it is stopped; started and asked by tests/serving"
_MANY = "several processes, or machines; tests/cli/test_launched.py launches two"
_DOWNLOAD = "downloads 400 MB; a folder of such a model runs in the line before"
NOT_RUN = {
    ("pretrained/flickr8k/README.md", "pip install"): _PIP,
    ("pretrained/flickr8k/README.md", "python pretrained/make.py"): "scores 1,000 photos; "
    "tests/pretrained makes a package of a small run",
    ("README.md", "make demo"): "two minutes; tests/experiments/test_demo.py runs a small one",
    ("README.md", "make test"): _MAKE,
    ("CONTRIBUTING.md", "make install"): _MAKE,
    ("CONTRIBUTING.md", "make check"): _MAKE,
    ("CONTRIBUTING.md", "make test"): _MAKE,
    ("CONTRIBUTING.md", "make slow"): _MAKE,
    ("CONTRIBUTING.md", "make docs"): _MAKE,
    ("backbones.md", "miacap features flickr8k -o features --backbone torchvision:"): _WIDE,
    ("backbones.md", "miacap features flickr8k -o features --backbone timm:"): _WIDE,
    ("backbones.md", "miacap features flickr8k -o features --backbone hf:google"): _DOWNLOAD,
    ("backbones.md", "miacap features flickr8k -o features --regions torchvision:"): _WIDE,
    ("backbones.md", "miacap concepts detect flickr8k --detector torchvision:"): _WIDE,
    ("captioners.md", "pip install ./examples"): "its entry point is laid instead (docs_world.py); "
    "pip itself in tests/experiments/test_own_captioner.py",
    ("cli.md", "miacap demo"): "two minutes; tests/experiments/test_demo.py runs a small one",
    ("cli.md", "miacap features read cocobu_att"): "folders of arrays; tests/data/test_given_forms",
    ("cli.md", "miacap serve"): _SERVE,
    (
        "cli.md",
        "miacap judge",
    ): "people's ratings; tests/metrics/test_judgements.py has the real ones",
    ("coco.md", "miacap features coco -o features/googlenet"): _WIDE,
    ("coco.md", "miacap features coco -o features/resnet152"): _WIDE,
    ("coco.md", "miacap features coco -o features/resnet101"): _WIDE,
    ("coco.md", "miacap features coco -o features/boxes"): _WIDE,
    (
        "confidence.md",
        "miacap evaluate runs/mine flickr8k",
    ): "wants 200 dev photos; tests/captioning",
    ("metrics.md", "pip install"): _PIP,
    ("results.md", "python results/ladder.py"): "two hours; tests/house/test_ladder.py",
    ("serving.md", "pip install './miacap[serve]'"): _PIP,
    ("serving.md", "miacap serve"): _SERVE,
    ("serving.md", "curl"): _SERVE,
    ("training.md", "accelerate launch"): _MANY,
    ("training.md", "torchrun"): _MANY,
}
"""Lines that no test runs as they stand: page, beginning of the line, and why."""

NO_PYTHON = {
    "tuning.md": "the tuning that it calls takes minutes; tests/concepts and tests/captioning tune",
    "backbones.md": "run in test_docs_blocks",
    "captioners.md": "run in test_docs_blocks",
    "concepts.md": "run in test_docs_blocks",
    "recipes.md": "run in test_docs_blocks",
    "metrics.md": "run in test_docs_blocks",
    "tokenizer.md": "run in test_docs_blocks",
    "spice.md": "run in test_docs_blocks",
    "api.md": "run in test_docs_python",
    "data.md": "run in test_docs_python",
    "coco.md": "prints the size of COCO; tests/data reads COCO's lists",
}
"""Pages whose Python is not run with their commands, and why, or where it is."""
