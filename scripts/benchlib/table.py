"""Medians and ratios as a table or JSON."""

import statistics
import time

from . import measure

# Each group is compared with one case of it.
BASES = {
    "import": {"hubless add, in place": "b3sum", "hubless add, copied": "cp + b3sum"},
    "fetch": {None: "nginx + curl, HTTPS (AES-128-GCM)"},
    "gateway": {None: "nginx + curl, HTTP, beside the gateway"},
}


class Row:
    """One case and its runs."""

    def __init__(self, case, place):
        self.case, self.place, self.runs, self.reason = case, place, [], None

    def figures(self):
        amount = self.case.amount(self.place)
        is_bytes = self.case.unit == "MB"
        gigabytes = (self.place.size if is_bytes else amount * 4096) / 1e9

        def median(value):
            return statistics.median(value(run) for run in self.runs)
        return {
            "rate": round(median(lambda run: amount / run.wall / (1e6 if is_bytes else 1))),
            "unit": f"{self.case.unit}/s",
            "wall_s": round(median(lambda run: run.wall), 3),
            "spread": round(max(run.wall for run in self.runs) / min(run.wall for run in self.runs), 2),
            "cpu_s_per_gb": round(median(lambda run: (run.cpu + run.server_cpu) / gigabytes), 2),
            "client_cpu_s_per_gb": round(median(lambda run: run.cpu / gigabytes), 2),
            "rss_mb": round(max(run.rss for run in self.runs) / 1e6),
            "server_rss_mb": round(max(run.server_rss for run in self.runs) / 1e6),
            "import_s": round(self.case.import_seconds(), 2) if self.case.import_seconds() else None,
        }


def report(rows, medium, options, machine):
    cases = {row.case.name: {"group": row.case.group, **(row.figures() if row.runs and not row.reason else
                                                         {"failed": row.reason or "no run"})} for row in rows}
    for name, case in cases.items():
        base = base_of(name, case["group"])
        if base in cases and "failed" not in case and "failed" not in cases[base]:
            case["wall_ratio"] = round(cases[base]["wall_s"] / case["wall_s"], 2)
            case["cpu_ratio"] = round(case["cpu_s_per_gb"] / max(cases[base]["cpu_s_per_gb"], 0.01), 2)
    return {"date": time.strftime("%Y-%m-%d"), "medium": medium, "size": options.size, "turns": options.turns,
            "machine": machine, "floor_mb": round(measure.floor() / 1e6),
            "versions": list(dict.fromkeys(filter(None, (row.case.version() for row in rows if row.runs)))),
            "cases": cases}


def base_of(name, group):
    bases = BASES.get(group, {})
    return bases.get(name, bases.get(None))


def markdown(report):
    lines = [
        f"{report['date']}: a file of {report['size'] / (1 << 30):.3g} GiB on {report['medium']}, medians of "
        f"{report['turns']}; {report['machine']}; {', '.join(report['versions'])}.", "",
        "| case | rate | speed, to base | CPU-s/GB, both sides | CPU, to base | client's part | peak MB, client / server "
        "| import s | slowest / fastest |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [line(name, case) for name, case in report["cases"].items()]
    lines += ["", "Bases: `b3sum` for adding in place, `cp + b3sum` for adding with a copy, nginx + curl over HTTPS for "
              f"fetching. A client below {report['floor_mb']} MB, what starts it, is shown with that much."]
    return "\n".join(lines)


def line(name, case):
    if "failed" in case:
        return f"| {name} | not measured: {' '.join(case['failed'].split())} | | | | | | | |"
    ratio, cpu = case.get("wall_ratio", ""), case.get("cpu_ratio", "")
    memory = f"{case['rss_mb']} / {case['server_rss_mb']}" if case["server_rss_mb"] else f"{case['rss_mb']}"
    return (f"| {name} | {case['rate']:,} {case['unit']} | {ratio} | {case['cpu_s_per_gb']:.2f} | {cpu} | "
            f"{case['client_cpu_s_per_gb']:.2f} | {memory} | {case['import_s'] or ''} | {case['spread']} |")
