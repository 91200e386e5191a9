"""The dry run: look at files before counting them, and say what is probably wrong."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from segmeter._arrays import integer
from segmeter.evaluation._facts import SIDES, Facts, evenly, gather
from segmeter.evaluation._findings import (
    Case,
    Finding,
    class_count,
    findings,
    inverted_options,
    is_mask_against_ids,
    one_above_options,
    one_below_options,
    renaming_option,
    sparse_options,
    threshold_options,
    train_id_options,
    void_options,
)
from segmeter.evaluation._options import PlanOptions, hands_on
from segmeter.evaluation.pairing import Pairing, pair_files
from segmeter.evaluation.plan import Plan, UnknownClassesError, make_plan
from segmeter.evaluation.run import PairingRule, open_dataset, pair_for
from segmeter.evaluation.worker import count_pair

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from segmeter.evaluation._listing import Source
    from segmeter.evaluation._problem import Problem
    from segmeter.evaluation.pairing import Pattern
    from segmeter.evaluation.protocols import ProtocolDataset

_SAMPLE = 32
_VOC_COLORS = ((0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0))


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What :func:`check` found.

    Attributes
    ----------
    findings : tuple of Finding
        Errors first, then warnings, then remarks.
    pairing : Pairing
    statistics : dict
        Pairs, sampled pairs, and for each side formats, sample types, sizes, and pixels per label.
    command : str or None
        Command line that evaluates these files, where one could be guessed.
    """

    findings: tuple[Finding, ...]
    pairing: Pairing
    statistics: Mapping[str, Any]
    command: str | None = None

    @property
    def exit_code(self) -> int:
        """3 if a finding is an error, else 0."""
        return 3 if any(finding.level == "error" for finding in self.findings) else 0

    def to_dict(self) -> dict[str, Any]:
        """Everything in plain values; label keys of the histograms are text, as in JSON."""
        statistics = dict(self.statistics)
        for side in SIDES:
            labels = {str(label): count for label, count in statistics[side]["labels"].items()}
            statistics[side] = statistics[side] | {"labels": labels}
        return {
            "findings": [finding.to_dict() for finding in self.findings],
            "pairing": self.pairing.report(),
            "statistics": statistics,
            "command": self.command,
        }

    def __str__(self) -> str:
        return self.report()

    def report(self) -> str:
        """Readable text of several lines."""
        lines = [self.pairing.report(), ""]
        for finding in self.findings:
            lines.append(f"{finding.level}: {finding.message} [{finding.code}]")
            if finding.remedy:
                lines.append(f"    {finding.remedy}")
        if not self.findings:
            lines.append("nothing looks wrong")
        if self.command is not None:
            lines += ["", f"try: {self.command}"]
        return "\n".join(lines)


@hands_on(make_plan)
def check(
    pred: Source,
    target: Source | None = None,
    *,
    pair: str = "stem",
    pred_suffix: str | None = None,
    target_suffix: str | None = None,
    pattern: Pattern = None,
    sample: int | None = _SAMPLE,
    **options: Unpack[PlanOptions],
) -> CheckReport:
    """Look at predictions and targets without scoring them, and say what is probably wrong.

    Headers of all files are read, and the labels of a sample of the pairs.

    Parameters
    ----------
    pred, target : path, glob string, or sequence of paths
        As in :func:`segmeter.evaluate`, like ``pair``, ``pred_suffix``, ``target_suffix`` and
        ``pattern``.
    sample : int or None
        Pairs whose labels are read, evenly spread; None: all.
    **options
        The keywords of :func:`segmeter.evaluation.plan.make_plan`; the number of classes may be
        unknown here.

    Returns
    -------
    CheckReport

    Raises
    ------
    ValueError, TypeError
        For wrong use, as in :func:`segmeter.evaluate`.

    Notes
    -----
    Findings about the meaning of labels (train ids, numbering off by one, other numbers for the
    same classes) come from how often each predicted label meets each target label; they are made
    when another reading explains at least half of the pixels, and a fifth more than equality.

    Examples
    --------
    >>> import tempfile, numpy as np
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for side, labels in (("pred", [0, 1, 1, 1]), ("target", [0, 0, 255, 255])):
    ...         (Path(folder) / side).mkdir()
    ...         np.save(Path(folder) / side / "a.npy", np.array([labels]))
    ...     report = check(f"{folder}/pred", f"{folder}/target")
    >>> [(finding.level, finding.code) for finding in report.findings]
    [('error', 'binary-values')]
    """
    if sample is not None and integer(sample, "sample") < 1:
        raise ValueError(f"sample must be at least 1, or None for all, got {sample}")
    plan: Plan | None
    try:
        plan = make_plan(**options)
    except UnknownClassesError:
        plan = None
    given = PairingRule(pair, pred_suffix, target_suffix, pattern)
    protocol = options.get("protocol")
    ratio = None if plan is None else plan.boundary_ratio
    dataset = open_dataset(protocol, pred, target, given, ratio)
    if plan is not None and dataset is not None:
        return _check_dataset(plan, dataset, sample)
    pairing = pair_for(protocol, pred, target, given)
    rule = None if pairing.pairs or pair != "stem" else pairing.better_rule()
    if rule is not None:  # so that what is said of the labels does not wait for a second check
        pred_suffix, target_suffix, pattern = astuple(rule[0])
    looked_at = pairing if rule is None else pair_files(pred, target, **asdict(rule[0]))
    cut = None if plan is None else plan.threshold
    facts = gather(looked_at.pairs, sample, options.get("color_table"), cut)
    mapped = options.get("mapping") is not None or options.get("pred_mapping") is not None
    case = Case(pairing, facts, plan, mapped)
    found = findings(case)
    advice = _options(case, {finding.code for finding in found})
    files = _file_options(pred, target, pair, pred_suffix, target_suffix, pattern)
    command = None
    if advice is not None and files is not None:
        command = " ".join(["segmeter evaluate", *files, *advice, *_measure_options(options)])
    return CheckReport(tuple(found), pairing, facts.to_dict(), command)


def _check_dataset(plan: Plan, dataset: ProtocolDataset, sample: int | None) -> CheckReport:
    """What is wrong with a data set that a protocol reads, found by measuring a sample of it."""
    pairs = tuple(dataset.pairs)
    facts = Facts(pairs)
    problems = list(dataset.problems)
    for pair in evenly(pairs, sample):
        problems += count_pair(pair, plan, dataset=dataset).problems
        facts.sampled += 1
    pairing = Pairing("by the images that the data sets name", pairs=pairs)
    return CheckReport(tuple(_as_findings(problems)), pairing, facts.to_dict())


def _as_findings(problems: Sequence[Problem]) -> Iterator[Finding]:
    """One finding per kind of problem, errors first."""
    by_kind: dict[tuple[str, str], list[Problem]] = {}
    for problem in problems:
        by_kind.setdefault((problem.level, problem.kind), []).append(problem)
    for (_, kind), alike in sorted(by_kind.items()):
        first, more = alike[0], len(alike) - 1
        message = first.message + (f" (and {more:,} more)" if more else "")
        files = tuple(dict.fromkeys(problem.path for problem in alike))
        remedy = "mend the files; evaluate lists such images and leaves them out"
        left_out = first.level == "error"
        yield Finding(first.level, kind, message, remedy if left_out else "", files)


def _options(case: Case, codes: set[str]) -> list[str] | None:
    """Options on labels worth trying; None where the given ones do, or nothing can be said."""
    facts, plan = case.facts, case.plan
    if codes & {"color-coded", "many-colors", "photograph"} or not facts.compared:
        return None
    if "instance-ids" in codes:
        masks = any(is_mask_against_ids(facts, side) for side in SIDES)
        return ["--protocol binary"] if masks else None
    following: dict[str, Callable[[], list[str]]] = {
        "numbered-objects": lambda: ["--instances"],
        "probabilities": lambda: threshold_options(facts),
        "inverted": lambda: inverted_options(facts),
        "binary-values": lambda: ["--protocol binary"],
        "train-ids-pred": lambda: train_id_options("pred"),
        "train-ids-target": lambda: train_id_options("target"),
        "off-by-one-pred": lambda: one_below_options(facts),
        "off-by-one-target": lambda: one_above_options(case),
    }
    for code, options in following.items():
        if code in codes:
            return options()
    return None if plan is not None else _options_of_labels(case, codes)


def _options_of_labels(case: Case, codes: set[str]) -> list[str]:
    """Options for labels that mean the same on both sides, or are renamed on one."""
    renaming = [renaming_option(case)] if "renamed" in codes else []
    protocol = _recognised(case.facts)
    if protocol is not None:
        return [f"--protocol {protocol}", *renaming]
    pred, target = (case.facts.sides[side].labels for side in SIDES)
    if max(target) > 1 and len({*pred, *target} - {0}) == 1:
        return ["--protocol binary"]
    sparse = sparse_options([*pred, *target])
    if sparse is not None and not renaming:
        return sparse
    count, void = class_count([*pred, *target])
    return [f"--num-classes {count}", *void_options(void), *renaming]


def _recognised(facts: Facts) -> str | None:
    """Protocol that names, palettes and labels of the targets point to."""
    names = [Path(pair.target).name for pair in facts.pairs]
    labels = facts.sides["target"].labels
    count, _ = class_count(labels)
    if all("_labelIds" in name for name in names):
        return "cityscapes"
    if all("_labelTrainIds" in name for name in names):
        return "cityscapes-trainids"
    if all(name.startswith("ADE_") for name in names) and count <= 151:
        return "ade20k"
    palettes = facts.sides["target"].palettes
    voc = len(palettes) == facts.sampled and all(
        tuple(map(tuple, palette[:4].tolist())) == _VOC_COLORS for palette in palettes
    )
    return "voc" if voc and len(labels) > 2 and count <= 21 else None


def _file_options(
    pred: Source,
    target: Source | None,
    pair: str,
    pred_suffix: str | None,
    target_suffix: str | None,
    pattern: Pattern,
) -> list[str] | None:
    """The options that name the files, as on the command line; None for lists of paths."""
    if not isinstance(pred, str | os.PathLike):
        return None
    if target is None:
        return [f"--pairs {_quoted(pred)}"]
    if not isinstance(target, str | os.PathLike):
        return None
    options = [f"--pred {_quoted(pred)}", f"--target {_quoted(target)}"]
    patterns = [pattern] if isinstance(pattern, str) else [*(pattern or ())]
    if pair == "order":
        options.append("--pair order")
    for name, values in (
        ("--pred-suffix", [pred_suffix]),
        ("--target-suffix", [target_suffix]),
        ("--pattern", patterns),
    ):
        options += [f"{name} {shlex.quote(value)}" for value in values if value]
    return options


def _measure_options(options: PlanOptions) -> list[str]:
    """The options on what is measured, as they were given: advice on labels leaves them alone."""
    given: list[tuple[str, str | None]] = [
        ("--measures", _listed(options.get("measures"))),
        ("--connectivity", _listed(options.get("connectivity"))),
        ("--spacing", _listed(options.get("spacing"))),
        ("--tolerance", _tolerance(options)),
        ("--preset", options.get("preset")),
        ("--boundary-ratio", _listed(options.get("boundary_ratio"))),
    ]
    return [f"{name} {shlex.quote(value)}" for name, value in given if value is not None]


def _tolerance(options: PlanOptions) -> str | None:
    unit = options.get("tolerance_unit")
    listed = _listed(options.get("tolerance"))
    return listed if listed is None or unit is None else listed + {"pixel": "px"}.get(unit, unit)


def _listed(value: Any) -> str | None:
    """A number, a word, several, or one for each name, as the command line takes them."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return ",".join(f"{name}={_listed(number)}" for name, number in value.items())
    if isinstance(value, int | float):
        return str(value).removesuffix(".0")
    return ",".join(str(_listed(part)) for part in value)


def _quoted(path: str | os.PathLike[str]) -> str:
    return shlex.quote(os.fspath(path))
