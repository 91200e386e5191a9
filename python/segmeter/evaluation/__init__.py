"""Offline evaluation: folders of files in, tables out.

:func:`evaluate` compares a set of predictions with their targets, :func:`check` looks at both
first and says what is probably wrong.
"""

from __future__ import annotations

from segmeter.evaluation._findings import Finding
from segmeter.evaluation._problem import PairError, Problem
from segmeter.evaluation.check import CheckReport, check
from segmeter.evaluation.pairing import Pair, Pairing, pair_files
from segmeter.evaluation.plan import Plan, make_plan
from segmeter.evaluation.result import Result
from segmeter.evaluation.run import EvaluationInterrupted, evaluate, evaluate_pairs
from segmeter.evaluation.worker import count_pair

__all__ = [
    "CheckReport",
    "EvaluationInterrupted",
    "Finding",
    "Pair",
    "PairError",
    "Pairing",
    "Plan",
    "Problem",
    "Result",
    "check",
    "count_pair",
    "evaluate",
    "evaluate_pairs",
    "make_plan",
    "pair_files",
]
