"""The evaluation of many pairs: threads over images, bounded memory, results in a fixed order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from segmeter._arrays import shown, thread_limit
from segmeter._core import max_threads
from segmeter.evaluation import protocols
from segmeter.evaluation._options import PlanOptions, hands_on
from segmeter.evaluation._totals import Totals
from segmeter.evaluation.pairing import Pair, Pairing, Pattern, pair_files
from segmeter.evaluation.plan import Plan, make_plan
from segmeter.evaluation.result import Result
from segmeter.evaluation.worker import Outcome, count_pair

if TYPE_CHECKING:
    from segmeter.evaluation._listing import Source
    from segmeter.evaluation._problem import Problem
    from segmeter.evaluation.protocols import ProtocolDataset

Progress = Callable[[int, int, int], object]

_IN_FLIGHT_PER_THREAD = 2


class EvaluationInterrupted(KeyboardInterrupt):
    """Ctrl-C during :func:`evaluate`; ``result`` holds what was counted until then.

    Parameters
    ----------
    result : Result
        Its ``interrupted`` is True and its ``exit_code`` 130.
    """

    def __init__(self, result: Result) -> None:
        super().__init__(f"interrupted after {result.num_images} images")
        self.result = result


@hands_on(make_plan)
def evaluate(
    pred: Source,
    target: Source | None = None,
    *,
    pair: str = "stem",
    pred_suffix: str | None = None,
    target_suffix: str | None = None,
    pattern: Pattern = None,
    missing: str = "report",
    cause_maps: str | os.PathLike[str] | None = None,
    threads: int = 0,
    progress: Progress | None = None,
    **options: Unpack[PlanOptions],
) -> Result:
    """Compare a set of predicted masks with their targets.

    Parameters
    ----------
    pred, target : path, glob string, or sequence of paths
        Folder, glob, ``.txt`` list, list of paths or single file; or ``pred`` a CSV of pairs and
        no target. See :func:`segmeter.evaluation.pairing.pair_files`, also for ``pair``,
        ``pred_suffix``, ``target_suffix`` and ``pattern``. Some protocols read data sets instead,
        such as two JSON files; these pair by what the files say.
    missing : {"report", "raise"}
        Files without a partner: listed in ``.problems``, or an error before anything is counted.
    cause_maps : path, optional
        Folder for maps of causes, made if needed: for each image ``ID_pred.png`` and
        ``ID_target.png`` (of volumes ``.npy``), whose values are those of :class:`segmeter.Cause`:
        why the pixel is wrong for the class that is predicted, and for the class that it is.
        Needs the measure ``"cause"``.
    threads : int
        Threads; 0: all this process may use. Images are spread over them; only where there are
        fewer images than threads, an image is counted by several. Results do not depend on it.
    progress : callable, optional
        Called as ``progress(done, total, problems)`` after every pair, from the calling thread.
    **options
        What labels mean and which of them count (``protocol``, ``num_classes``, ``class_names``,
        ``ignore_index``, ``mapping`` and others), and what is measured (``measures`` and others):
        the keywords of :func:`segmeter.evaluation.plan.make_plan`, which describes them.

    Returns
    -------
    Result
        Also where files could not be counted: they are in ``.problems``, and ``.exit_code`` is 3.

    Raises
    ------
    ValueError, TypeError
        For wrong use, such as an unknown option, a folder that does not exist or holds no label
        maps, or a number of classes that nothing says.
    EvaluationInterrupted
        On Ctrl-C; a ``KeyboardInterrupt`` whose ``result`` holds what was counted.

    Notes
    -----
    One process, one thread per image: decoders and kernels release the GIL. At most two pairs per
    thread are in memory. Counts are exact integers, added in the order of the pairs.

    Examples
    --------
    >>> import tempfile, numpy as np
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for side, labels in (("pred", [0, 1, 1, 1]), ("target", [0, 0, 1, 1])):
    ...         (Path(folder) / side).mkdir()
    ...         np.save(Path(folder) / side / "a.npy", np.array([labels]))
    ...     result = evaluate(f"{folder}/pred", f"{folder}/target", num_classes=2)
    >>> result.per_class[1]["iou"], result.problems
    (0.6666666666666666, [])
    """
    if missing not in ("report", "raise"):
        raise ValueError(f"missing must be 'report' or 'raise', got {missing!r}")
    thread_limit(threads)
    if progress is not None and not callable(progress):
        raise TypeError(
            f"progress must be a function of (done, total, problems), got {shown(progress)}"
        )
    plan = make_plan(**options)
    if cause_maps is not None and "cause" not in plan.measures:
        raise ValueError("cause_maps is for causes; name 'cause' among the measures")
    rule = PairingRule(pair, pred_suffix, target_suffix, pattern)
    dataset = open_dataset(plan.protocol, pred, target, rule, plan.boundary_ratio)
    if dataset is not None:
        if missing == "raise" and dataset.problems:
            raise ValueError(f"{len(dataset.problems)} problems; {dataset.problems[0].message}")
        return evaluate_dataset(plan, dataset, threads=threads, progress=progress)
    pairing = pair_for(plan.protocol, pred, target, rule)
    if missing == "raise" and not pairing.complete:
        raise ValueError(f"not every file has a partner\n{pairing.report()}")
    folder = None if cause_maps is None else Path(cause_maps)
    return evaluate_pairs(plan, pairing, cause_maps=folder, threads=threads, progress=progress)


def evaluate_pairs(
    plan: Plan,
    pairing: Pairing,
    *,
    cause_maps: Path | None = None,
    threads: int = 0,
    progress: Progress | None = None,
) -> Result:
    """Count the pairs of a pairing by the rules of a plan.

    Parameters
    ----------
    plan : Plan
    pairing : Pairing
    cause_maps, threads, progress
        As in :func:`evaluate`.

    Returns
    -------
    Result

    Raises
    ------
    EvaluationInterrupted
        On Ctrl-C.

    Examples
    --------
    >>> evaluate_pairs(make_plan(num_classes=2), Pairing("none")).num_images
    0
    """
    count = partial(count_pair, plan=plan, cause_maps=cause_maps)
    return _evaluate(plan, pairing, count, (), threads, progress)


def evaluate_dataset(
    plan: Plan, dataset: ProtocolDataset, *, threads: int = 0, progress: Progress | None = None
) -> Result:
    """Measure the pairs of a data set that a protocol has read.

    Parameters
    ----------
    plan : Plan
        Its classes become those of the data set.
    dataset : ProtocolDataset
    threads, progress
        As in :func:`evaluate`.

    Returns
    -------
    Result

    Raises
    ------
    EvaluationInterrupted
        On Ctrl-C.
    """
    names = dataset.class_names
    plan = replace(plan, num_classes=len(names), class_names=names)
    pairing = Pairing("by the images that the data sets name", pairs=tuple(dataset.pairs))
    count = partial(count_pair, plan=plan, dataset=dataset)
    return _evaluate(plan, pairing, count, dataset.problems, threads, progress)


def _evaluate(
    plan: Plan,
    pairing: Pairing,
    count: Callable[..., Outcome],
    problems: Iterable[Problem],
    threads: int,
    progress: Progress | None,
) -> Result:
    totals = Totals(plan)
    totals.problems += pairing.problems()
    totals.problems += problems
    facts = {
        "rule": pairing.rule,
        "pairs": len(pairing.pairs),
        "left_out": len(pairing.skipped),
        "advice": pairing.advice(),
    }
    threads = threads or max_threads()
    outcomes = _outcomes(count, pairing.pairs, threads)
    try:
        for done, outcome in enumerate(outcomes, 1):
            totals.problems += outcome.problems
            if outcome.counts is not None:
                totals.add(outcome.counts)
            if progress is not None:
                progress(done, len(pairing.pairs), len(totals.problems))
    except KeyboardInterrupt:
        outcomes.close()
        totals.settle()
        raise EvaluationInterrupted(Result(plan, totals, facts, interrupted=True)) from None
    return Result(plan, totals, facts)


@dataclass(frozen=True, slots=True)
class PairingRule:
    """The options of :func:`pair_files`, as the user gave them."""

    pair: str = "stem"
    pred_suffix: str | None = None
    target_suffix: str | None = None
    pattern: Pattern = None


def open_dataset(
    protocol: str | None,
    pred: Source,
    target: Source | None,
    rule: PairingRule,
    boundary_ratio: float | None,
) -> ProtocolDataset | None:
    """Read both data sets, if the protocol is one that reads data sets."""
    chosen = None if protocol is None else protocols.get(protocol)
    if chosen is None or chosen.dataset is None:
        return None
    if rule != PairingRule():
        raise ValueError(
            f"protocol {chosen.name!r} pairs images by what its files say; "
            "leave out pair=, pred_suffix=, target_suffix= and pattern="
        )
    if not (isinstance(pred, str | os.PathLike) and isinstance(target, str | os.PathLike)):
        raise ValueError(f"protocol {chosen.name!r} takes one path for pred and one for target")
    options = {"boundary_ratio": boundary_ratio} if chosen.takes_boundary_ratio else {}
    return chosen.dataset(os.fspath(pred), os.fspath(target), **options)


def pair_for(
    protocol: str | None, pred: Source, target: Source | None, rule: PairingRule
) -> Pairing:
    """Pair files, by the file names of a protocol where the caller names no rule.

    Files that do not follow the names of the protocol at all are paired as usual.
    """
    options: dict[str, Any] = asdict(rule)
    chosen = None if protocol is None else protocols.get(protocol)
    if chosen is None or chosen.target_pattern is None or rule != PairingRule() or target is None:
        return pair_files(pred, target, **options)
    own = pair_files(pred, target, pattern=(chosen.pred_pattern, chosen.target_pattern))
    usual = own if own.pairs else pair_files(pred, target, **options)
    if usual.pairs and not own.pairs:
        return usual
    return replace(own, rule=f"by the file names of {chosen.name}")


def _outcomes(
    count: Callable[..., Outcome], pairs: Sequence[Pair], threads: int
) -> Generator[Outcome]:
    """Outcomes in the order of the pairs; a few pairs are in work at any time."""
    workers = max(1, min(threads, len(pairs)))
    inner = max(1, threads // workers)
    if workers == 1:
        yield from (count(pair, threads=inner) for pair in pairs)
        return
    waiting: deque[Future[Outcome]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="segmeter")
    try:
        for pair in pairs:
            waiting.append(pool.submit(count, pair, threads=inner))
            if len(waiting) >= _IN_FLIGHT_PER_THREAD * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:  # also on Ctrl-C: what has not begun never will, what runs is waited for
        pool.shutdown(wait=True, cancel_futures=True)
