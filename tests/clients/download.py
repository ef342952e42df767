"""What a user of huggingface_hub does, with HF_ENDPOINT at a gateway: REPO SOURCE."""

import filecmp
import sys
from pathlib import Path

from huggingface_hub import HfApi, HfFileSystem, hf_hub_download, snapshot_download
from huggingface_hub.utils import EntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError

repo, source = sys.argv[1], Path(sys.argv[2])
files = sorted(path.relative_to(source) for path in source.rglob("*") if path.is_file())

snapshot = Path(snapshot_download(repo))
assert files == sorted(path.relative_to(snapshot) for path in snapshot.rglob("*") if path.is_file())
for file in files:
    assert filecmp.cmp(source / file, snapshot / file, shallow=False), f"{file} differs"
assert Path(snapshot_download(repo)) == snapshot, "nothing has changed"

info = HfApi().model_info(repo.upper(), files_metadata=True)
assert info.sha == snapshot.name, "ids are the same in any case, and folders are named after commits"
assert {Path(file.rfilename): file.size for file in info.siblings} == {
    file: (source / file).stat().st_size for file in files
}

for missing, error in [
    ((repo, "no/such.file"), EntryNotFoundError),
    (("nobody/nothing", "config.json"), RepositoryNotFoundError),
]:
    try:
        hf_hub_download(*missing)
        raise AssertionError(f"{missing} was found")
    except error:
        pass
try:
    hf_hub_download(repo, "config.json", revision="no-such-branch")
    raise AssertionError("a branch that is not there was found")
except RevisionNotFoundError:
    pass

largest = max(files, key=lambda file: (source / file).stat().st_size)
with HfFileSystem().open(f"{repo}/{largest}") as remote, open(source / largest, "rb") as local:
    for offset in (1_000_000, 300_000):
        remote.seek(offset)
        local.seek(offset)
        assert remote.read(1000) == local.read(1000), f"bytes at {offset} differ"
