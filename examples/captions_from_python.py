"""Captions of photos, from Python: python captions_from_python.py RUN PHOTO..."""

import sys
from pathlib import Path

import miacap
from miacap.errors import MiacapError


def main(run: str, *photos: str) -> None:
    pipeline = miacap.load(run)  # once; the networks are loaded with the first photo
    print(pipeline.caption(Path(photos[0]).read_bytes()))  # a path, bytes, pixels, a Pillow image

    for row in pipeline.rows(photos):  # many photos: a broken one gets its reason, and no more
        if row.error is None:
            print(f"{row.id}\t{row.caption}\t{row.log_probability:.2f}")
        else:
            print(row.error, file=sys.stderr)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except MiacapError as error:  # the root of all that miacap raises on purpose
        sys.exit(str(error))
