# SPDX-License-Identifier: BSD-3-Clause
"""The bases of optimizers, with the schedule of their rate and groups, and of averages."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from . import _registry, _validate
from ._describe import Description, Overrides
from ._docstrings import sentence
from ._fields import Field, Value, argument_names, checked, default_values
from ._hints import shown
from ._schedule import LEARNING_RATE, LearningRate, Schedule, rate_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ._registry import Parameter, Row

__all__ = ["LIMIT", "Average", "Optimizer"]

LIMIT = "max_grad_norm"  # the setting of compile that groups may have


@functools.cache
def _group_params(optimizer: str) -> list[Parameter]:
    """Return what a group of parameters may have: the optimizer's parameters, and a limit."""
    settings = _registry.rows("settings")["compile"]["params"]
    own: list[Parameter] = _registry.rows("optimizers")[optimizer]["params"]
    return [*own, *(param for param in settings if param["name"] == LIMIT)]


class Optimizer(Description):
    """Base of the optimizers: immutable descriptions, whose state belongs to the model.

    `param_groups` gives some parameters other values, by patterns of their keys in ``state_dict``:
    ``{"*.bias": {"weight_decay": 0.0}, "0.*": {"lr": 1e-4}}``. ``*`` stands for any characters, as
    in file names. If several patterns give a parameter the same value, the last one counts. A
    schedule changes the learning rate of each group by its formula, from the group's own one on.
    With ``max_grad_norm``, which compile has for all others, the gradients of the parameters to
    which a pattern gives it are clipped by their own common norm; None does not clip them.

    Examples
    --------
    >>> from fastnn import optim
    >>> optim.Adam(lr=0.01) == optim.Adam(0.01), isinstance(optim.Adam(), optim.Optimizer)
    (True, True)
    """

    room: ClassVar[str] = "optimizers"
    positional: ClassVar[int | None] = 1
    more_fields: ClassVar[tuple[Field, ...]] = (
        Field(
            "param_groups",
            {},
            "Mapping[str, Mapping[str, Any]]",
            Mapping[str, Mapping[str, Any]],
            "dict of str to dict",
            'Other values by patterns of parameters\' keys: ``{"*.bias": {"weight_decay": 0.0}}``',
        ),
        Field(
            "decay_bias",
            True,
            "bool",
            bool,
            "bool",
            "Whether `weight_decay` applies to parameters of one dimension, too, such as biases "
            "and those of norms. False is short for a group before those of `param_groups`",
        ),
    )

    @classmethod
    def _documentation(cls, row: Row) -> tuple[str, Sequence[str], str]:
        names = [f"`{name}`" for name in row["states"]]
        states = " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
        notes = [
            f"States of each parameter, if the values need them, under torch's names: {states}."
        ]
        return sentence(row["formula"]), notes if names else [], ""

    @classmethod
    def _own_fields(cls, row: Row) -> list[Field]:
        rate = (LEARNING_RATE, LearningRate, "float, schedule, sequence of float or callable")
        more = "; a schedule, a list of the rates of steps, or a function of the epoch"
        return [
            Field(f.name, f.default, *rate, f.doc + more) if f.name == "lr" else f
            for f in super()._own_fields(row)
        ]

    def __post_init__(self) -> None:
        vars(self)["lr"] = rate_of(type(self).__name__, "lr", getattr(self, "lr", None))
        super().__post_init__()
        where, every = type(self).__name__, getattr(self, "decay_bias", True)
        vars(self)["decay_bias"] = _validate.flag(where, "decay_bias", every)
        # A dictionary changed later by its owner must not change the description.
        groups = getattr(self, "param_groups", {})
        if not isinstance(groups, Mapping):
            raise TypeError(
                f"[{type(self).__name__}] param_groups is {shown(groups)}; expected a "
                'dictionary: {"*.bias": {"weight_decay": 0.0}}'
            )
        if self.schedule is not None:
            self.core_hyper()  # checks that the momentum can follow it
        self.group_hyper()  # checks the values before they are copied
        vars(self)["param_groups"] = Overrides(dict(groups))

    @property
    def schedule(self) -> Schedule | None:
        """The schedule of the learning rate; None if it is a number.

        Examples
        --------
        >>> from fastnn import optim
        >>> optim.SGD(lr=optim.lr_scheduler.ConstantLR(0.1, total_iters=2)).schedule.total_iters
        2
        >>> optim.SGD(lr=0.1).schedule is None
        True
        """
        rate = getattr(self, "lr", None)
        return rate if isinstance(rate, Schedule) else None

    def hyper(self) -> dict[str, Value]:
        """Return the checked parameters; with a schedule, with the rate that it changes."""
        where, params, schedule = type(self).__name__, self.row["params"], self.schedule
        values = {name: getattr(self, name) for name in argument_names(params)}
        if schedule is None:
            return checked(where, params, values)
        base = schedule.base
        values["lr"] = default_values(params)["lr"] if base is None else base
        return checked(where, params, values)

    def core_hyper(self) -> dict[str, Value]:
        """Return the parameters for the core, with the momentum from which a schedule begins."""
        return self._cycled(self.hyper())

    def _cycled(self, values: dict[str, Value]) -> dict[str, Value]:
        """Return `values` with the momentum from which a schedule begins that changes it."""
        if self.schedule is None or not self.schedule.cycles_momentum:
            return values
        name = self.row["momentum"]
        if not name:
            raise ValueError(
                f"[{type(self).__name__}] it has no momentum that {type(self.schedule).__name__} "
                "could change; expected cycle_momentum=False"
            )
        first: Any = self.schedule
        return {key: first.max_momentum if key == name else v for key, v in values.items()}

    @property
    def decays_all(self) -> bool:
        """Whether `weight_decay` applies to every parameter; scikit-learn's is for weights."""
        return bool(getattr(self, "decay_bias", True)) and getattr(self, "form", "") != "sklearn"

    def group_hyper(self) -> dict[str, dict[str, Value]]:
        """Return the checked values of each pattern, under the registry's names."""
        where, groups = type(self).__name__, {}
        for pattern, values in getattr(self, "param_groups", {}).items():
            if not isinstance(pattern, str):
                raise TypeError(
                    f"[{where}] param_groups has the key {shown(pattern)}; expected a pattern of "
                    "parameters' keys: '*.bias'"
                )
            if not isinstance(values, Mapping):
                raise TypeError(
                    f"[{where}] param_groups[{pattern!r}] is {shown(values)}; expected a dictionary"
                )
            its = f"{where}.param_groups[{pattern!r}]"
            groups[pattern] = checked(its, _group_params(self.registry_name), values)
        return groups

    def hyper_of(
        self, where: str, keys: Iterable[str], vectors: Iterable[str] = ()
    ) -> dict[str, dict[str, Value]]:
        """Return the values of single parameters that differ from the others, by their keys.

        `vectors` are the keys of the parameters of one dimension.
        """
        found: dict[str, dict[str, Value]] = {}
        if not self.decays_all:
            found = {key: {"weight_decay": 0.0} for key in vectors}
        for _, named, values in self._named(where, keys):
            own = {name: value for name, value in values.items() if name != LIMIT}
            for key in named if own else ():
                found[key] = found.get(key, {}) | own
        return {key: self._cycled(values) for key, values in found.items()}

    def norm_limits(self, where: str, keys: Iterable[str]) -> list[tuple[float | None, list[str]]]:
        """Return limits of the gradients' norm, each with the keys of the parameters it is for.

        Those are the parameters to which the pattern that has the limit is the last to give one.
        """
        groups = [(named, v[LIMIT]) for _, named, v in self._named(where, keys) if LIMIT in v]
        last = {key: at for at, (named, _) in enumerate(groups) for key in named}
        found: list[tuple[Any, list[str]]] = [
            (limit, [key for key in named if last[key] == at])
            for at, (named, limit) in enumerate(groups)
        ]
        return [(limit, its) for limit, its in found if its]

    def _named(
        self, where: str, keys: Iterable[str]
    ) -> Iterator[tuple[str, list[str], dict[str, Value]]]:
        """Yield each pattern with the keys that it stands for, and its values."""
        import fnmatch  # imported only when it is needed

        known = list(keys)
        for pattern, values in self.group_hyper().items():
            named = [key for key in known if fnmatch.fnmatchcase(key, pattern)]
            if not named:
                raise ValueError(
                    f"[{where}] param_groups has {pattern!r}, which is no parameter's key; the "
                    f"parameters are: {', '.join(known)}"
                )
            yield pattern, named, values


class Average(Description):
    """Base of the averages of the parameters that ``compile(average=...)`` takes.

    In updates that count, ``average += share (w - average)`` for every parameter that trains, with
    the share 1 in the first. ``with model.averaged()`` predicts with the average.

    Examples
    --------
    >>> from fastnn import optim
    >>> optim.SWA(start_epoch=3).unit, isinstance(optim.EMA(), optim.Average)
    ('epochs', True)
    """

    room: ClassVar[str] = "averages"
    positional: ClassVar[int | None] = 1
