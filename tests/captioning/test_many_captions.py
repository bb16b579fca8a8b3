"""As many captions as COCO has, ready to be trained on: time and memory of a program of its own."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

PICTURES, CAPTIONS = 123_287, 616_767

CHILD = """
import sys, time
from pathlib import Path
from miacap.captioning.words import build_vocabulary, encode
from miacap.data import NoPhotos, read
dataset = read(sys.argv[1], photos=NoPhotos())
vocabulary = build_vocabulary(dataset.split("train"), 5)
ids = encode(vocabulary, dataset.captions)
peak = next(l for l in Path("/proc/self/status").read_text().splitlines() if l.startswith("VmHWM"))
counts = len(dataset), sum(map(len, ids.values())), len(vocabulary)
print(*counts, time.process_time(), peak.split()[1])
"""


@pytest.mark.slow
@pytest.mark.timeout(1200)  # of the wall, where other work goes on beside it
def test_616767_captions_are_ready_in_a_minute(shared: Path, tmp_path: Path) -> None:
    """val2014's captions, repeated until they are as many as all of COCO's.

    CPU seconds of one thread, so that other work on the machine does not count: a minute of two
    cores is twice as much.
    """
    with gzip.open(shared / "coco" / "captions_val2014.slim.json.gz") as file:
        value = json.load(file)
    again = range(0, 4_000_000, 1_000_000)
    images = [
        {"id": image["id"] + more, "file_name": f"{more}_{image['file_name']}"}
        for more in again for image in value["images"]
    ][:PICTURES]  # fmt: skip
    known = {image["id"] for image in images}
    annotations = [
        {"image_id": one["image_id"] + more, "caption": one["caption"]}
        for more in again for one in value["annotations"] if one["image_id"] + more in known
    ][:CAPTIONS]  # fmt: skip
    path = tmp_path / "captions.json"
    path.write_text(json.dumps({"images": images, "annotations": annotations}))
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(path)], capture_output=True, text=True, check=True
    )
    pictures, captions, words, seconds, kilobytes = done.stdout.split()
    assert (int(pictures), int(captions)) == (PICTURES, CAPTIONS) and int(words) > 9000
    assert float(seconds) < 60 and int(kilobytes) < 2_000_000
