"""``segmeter evaluate``: options to keywords, a progress bar, the tables, files, the gate."""

from __future__ import annotations

import difflib
import inspect
import math
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from segmeter.cli import _values
from segmeter.cli._console import console, progress_bar, say, with_flags
from segmeter.report._text import count_text, is_distance, plural

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from segmeter.cli._options import Display, Inputs, Outputs, Running
    from segmeter.evaluation import Result

_GATE_FAILED = 1
_GROUP_TABLES = ("label_groups", "per_image_per_group")
_STANDARD_OUTPUT = Path("-")
_PERCENTILE_OF_ALL = re.compile(r"mean_hd\d+|hd\d+:(?P<whose>.+)")
_OTHER_TABLES = (".json", ".tsv", ".txt", ".xls", ".xlsx")


def evaluate(inputs: Inputs, outputs: Outputs, running: Running, display: Display) -> int:
    """Run an evaluation, show and write what it found, and give the exit code."""
    from segmeter.evaluation import EvaluationInterrupted
    from segmeter.evaluation import evaluate as run

    gates = [
        *(_Gate("--fail-under", *_values.gate(text)) for text in outputs.fail_under or ()),
        *(_Gate("--fail-over", *_values.limit(text)) for text in outputs.fail_over or ()),
    ]
    _check_places(outputs)
    files, keywords = call(inputs)
    if gates:
        _check_gates(gates, keywords)
    try:
        with progress_bar(shown=not display.quiet, no_color=display.no_color) as progress:
            result = run(
                *files,
                **keywords,
                missing=running.missing,
                cause_maps=outputs.cause_maps,
                threads=running.threads,
                progress=progress,
            )
    except EvaluationInterrupted as stop:
        show(stop.result, outputs, display)
        say(f"{stop}: the numbers are over these alone, and no file was written")
        return stop.result.exit_code
    show(result, outputs, display)
    _write(result, outputs)
    scores = _gated(result)
    failed = _failed(gates, scores)
    for line in (*failed, *_reservations(gates, scores, result)):
        say(line)
    return result.exit_code or (_GATE_FAILED if failed else 0)


def call(inputs: Inputs) -> tuple[list[str], dict[str, Any]]:
    """Files and keywords for :func:`segmeter.evaluate` and :func:`segmeter.check`."""
    keywords = {
        name: getattr(inputs, name)
        for name in (
            *("protocol", "num_classes", "ignore_index", "reduce_zero_label", "out_of_range"),
            *("threshold", "pair", "pred_suffix", "target_suffix", "instances", "connectivity"),
            *("preset", "boundary_ratio"),
        )
    }
    keywords |= _labels(inputs)
    if inputs.measures is not None:
        keywords["measures"] = _values.listed(inputs.measures, "--measures", "pixel,region")
    if inputs.things is not None:
        keywords["things"] = _values.listed_classes(inputs.things)
    if inputs.spacing != "auto":
        keywords["spacing"] = _values.spacing(inputs.spacing)
    if inputs.tolerance is not None:
        keywords["tolerance"], keywords["tolerance_unit"] = _values.tolerance(inputs.tolerance)
    patterns = inputs.pattern or []
    if len(patterns) > 2:
        raise ValueError(f"--pattern: at most two (predictions, targets), got {len(patterns)}")
    keywords["pattern"] = tuple(patterns) if len(patterns) == 2 else next(iter(patterns), None)
    return _files(inputs), keywords


def _files(inputs: Inputs) -> list[str]:
    if inputs.pairs is not None:
        if inputs.pred is not None or inputs.target is not None:
            raise ValueError("give either --pairs or --pred and --target, not both")
        if not Path(inputs.pairs).is_file():
            raise ValueError(f"--pairs: there is no file '{inputs.pairs}'")
        return [inputs.pairs]
    if inputs.pred is None or inputs.target is None:
        missing = "--pred" if inputs.pred is None else "--target"
        raise ValueError(f"{missing} is missing: give --pred and --target, or --pairs")
    return [inputs.pred, inputs.target]


def _labels(inputs: Inputs) -> dict[str, Any]:
    """Options that are more than a number or a word."""
    keywords: dict[str, Any] = {}
    names: tuple[str, ...] = ()
    if inputs.classes is not None:
        classes = _values.classes(inputs.classes)
        names = classes.names
        keywords["class_names"] = names
        if not classes.in_order and inputs.mapping is None:
            keywords["mapping"] = {label: k for k, label in enumerate(classes.labels)}
    for option in ("mapping", "pred_mapping"):
        text = getattr(inputs, option)
        if text is not None:
            keywords[option] = _values.mapping(text, f"--{option.replace('_', '-')}")
    if inputs.label_groups:
        keywords["label_groups"] = _values.groups(inputs.label_groups)
    if inputs.color_table is not None:
        keywords["color_table"] = _values.color_table(inputs.color_table, names)
    return keywords


def show(result: Result, outputs: Outputs, display: Display) -> None:
    """Print the tables, on standard error where the JSON has standard output."""
    from segmeter.report.table import print_result

    if display.quiet:
        _say_what_is_left_out(result)
        return
    screen = console(stderr=outputs.json == _STANDARD_OUTPUT, no_color=display.no_color)
    print_result(result, screen, worst=outputs.worst, wording=with_flags)


def _say_what_is_left_out(result: Result) -> None:
    """One line, so that an exit code of 3 is never all there is."""
    from segmeter.report.table import problem_text

    errors = [problem for problem in result.problems if problem["level"] == "error"]
    if errors:
        lost = len({problem["id"] for problem in errors})
        all_images = plural(result.num_images + lost, "image")
        message = problem_text(errors[0], with_flags)
        say(f"{count_text(lost)} of {all_images} could not be evaluated; first: {message}")


def _check_places(outputs: Outputs) -> None:
    """Refuse a place that cannot be written to before the work is done, not after."""
    for option, path in (("--json", outputs.json), ("--csv", outputs.csv)):
        if path is None or (path == _STANDARD_OUTPUT and option == "--json"):
            continue
        if not path.parent.is_dir():
            raise ValueError(
                f"{option}: there is no folder '{path.parent}' to write {path.name} to"
            )
        if path.is_dir() and (option == "--json" or _is_csv_file(path)):
            raise ValueError(f"{option}: '{path}' is a folder")
        if option == "--csv" and not _is_csv_file(path):
            rule = "give a folder, or a name ending in .csv"
            if path.is_file():
                raise ValueError(f"--csv: '{path}' is a file; {rule}")
            if path.suffix.lower() in _OTHER_TABLES and not path.is_dir():
                raise ValueError(f"--csv: '{path}' seems to be no CSV file; {rule}")
        _check_writable(option, path)
    if outputs.cause_maps is not None and outputs.cause_maps.is_file():
        raise ValueError(f"--cause-maps: '{outputs.cause_maps}' is a file; give a folder")
    if outputs.worst < 0:
        raise ValueError(f"--worst: expected 0 or more, got {outputs.worst}")


def _check_writable(option: str, path: Path) -> None:
    """Refuse a file that may not be written, or a folder in which none can be made."""
    if path.exists() and not path.is_dir():  # a pipe or a device is written where it is
        if not os.access(path, os.W_OK):
            raise ValueError(f"{option}: '{path}' cannot be written: permission denied")
        return
    try:
        tempfile.TemporaryFile(dir=path if path.is_dir() else path.parent).close()
    except OSError as error:
        raise ValueError(f"{option}: '{path}' cannot be written: {error.strerror}") from error


def _is_csv_file(path: Path) -> bool:
    return path.suffix.lower() == ".csv"


def _write(result: Result, outputs: Outputs) -> None:
    if outputs.json == _STANDARD_OUTPUT:
        sys.stdout.write(result.to_json())
    elif outputs.json is not None:
        result.to_json(outputs.json)
    if outputs.csv is None:
        return
    if _is_csv_file(outputs.csv):
        result.to_csv(outputs.csv)
        return
    outputs.csv.mkdir(exist_ok=True)
    left_out = {"problems", *(() if result.label_groups else _GROUP_TABLES)}
    for table in result.tables:
        if table not in left_out:
            result.to_csv(outputs.csv / f"{table}.csv", table)


class _Gate(NamedTuple):
    """A limit on a score, and the option that gave it."""

    option: str
    name: str
    limit: float


def _check_gates(gates: Sequence[_Gate], keywords: Mapping[str, Any]) -> None:
    """Refuse a gate on no score before anything is counted."""
    from segmeter.evaluation import protocols

    names = _score_names(keywords)
    chosen = keywords.get("protocol")
    own = None if chosen is None else protocols.get(chosen)
    later = own is not None and not own.pixels
    for option, name, _ in gates:
        other = "--fail-over" if is_distance(name) else "--fail-under"
        if other != option and (is_distance(name) or name in names):
            kind = "a distance, the smaller the better" if is_distance(name) else "no distance"
            raise ValueError(f"{option}: {name} is {kind}; {other} sets its limit")
        if later and ":" in name:  # scores of its classes are known when it has measured
            continue
        if name not in names:
            close = difflib.get_close_matches(name, names, n=1)
            hint = f"; did you mean {close[0]}? There are" if close else "; there are"
            whole = ", ".join(each for each in names if ":" not in each)
            single = next((each for each in names if ":" in each), None)
            more = "" if single is None else f", and those of one class or group, such as {single}"
            raise ValueError(f"{option}: there is no score '{name}'{hint} {whole}{more}")


def _score_names(keywords: Mapping[str, Any]) -> list[str]:
    """Names of the data set scores: those of no image, and those a protocol measures."""
    from segmeter.evaluation import Pairing, evaluate_pairs, make_plan, protocols

    known = inspect.signature(make_plan).parameters
    plan = make_plan(**{name: value for name, value in keywords.items() if name in known})
    names = list(_gated(evaluate_pairs(plan, Pairing("none"))))
    if plan.protocol is None:
        return names
    return [*names, *protocols.get(plan.protocol).names_of_scores(plan.boundary_ratio)]


def _gated(result: Result) -> dict[str, float]:
    """Every score that a gate can name: ``iou:road`` is the IoU of a class or a label group.

    A mean of distances that leaves out infinite ones counts as infinite: what was missed is no
    reason to pass.
    """
    measured = [
        (kind, result.rows(f"{name}_per_{kind}"))
        for name in result.totals.measures
        for kind in ("group", "class")
        if f"{name}_per_{kind}" in result.tables
    ]
    single = {
        f"{score}:{row[kind]}": _strict(value, row, score.removesuffix("_per_image") + "_{}")
        if score.endswith("_per_image")
        else value
        for kind, rows in (
            ("group", result.label_groups),
            *measured,
            ("class", result.per_class),
        )
        for row in rows
        for score, value in row.items()
        if type(value) is float
    }
    over = result.scores_over
    return single | {
        name: _strict(value, over.get(name, {}), "{}_cases")
        for name, value in result.scores.items()
    }


def _reservations(
    gates: Sequence[_Gate], scores: Mapping[str, float], result: Result
) -> Iterator[str]:
    """What a limit on a percentile of all surfaces does not see: small ones missed whole."""
    rows = [
        (kind, row)
        for kind in ("group", "class")
        if f"boundary_per_{kind}" in result.tables
        for row in result.rows(f"boundary_per_{kind}")
    ]
    for _, name, limit in gates:
        percentile = _PERCENTILE_OF_ALL.fullmatch(name)
        if percentile is None or not scores.get(name, math.inf) <= limit:
            continue
        whose = percentile["whose"]
        number = sum(
            row["missed"] + row["invented"]
            for kind, row in rows
            if (row[kind] == whose if whose else kind == "class")
        )
        if number:
            mean = f"hd95_per_image:{whose}" if whose else "mean_hd95_per_image"
            yield (
                f"gate kept, but {plural(number, 'surface')} missed or invented: {name} is of all "
                f"surface, of which they are little; {mean} counts every image alike"
            )


def _strict(value: float, counts: Mapping[str, Any], name: str) -> float:
    """The mean, or what the cases are that it leaves out by these counts of them."""
    if counts.get(name.format("undefined"), 0):
        return math.nan
    return math.inf if counts.get(name.format("infinite"), 0) else value


def _failed(gates: Sequence[_Gate], scores: Mapping[str, float]) -> list[str]:
    """Gates that were missed, in words; an undefined score reaches no limit."""
    failed = []
    for option, name, limit in gates:
        if name not in scores:
            failed.append(f"gate failed: there is no score {name}")
            continue
        value = scores[name]
        passed = value >= limit if option == "--fail-under" else value <= limit
        if not passed:
            side = "below" if option == "--fail-under" else "above"
            infinite = "infinite in some image" if "_per_" in name else "infinite"
            shown = infinite if math.isinf(value) else value
            failed.append(f"gate failed: {name} is {shown}, {side} {limit}")
    return failed
