# SPDX-License-Identifier: BSD-3-Clause
"""The measurement: peers in their own processes take turns, round after round.

A worker does nothing while another has its turn. Nothing is timed against fastnn whose losses are
not fastnn's.
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
# scikit-learn and Keras add Adam's epsilon before the bias correction: by more than rounding.
# Keras also adds up the losses that it reports in float32.
OTHER_EPSILON = {"sklearn", "keras"}
SINGLE_SUMS = {"keras"}
CHECKED_EPOCHS = 3
# Threads of BLAS and OpenMP go on spinning after a call; the next turn begins when they sleep.
PAUSE = 0.05


@dataclass(frozen=True)
class Settings:
    """How long and with whom; `seconds` is the length of one turn."""

    cases: list[Case]
    peers: list[str]
    threads: list[int]
    rounds: int
    seconds: float
    dtype: str


def run(settings: Settings, json_file: Path | None) -> dict[str, Any]:
    """Measure all cases; the record is written anew after each, so that nothing is lost.

    Returns
    -------
    dict
        Everything, as in the JSON.
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
    """One process per peer and number of threads; those that are not installed are left out."""
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
        # Neither always the same neighbour before it nor always the same place in the round.
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
    """Load the case everywhere; return those whose losses are fastnn's, and fastnn's.

    Dropout draws its own numbers in each library: losses are compared without it.
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
    """Of the epochs' losses, relative to the first of them."""
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
    """JSON with a line for each case and each other entry."""
    lines = [f"{json.dumps(key)}: {json.dumps(record[key])}" for key in record if key != "cases"]
    cases = ",\n".join(json.dumps(case) for case in record["cases"])
    return "{\n" + ",\n".join([*lines, f'"cases": [\n{cases}\n]']) + "\n}\n"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
