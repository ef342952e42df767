"""Downloads one file, and prints its name in the cache: REPO FILE [LOCAL_DIR]."""

import sys
from pathlib import Path

from huggingface_hub import hf_hub_download


def main(repo, file, local_dir=None):
    place = {"local_dir": local_dir} if local_dir else {}
    path = Path(hf_hub_download(repo, file, **place))
    print(path.resolve().name)


if __name__ == "__main__":
    main(*sys.argv[1:])
