"""Finds the programs that are measured, and installs missing ones."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

from .measure import Failed

ROOT = Path(__file__).resolve().parent.parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
HUBLESS = TARGET / "release" / "hubless"
TOOLS = TARGET / "tools"

# Debian packages whose name differs from the program's.
DEBIAN = {"nginx": "nginx-light", "aria2c": "aria2"}


def say(text):
    print(text, file=sys.stderr, flush=True)


def build_hubless():
    _install(["cargo", "build", "--quiet", "--release", "--locked", "--package", "hubless"], cwd=ROOT)


def debian(name):
    """A program of a Debian package."""
    path = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])
    if not shutil.which(name, path=path):
        say(f"installing {name}")
        _install(["apt-get", "install", "--yes", "--quiet", DEBIAN.get(name, name)])
    return _found(name, shutil.which(name, path=path))


def cargo(name, version, *flags):
    """A program of a crate, built once; flags choose its features."""
    path = TOOLS / "bin" / name
    if not path.exists():
        say(f"building {name} {version}")
        _install(["cargo", "install", "--quiet", "--locked", "--root", TOOLS, "--target-dir", TOOLS / f"build-{name}",
                  "--version", version, *flags, name])
    return _found(name, path if path.exists() else None)


def own(folder):
    """A program of a workspace beside this one, named like its folder."""
    target = TOOLS / f"build-{folder.name}"
    say(f"building {folder.name}")
    _install(["cargo", "build", "--quiet", "--release", "--locked", "--manifest-path", folder / "Cargo.toml",
              "--target-dir", target])
    return str(target / "release" / folder.name)


def python(name, version):
    """The Python of an environment with a package in it."""
    environment = TOOLS / f"{name}-{version}"
    interpreter = environment / "bin" / "python"
    if not interpreter.exists():
        say(f"installing {name} {version}")
        _install([sys.executable, "-m", "venv", environment])
        _install([interpreter, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
                  f"{name}=={version}"])
    return interpreter


def first_line(command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip().splitlines()[0]


def free_port():
    """A free TCP port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _install(command, cwd=None):
    done = subprocess.run([str(part) for part in command], cwd=cwd, check=False, stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise Failed(f"{command[0]} {command[1]} failed: {done.stderr.strip()[-300:]}")


def _found(name, path):
    if path is None:
        raise Failed(f"{name} could not be installed")
    return str(path)
