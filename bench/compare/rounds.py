# SPDX-License-Identifier: BSD-3-Clause
"""The measurement: peers in processes of their own take turns, round after round.

While one worker has its turn, the others are idle. A peer whose losses differ from fastnn's is not
timed.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastnn import build_info
from fastnn._bench import AGREEMENT
from fastnn._pair import curve_difference

from .child import Child, ChildError
from .networks import flops
from .peak import Peak

if TYPE_CHECKING:
    from .case import Case

__all__ = ["FORMAT", "OWN", "Settings", "run"]

FORMAT = 1
OWN = "fastnn/auto"
# Wider tolerances: scikit-learn and Keras add Adam's epsilon before the bias correction, and Keras
# also sums the losses that it reports in float32.
OTHER_EPSILON = {"sklearn", "keras"}
SINGLE_SUMS = {"keras"}
CHECKED_EPOCHS = 3
# Seconds between turns: threads of BLAS and OpenMP spin for a while after a call, and should not
# disturb the next turn.
PAUSE = 0.05


@dataclass(frozen=True)
class Settings:
    """The settings of a run; `seconds` is the length of one turn."""

    cases: list[Case]
    peers: list[str]
    threads: list[int]
    rounds: int
    seconds: float
    dtype: str


def run(settings: Settings, json_file: Path | None) -> dict[str, Any]:
    """Measure all cases; the record is written after each case, in case the run is interrupted.

    Returns
    -------
    dict
        The record, as in the JSON file.
    """
    with tempfile.TemporaryDirectory() as folder:
        peak = Peak(settings.dtype, Path(folder))
        children, refusals, versions = _start(settings)
        record: dict[str, Any] = {
            "format": FORMAT,
            "machine": _machine(peak),
            "build": build_info(),
            "peers": versions,
            "absent": refusals,
            "settings": {
                "dtype": settings.dtype,
                "rounds": settings.rounds,
                "seconds": settings.seconds,
                "threads": settings.threads,
                "checked_epochs": CHECKED_EPOCHS,
            },
            "cases": [],
        }
        begin = time.monotonic()
        try:
            for case in settings.cases:
                record["cases"].append(_measure(case, settings, children, peak))
                record["seconds"] = round(time.monotonic() - begin, 1)
                if json_file is not None:
                    json_file.parent.mkdir(parents=True, exist_ok=True)
                    json_file.write_text(_dump(record), encoding="utf-8")
        finally:
            for child in children:
                child.close()
    return record


def _start(
    settings: Settings,
) -> tuple[list[Child], dict[str, str], dict[str, dict[str, str]]]:
    """Start a process per peer and number of threads; peers that are missing are left out."""
    children: list[Child] = []
    refusals: dict[str, str] = {}
    versions: dict[str, dict[str, str]] = {}
    for peer in settings.peers:
        for threads in [*([0] if peer == "fastnn" else []), *settings.threads]:
            if peer in refusals:
                continue
            child = Child(peer, threads)
            try:
                versions[peer] = child.ask("versions")
                children.append(child)
            except ChildError as error:
                refusals[peer] = str(error)
                child.close()
                _say(f"without {peer}: {error}")
    return children, refusals, versions


def _measure(case: Case, settings: Settings, children: list[Child], peak: Peak) -> dict[str, Any]:
    _say(f"{case.network}, {case.batch}, {case.optimizer}")
    result: dict[str, Any] = {
        **case.to_json(),
        "network": case.network,
        "flops": flops(case),
        "skipped": {},
        "losses": {},
        "tolerance": {},
        "difference": {},
        "rounds": [],
    }
    ready = _agreeing(case, children, result)
    for number in range(settings.rounds):
        # A different order in each round: no peer always has the same place or predecessor.
        shift = number * len(ready) // settings.rounds
        order = ready[shift:] + ready[:shift]
        entry: dict[str, Any] = {"load": os.getloadavg()[0], "turns": {}}
        time.sleep(PAUSE)
        entry["peak"] = peak.measure(settings.seconds / 2)
        for child in order if number % 2 == 0 else order[::-1]:
            if child.name in result["skipped"]:
                continue
            time.sleep(PAUSE)
            try:
                turn = child.ask("turn", seconds=settings.seconds)
            except ChildError as error:
                result["skipped"][child.name] = str(error)
                continue
            entry["turns"][child.name] = {
                "us": turn["seconds"] / turn["steps"] * 1e6,
                "steps": turn["steps"],
                "threads": turn["threads"],
            }
        result["rounds"].append(entry)
    for name in sorted(set(result["skipped"]) & {child.name for child in ready}):
        for entry in result["rounds"]:
            entry["turns"].pop(name, None)
    for child in ready:
        times = [e["turns"][child.name]["us"] for e in result["rounds"] if child.name in e["turns"]]
        if times:
            _say(f"    {child.name:<18}{statistics.median(times):>12.1f} us")
    return result


def _agreeing(case: Case, children: list[Child], result: dict[str, Any]) -> list[Child]:
    """Load the case in all workers; return those whose losses agree with fastnn's.

    The losses are compared without dropout, for which every library draws other random numbers.
    """
    still, ready = replace(case, dropout=0.0), []
    for child in children:
        try:
            child.ask("load", case=still.to_json())
            losses = child.ask("losses", epochs=CHECKED_EPOCHS)
            result["losses"][child.name] = losses
            if OWN not in result["losses"]:
                raise ChildError("fastnn did not train this network")
            own = result["losses"][OWN]
            difference = curve_difference(own, losses) / abs(own[0])
            allowed = _tolerance(case, child.peer)
            result["difference"][child.name] = min(difference, 1e300)  # JSON has no infinity
            result["tolerance"][child.name] = allowed
            if difference > allowed:
                raise ChildError(f"losses differ by {difference:.1e}, allowed {allowed:.0e}")
            if case.dropout:
                child.ask("load", case=case.to_json())
            ready.append(child)
        except ChildError as error:
            result["skipped"][child.name] = str(error)
            _say(f"    {child.name} not timed: {error}")
    return ready


def _tolerance(case: Case, peer: str) -> float:
    """Return the tolerance for the losses of the epochs, relative to the first."""
    if peer in SINGLE_SUMS or (peer in OTHER_EPSILON and case.optimizer != "sgd"):
        return AGREEMENT["float32"]
    return AGREEMENT[case.dtype]


def _machine(peak: Peak) -> dict[str, Any]:
    return {
        "cores": len(os.sched_getaffinity(0)),
        "system": platform.platform(),
        "load_before": os.getloadavg()[0],
        "peak_compiler": peak.compiler if peak.cores else None,
    }


def _dump(record: dict[str, Any]) -> str:
    """Return JSON with one line for each case and each other entry."""
    lines = [f"{json.dumps(key)}: {json.dumps(record[key])}" for key in record if key != "cases"]
    cases = ",\n".join(json.dumps(case) for case in record["cases"])
    return "{\n" + ",\n".join([*lines, f'"cases": [\n{cases}\n]']) + "\n}\n"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
