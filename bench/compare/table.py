# SPDX-License-Identifier: BSD-3-Clause
"""Make a Markdown table of medians from the record of a run."""

from __future__ import annotations

import statistics
from typing import Any

__all__ = ["TITLES", "fraction", "markdown", "medians", "peak", "ratios"]

OWN = "fastnn/auto"
TITLES = {
    "torch": "PyTorch",
    "torch_compile": "torch.compile",
    "jax": "JAX",
    "sklearn": "scikit-learn",
    "keras": "Keras",
    "numpy": "NumPy",
}
OPTIMIZERS = {"sgd": "SGD", "adam": "Adam", "adamw": "AdamW"}


def medians(case: dict[str, Any]) -> dict[str, float]:
    """Return microseconds per step by peer and threads."""
    names = {name for entry in case["rounds"] for name in entry["turns"]}
    return {name: statistics.median(_times(case, name)) for name in sorted(names)}


def ratios(case: dict[str, Any]) -> dict[str, float]:
    """Return each peer's time, with its best number of threads, over fastnn's own choice."""
    best = _best(case)
    return {peer: us / best["fastnn"][0] for peer, (us, _) in best.items() if peer != "fastnn"}


def _best(case: dict[str, Any]) -> dict[str, tuple[float, str]]:
    """Return microseconds and threads by peer; for fastnn those of its own choice."""
    found: dict[str, tuple[float, str]] = {}
    times = medians(case)
    if OWN not in times:
        return found
    threads = [entry["turns"][OWN]["threads"] for entry in case["rounds"]]
    found["fastnn"] = times[OWN], str(statistics.mode(threads))
    for name, us in times.items():
        peer, _, number = name.partition("/")
        if peer != "fastnn" and (peer not in found or us < found[peer][0]):
            found[peer] = us, number
    return found


def _times(case: dict[str, Any], name: str) -> list[float]:
    return [entry["turns"][name]["us"] for entry in case["rounds"] if name in entry["turns"]]


def fraction(case: dict[str, Any]) -> float | None:
    """Return fastnn's fraction of the peak of the cores that it used; None if not measured."""
    us, threads = _best(case)["fastnn"]
    best = peak(case, threads)
    return None if best is None else case["flops"] / us * 1e6 / best


def peak(case: dict[str, Any], threads: str) -> float | None:
    """Return operations per second, of the best round: in some rounds threads share a core."""
    peaks = [entry["peak"].get(threads) for entry in case["rounds"]]
    return None if None in peaks or not peaks else float(max(peaks))


def _cell(case: dict[str, Any], peer: str) -> str:
    best = _best(case)
    if peer in best:
        us, threads = best[peer]
        return f"{_number(us)} ({threads}), **{_number(us / best['fastnn'][0])}x**"
    reasons = [text for name, text in case["skipped"].items() if name.split("/")[0] == peer]
    return "losses differ" if any("losses differ" in text for text in reasons) else "-"


def _number(value: float) -> str:
    """Format with three digits; the variation of the rounds does not justify more."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _name(case: dict[str, Any]) -> str:
    extras = [OPTIMIZERS[case["optimizer"]]]
    if case["activation"] != "relu" and len(case["widths"]) > 2:
        extras.append(case["activation"])
    if len(case["widths"]) == 2:
        extras.append("sigmoid")
    if case["dropout"]:
        extras.append(f"dropout {case['dropout']:g}")
    return f"{case['network']}, {case['batch']}, {', '.join(extras)}"


def _spread(record: dict[str, Any]) -> str:
    """Describe the interquartile range of fastnn's rounds, in the median case and the worst."""
    widths = []
    for case in record["cases"]:
        times = _times(case, OWN)
        if len(times) >= 4:
            low, middle, high = statistics.quantiles(times, n=4)
            widths.append((high - low) / middle)
    if not widths:
        return ""
    typical, worst = statistics.median(widths), max(widths)
    return (
        f"The middle half of fastnn's rounds spans {typical:.0%} of their median in the median "
        f"row, {worst:.0%} in the worst."
    )


def markdown(record: dict[str, Any]) -> str:
    """Return the table, with lines that describe the machine and the versions.

    Returns
    -------
    str
        Ends with a newline.
    """
    peers = [peer for peer in TITLES if any(_cell(case, peer) != "-" for case in record["cases"])]
    head = ["network, batch, optimizer", "fastnn us (threads)", "of the peak", "rows/s"]
    lines = [*_conditions(record), "", _row([*head, *(TITLES[peer] for peer in peers)])]
    lines.append("|---|" + "---:|" * (3 + len(peers)))
    for case in record["cases"]:
        best = _best(case)
        if "fastnn" not in best:
            lines.append(_row([_name(case), *["not measured"] * (3 + len(peers))]))
            continue
        us, threads = best["fastnn"]
        share = fraction(case)
        peak = "-" if share is None else f"{share:.2f}"
        own = [f"{_number(us)} ({threads})", peak, _rate(case["batch"] / us * 1e6)]
        lines.append(_row([_name(case), *own, *(_cell(case, peer) for peer in peers)]))
    return "\n".join([*lines, "", *_notes(record)]) + "\n"


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _rate(rows: float) -> str:
    return f"{rows / 1e6:.3g}M" if rows >= 1e6 else f"{rows / 1e3:.3g}k"


def _conditions(record: dict[str, Any]) -> list[str]:
    build, machine, settings = record["build"], record["machine"], record["settings"]
    versions = [
        " ".join([TITLES.get(peer, peer), *_version(found)])
        for peer, found in record["peers"].items()
    ]
    return [
        (
            f"{settings['dtype']}; {build['cpu']}, {machine['cores']} cores; instruction set "
            f"{build['isa']}, {build['compiler']}; {', '.join(versions)}."
        ),
        (
            f"Medians of {settings['rounds']} rounds; microseconds a step, in brackets the "
            "threads; in bold the peer's time over fastnn's."
        ),
    ]


def _version(found: dict[str, str]) -> list[str]:
    """List the library's version and, where they matter, those of its dependencies."""
    values = list(found.values())
    return [values[0], *([f"({found['backend']})"] if "backend" in found else [])]


def _choice(record: dict[str, Any]) -> str:
    """Describe the time with fastnn's choice of threads over that with the better fixed number."""
    costs = []
    for case in record["cases"]:
        times = medians(case)
        fixed = [us for name, us in times.items() if name.startswith("fastnn/") and name != OWN]
        if fixed and OWN in times:
            costs.append((times[OWN] / min(fixed), case["network"]))
    if not costs:
        return ""
    worst, network = max(costs)
    typical = statistics.median(cost for cost, _ in costs)
    return (
        f"fastnn's own choice of threads over its better fixed number: {typical:.2f} in the "
        f"median row, {worst:.2f} in the worst ({network})."
    )


def _notes(record: dict[str, Any]) -> list[str]:
    loads = [entry["load"] for case in record["cases"] for entry in case["rounds"]]
    notes = [_spread(record), _choice(record)]
    if loads:
        notes.append(
            f"Load of the machine before the run {record['machine']['load_before']:.1f}, in the "
            f"rounds {min(loads):.1f} to {max(loads):.1f}."
        )
    absent = sorted(record["absent"])
    if absent:
        notes.append(f"Not installed: {', '.join(TITLES.get(peer, peer) for peer in absent)}.")
    return [note for note in notes if note]
