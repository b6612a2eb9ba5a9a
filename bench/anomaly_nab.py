"""How well and how fast unusual points are found: our detector on the Numenta Anomaly Benchmark (NAB).

    python bench/anomaly_nab.py --nab FOLDER [--nab-python PATH] [--json]

FOLDER is a checkout of github.com/numenta/NAB; it is only read. Its data, labels and scorer are copied to a
temporary folder, the detector judges each of the 58 series from its first row to its last with one set of
parameters, and NAB's own scorer, unchanged, says what that is worth. PATH is a Python with what the scorer
needs (pandas 2.2, numpy 1, scipy, simplejson); without it a virtual environment is made.

The detector is told a row's time and value and nothing else: not the length of a series, its range, nor where
NAB begins to count. Some series set their clock back by an hour; such rows are taken as a microsecond after
the row before, since a detector takes points in the order of time.

NAB fits the threshold on the data it scores. `bench/anomaly_nab_splits.py`, run here too, says what remains
with the threshold we ship, and with one that was fitted on other series. Prints tables and, as the last line,
one JSON object. Takes about three minutes.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from aegis_lib.anomaly.detection.detector import Detector
from aegis_lib.anomaly.detection.model import USUAL

NEEDS = ("pandas==2.2.3", "numpy<2", "scipy", "simplejson")
"""pandas 3 gives the labeller arrays that it cannot write to."""
PROFILES = {"standard": "standard", "low_fp": "reward_low_FP_rate", "low_fn": "reward_low_FN_rate"}
BOARD = {
    "ARTime": (74.9, 65.1, 80.4),
    "Numenta HTM": (70.5, 62.6, 75.2),
    "CAD OSE": (69.9, 67.0, 73.2),
    "earthgecko Skyline": (58.2, 46.2, 63.9),
    "KNN-CAD": (58.0, 43.4, 64.8),
    "Relative Entropy": (54.6, 47.6, 58.8),
    "Random Cut Forest": (51.7, 38.4, 59.7),
    "Twitter ADVec": (47.1, 33.6, 53.5),
    "Windowed Gaussian": (39.6, 20.9, 47.4),
}
"""The published scores: standard, rewarding few false alarms, rewarding few misses."""


def judge(source: Path, results: Path) -> dict[str, float]:
    """Write NAB's file of results for each series; what it cost."""
    files = sorted((source / "data").glob("*/*.csv"))
    labelled = json.loads((source / "labels" / "combined_windows.json").read_text())
    rows, seconds, state_bytes, keeping = 0, 0.0, 0, 0.0
    for path in files:
        name = f"{path.parent.name}/{path.name}"
        if name not in labelled:
            continue
        with path.open(newline="") as text:
            points = [(row["timestamp"], float(row["value"])) for row in csv.DictReader(text)]
        detector = Detector()
        moments = _in_order([datetime.fromisoformat(when).replace(tzinfo=UTC) for when, _ in points])
        began = time.process_time()
        scores = [detector.update(at, value).score for at, (_, value) in zip(moments, points, strict=True)]
        seconds += time.process_time() - began
        rows += len(points)
        began = time.process_time()
        kept = json.dumps(detector.state(), separators=(",", ":"))
        Detector.restored(json.loads(kept))
        keeping += time.process_time() - began
        state_bytes = max(state_bytes, len(kept))
        windows = labelled[name]
        target = results / path.parent.name / f"aegis_{path.name}"
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("w", newline="") as text:
            out = csv.writer(text)
            out.writerow(("timestamp", "value", "anomaly_score", "label"))
            for (when, value), score in zip(points, scores, strict=True):
                out.writerow(
                    (when, value, score, int(any(a[:19] <= when[:19] <= b[:19] for a, b in windows)))
                )
    if not rows:
        sys.exit(f"{source}: no series of NAB. Fix: give --nab the folder of a checkout of numenta/NAB")
    return {
        "series": len(labelled),
        "points": rows,
        "microseconds_per_point": round(seconds / rows * 1e6, 1),
        "state_bytes_at_most": state_bytes,
        "keep_and_restore_ms": round(keeping / len(labelled) * 1000, 2),
    }


def _in_order(moments: list[datetime]) -> list[datetime]:
    ordered: list[datetime] = []
    for moment in moments:
        late = bool(ordered) and moment <= ordered[-1]
        ordered.append(ordered[-1] + timedelta(microseconds=1) if late else moment)
    return ordered


def python_for_scorer(folder: Path) -> Path:
    print("Making a virtual environment for NAB's scorer ...", file=sys.stderr, flush=True)
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", *NEEDS], check=True)
    return python


def scored(python: Path, copy: Path) -> dict[str, float]:
    """NAB's own verdict. The detector that always says the same is its zero."""
    run = [str(python), "run.py", "--score", "--normalize", "--optimize", "--skipConfirmation", "-n", "1"]
    for more in (["-d", "null", "--detect"], ["-d", "null,aegis"]):
        done = subprocess.run([*run, *more], cwd=copy, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"NAB's scorer failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    final = json.loads((copy / "results" / "final_results.json").read_text())["aegis"]
    return {ours: round(final[theirs], 2) for ours, theirs in PROFILES.items()}


def tell(figures: dict[str, Any]) -> None:
    print(f"\n{'':22}{'standard':>10}{'low FP':>10}{'low FN':>10}")
    ours = (figures["standard"], figures["low_fp"], figures["low_fn"])
    for name, scores in sorted([("this detector", ours), *BOARD.items()], key=lambda row: -row[1][0]):
        print(f"{name:22}" + "".join(f"{score:>10.1f}" for score in scores))
    print(f"\n{figures['points']} points of {figures['series']} series, "
          f"{figures['microseconds_per_point']} microseconds a point; what is kept of a series has at most "
          f"{figures['state_bytes_at_most'] / 1000:.1f} kB, kept and restored in "
          f"{figures['keep_and_restore_ms']} ms")  # fmt: skip
    splits = figures["splits"]
    print(f"\nstandard profile, threshold {USUAL.alarm_at} as shipped: {splits['as_shipped']}")
    print(f"threshold fitted on every other series, scored on the rest: {splits['halves']}")
    for name, score in splits["categories"].items():
        print(f"threshold fitted without {name}, scored on it: {score}")
    print(f"windows found {splits['windows_found']} of {splits['windows']}, "
          f"alarms outside {splits['outside']} (one in {splits['points_per_outside']} points)")  # fmt: skip
    print(f"a timer that rings every so many rows, at its best: {splits['timer']}")


def main() -> None:
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--nab", type=Path, help="a checkout of github.com/numenta/NAB")
    arguments.add_argument("--nab-python", type=Path, help="a Python with what NAB's scorer needs")
    arguments.add_argument("--json", action="store_true", help="print only the line of JSON")
    options = arguments.parse_args()
    if options.nab is None:
        print("No --nab: nothing was measured. NAB is a checkout of github.com/numenta/NAB.", file=sys.stderr)
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "NAB"
        for part in ("config", "data", "labels", "nab"):
            if not (options.nab / part).is_dir():
                sys.exit(f"{options.nab / part}: no such folder. Fix: give --nab a checkout of numenta/NAB")
            shutil.copytree(options.nab / part, copy / part)
        shutil.copy(options.nab / "run.py", copy)
        figures: dict[str, Any] = judge(copy, copy / "results" / "aegis")
        python = options.nab_python or python_for_scorer(Path(folder) / "python")
        figures = {**scored(python, copy), **figures}
        script = Path(__file__).resolve().with_name("anomaly_nab_splits.py")
        splits = subprocess.run(
            [str(python), str(script), str(USUAL.alarm_at)],
            cwd=copy, env={"PYTHONPATH": str(copy)}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if splits.returncode:
            sys.exit(f"{script.name} failed:\n{splits.stderr[-2000:]}")
        figures["splits"] = json.loads(splits.stdout)
    if not options.json:
        tell(figures)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
