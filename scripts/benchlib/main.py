"""Chooses the cases, has them take turns, and prints the table."""

import argparse
import json
import os
import platform
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from . import table, tools
from .case import Place, write_random
from .cases import all_cases
from .measure import Failed
from .tools import say

QUICK_BYTES, QUICK_TURNS = 1 << 30, 3


def main(description):
    options = parse(description)
    chosen = choose(options)
    if options.list:
        print("\n".join(f"{case.group}: {case.name}" for case in all_cases()))
        return
    tools.build_hubless()
    # The background work of a node after an import is no part of a transfer, and the alternatives have none.
    os.environ["HUBLESS_DIGESTS"] = "false"
    reports = [run_in(folder, medium, chosen, options) for medium, folder in folders(options)]
    if options.json:
        print(json.dumps(reports, indent=2))
    else:
        print("\n\n".join(table.markdown(report) for report in reports))


def parse(description):
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="hubless, nginx and curl only, 1 GiB, three turns")
    parser.add_argument("--only", action="append", default=[], metavar="TEXT",
                        help="cases whose group or name has this text; may be repeated")
    parser.add_argument("--all", action="store_true", help="also the cases that take long to build: rqbit and iroh-blobs")
    for name in sorted(filter(None, (case.on_request for case in all_cases()))):
        parser.add_argument(f"--with-{name}", action="append_const", dest="requested", const=name, default=[],
                            help=f"also {name}")
    parser.add_argument("--on", choices=["tmpfs", "disk", "both"], default="tmpfs", help="the location of the files")
    parser.add_argument("--size", type=int, help="bytes of the file; 2 GiB without")
    parser.add_argument("--turns", type=int, help="runs of each case; 5 without")
    parser.add_argument("--list", action="store_true", help="print the names of the cases")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    options = parser.parse_args()
    options.size = options.size or (QUICK_BYTES if options.quick else 2 << 30)
    options.turns = options.turns or (QUICK_TURNS if options.quick else 5)
    return options


def choose(options):
    def wanted(case):
        if options.only:
            return any(text in case.group or text in case.name for text in options.only)
        if case.on_request:
            return options.all or case.on_request in options.requested
        return case.quick or not options.quick
    return [case for case in all_cases() if wanted(case)]


def folders(options):
    places = {"tmpfs": "/dev/shm", "disk": str(tools.TARGET)}
    return [(medium, places[medium]) for medium in places if options.on in (medium, "both")]


def run_in(folder, medium, cases, options):
    with tempfile.TemporaryDirectory(dir=folder, prefix="hubless-bench-") as work, ExitStack() as stack:
        place = Place(Path(work), Path(work) / "source", options.size)
        write_random(place.file, place.size)
        running = start(cases, place, stack)
        rows = {case.name: table.Row(case, place) for case in cases}
        for name, reason in running.failed.items():
            rows[name].reason = reason
        for turn in range(options.turns):
            for case in running.cases:
                measure_turn(case, rows[case.name], turn)
    return table.report(list(rows.values()), medium, options, machine())


class Running:
    def __init__(self):
        self.cases, self.failed = [], {}


def start(cases, place, stack):
    """Prepares all cases. A case that fails is left out, and the table gives the reason."""
    running = Running()
    for case in cases:
        say(f"preparing {case.name}")
        try:
            case.start(place, stack)
            running.cases.append(case)
        except (Failed, OSError, KeyError) as error:
            say(f"left out: {case.name}: {error}")
            running.failed[case.name] = str(error)
    return running


def measure_turn(case, row, turn):
    if row.reason:
        return
    try:
        started = time.monotonic()
        row.runs.append(case.turn())
        say(f"turn {turn + 1}: {case.name}: {time.monotonic() - started:.2f} s")
    except (Failed, OSError) as error:
        say(f"failed: {case.name}: {error}")
        row.reason = str(error)


def machine():
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return f"{os.cpu_count()} cores ({platform.machine()}), {memory:.0f} GB, Linux {platform.release().split('-')[0]}"
