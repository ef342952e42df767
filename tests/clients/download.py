"""Downloads a repo with huggingface_hub, and compares it with its source: REPO REVISION SOURCE [LOCAL_DIR]."""

import filecmp
import sys
from pathlib import Path

from huggingface_hub import snapshot_download


def main(repo, revision, source, local_dir=None):
    place = {"local_dir": local_dir} if local_dir else {}
    folder = Path(snapshot_download(repo, revision=revision, **place))
    compare(Path(source), folder)
    if not local_dir:
        print(folder.name)  # the commit's id


def compare(source, folder):
    files = files_of(source)
    assert files_of(folder) == files, f"{files_of(folder)} instead of {files}"
    for file in files:
        assert filecmp.cmp(source / file, folder / file, shallow=False), f"{file} differs"


def files_of(folder):
    """All files, without those that the client writes for itself."""
    files = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(file for file in files if file.parts[:2] != (".cache", "huggingface"))


if __name__ == "__main__":
    main(*sys.argv[1:])
