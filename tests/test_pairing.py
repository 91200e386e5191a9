"""Which files pair, and what is said of those that do not."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segmeter.evaluation._advice import Rule, guess_rule
from segmeter.evaluation.pairing import Ambiguity, Pair, pair_files


def touch(root: Path, *names: str) -> Path:
    """Empty files below a folder; pairing looks at names only."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def ids(pairing: object) -> list[str]:
    return [pair.id for pair in pairing.pairs]  # type: ignore[attr-defined]


# --- by stem ----------------------------------------------------------------------------------


def test_mirrored_folders_pair_by_relative_path(tmp_path: Path) -> None:
    pred = touch(tmp_path / "p", "a/0.png", "a/1.png", "b/0.png")
    target = touch(tmp_path / "t", "b/0.png", "a/1.png", "a/0.npy")
    pairing = pair_files(pred, target)
    assert pairing.pairs == tuple(
        Pair(name, str(pred / f"{name}.png"), str(target / f"{name}{suffix}"))
        for name, suffix in (("a/0", ".npy"), ("a/1", ".png"), ("b/0", ".png"))
    )
    assert pairing.complete
    assert pairing.rule == "by relative path without suffix"


@pytest.mark.parametrize(
    ("pred", "target"),
    [
        ("case.v2.png", "case.v2.nii.gz"),
        ("x.PNG", "x.png"),
        ("x.tiff", "x.NII.GZ"),
        ("mit leerzeichen (1).png", "mit leerzeichen (1).npy"),
        ("-x.png", "-x.png"),
        ("日本語 ✓.png", "日本語 ✓.png"),
        ("a[1].png", "a[1].png"),
        ("trailing..png", "trailing..png"),
        ("x;rm -rf.png", "x;rm -rf.png"),
        ("line\nbreak.png", "line\nbreak.png"),
    ],
)
def test_odd_names_pair(tmp_path: Path, pred: str, target: str) -> None:
    pairing = pair_files(touch(tmp_path / "p", pred), touch(tmp_path / "t", target))
    assert len(pairing.pairs) == 1
    assert pairing.complete


def test_unicode_normal_forms_are_one_name(tmp_path: Path) -> None:
    composed, decomposed = (unicodedata.normalize(form, "café.png") for form in ("NFC", "NFD"))
    assert composed != decomposed
    pairing = pair_files(touch(tmp_path / "p", composed), touch(tmp_path / "t", decomposed))
    assert ids(pairing) == ["café"]


def test_names_that_are_not_unicode_pair(tmp_path: Path) -> None:
    for side in ("p", "t"):
        (tmp_path / side).mkdir()
        (tmp_path / side / os.fsdecode(b"\xff\xfe.png")).touch()
    assert len(pair_files(tmp_path / "p", tmp_path / "t").pairs) == 1


def test_hidden_and_foreign_files_are_left_out(tmp_path: Path) -> None:
    pred = touch(tmp_path / "p", "a.png", ".DS_Store", "._a.png", "Thumbs.db", ".git/x.png")
    target = touch(tmp_path / "t", "a.png", "README.md", "classes.txt", "__MACOSX/a.png")
    pairing = pair_files(pred, target)
    assert ids(pairing) == ["a"]
    assert pairing.complete
    assert sorted(Path(path).name for path, _ in pairing.skipped) == ["README.md", "classes.txt"]
    assert "left out: 2 files (target: of no format that is read)" in pairing.report()


def test_flat_predictions_pair_with_nested_targets(tmp_path: Path) -> None:
    pred = touch(tmp_path / "p", "x1.png", "x2.png")
    target = touch(tmp_path / "t", "ulm/x1.png", "bonn/x2.png")
    pairing = pair_files(pred, target)
    assert ids(pairing) == ["x1", "x2"]
    assert pairing.rule == "by file stem, folders differ"


def test_folders_around_everything_do_not_matter(tmp_path: Path) -> None:
    pred = touch(tmp_path / "p", "run7/out/a/0.png", "run7/out/b/0.png")
    target = touch(tmp_path / "t", "480p/a/0.png", "480p/b/0.png")
    pairing = pair_files(pred, target)
    assert ids(pairing) == ["a/0", "b/0"]
    assert pairing.rule == "by relative path below the common folder"
    assert ids(pair_files(pred, touch(tmp_path / "u", "a/0.png", "b/0.png"))) == ["a/0", "b/0"]


def test_names_that_occur_in_two_folders_never_pair_across_them(tmp_path: Path) -> None:
    pred = touch(tmp_path / "p", "one/0.png", "two/0.png")
    target = touch(tmp_path / "t", "three/0.png", "four/0.png")
    pairing = pair_files(pred, target)
    assert pairing.pairs == ()
    assert len(pairing.only_pred) == len(pairing.only_target) == 2


def test_a_missing_file_does_not_pair_with_its_namesake(tmp_path: Path) -> None:
    pred = touch(tmp_path / "p", "one/0.png", "new/1.png")
    target = touch(tmp_path / "t", "one/0.png", "old/1.png")
    pairing = pair_files(pred, target)
    assert ids(pairing) == ["one/0"]
    assert pairing.only_pred == (str(pred / "new/1.png"),)
    assert pairing.only_target == (str(target / "old/1.png"),)


def test_suffix_rules(tmp_path: Path) -> None:
    pred = touch(tmp_path / "p", "a_pred.png", "b_pred.png", "b_color.png")
    target = touch(tmp_path / "t", "x/a_gt.nii.gz", "x/b_gt.nii.gz")
    pairing = pair_files(pred, target, pred_suffix="_pred", target_suffix="_gt")
    assert ids(pairing) == ["a", "b"]
    assert pairing.skipped == ((str(pred / "b_color.png"), "pred: names that do not end in _pred"),)


def test_a_suffix_is_text(tmp_path: Path) -> None:
    pred = touch(tmp_path / "p", "a_1.png")
    with pytest.raises(TypeError, match="a suffix must be text such as '_pred', got 1"):
        pair_files(pred, pred, pred_suffix=1)  # type: ignore[arg-type]


def test_suffix_rule_may_name_the_file_suffix(tmp_path: Path) -> None:
    pred = touch(tmp_path / "p", "a_pred.png", "a_pred.npy")
    pairing = pair_files(pred, touch(tmp_path / "t", "a.png"), pred_suffix="_pred.npy")
    assert pairing.pairs[0].pred.endswith("a_pred.npy")


def test_two_files_of_one_name_are_ambiguous(tmp_path: Path) -> None:
    pred = touch(tmp_path / "p", "a.png", "b.png")
    target = touch(tmp_path / "t", "a.png", "a.jpg", "b.png")
    pairing = pair_files(pred, target)
    assert ids(pairing) == ["b"]
    (item,) = pairing.ambiguous
    assert (item.id, item.side) == ("a", "target")
    assert item.paths == (str(target / "a.jpg"), str(target / "a.png"))
    assert pairing.only_pred == pairing.only_target == ()
    assert "1 ambiguous, not used" in pairing.report()
    assert ids(pair_files(pred, f"{target}/*.png")) == ["a", "b"]


def test_links_are_followed_once(tmp_path: Path) -> None:
    real = touch(tmp_path / "real", "a.png")
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "link").symlink_to(real, target_is_directory=True)
    (real / "loop").symlink_to(tmp_path / "p", target_is_directory=True)
    pairing = pair_files(tmp_path / "p", touch(tmp_path / "t", "link/a.png"))
    assert ids(pairing) == ["link/a"]
    assert pairing.complete


# --- other sources ----------------------------------------------------------------------------


def test_single_files_pair_whatever_their_names(tmp_path: Path) -> None:
    touch(tmp_path, "one.png", "two.npy")
    pairing = pair_files(tmp_path / "one.png", tmp_path / "two.npy")
    assert pairing.pairs == (Pair("one", str(tmp_path / "one.png"), str(tmp_path / "two.npy")),)


def test_globs_keep_the_path_below_their_fixed_part(tmp_path: Path) -> None:
    touch(tmp_path / "p", "s1/out/0.png", "s2/out/0.png", "s2/out/notes.txt")
    touch(tmp_path / "t", "s1/out/0.png", "s2/out/0.png")
    assert ids(pair_files(f"{tmp_path}/p/*/out/*", f"{tmp_path}/t/**/*.png")) == [
        "s1/out/0",
        "s2/out/0",
    ]


def test_lists_of_paths_and_list_files(tmp_path: Path) -> None:
    touch(tmp_path, "p/a.png", "p/b.png", "t/a.png", "t/b.png")
    (tmp_path / "list.txt").write_text("# predictions\np/b.png\n\n  p/a.png \n", encoding="utf-8")
    pairing = pair_files(tmp_path / "list.txt", [tmp_path / "t/a.png", tmp_path / "t/b.png"])
    assert ids(pairing) == ["a", "b"]


def test_listed_file_that_is_not_there_is_reported(tmp_path: Path) -> None:
    touch(tmp_path, "p/a.png", "t/a.png", "t/b.png")
    pairing = pair_files([str(tmp_path / "p/a.png"), str(tmp_path / "p/b.png")], tmp_path / "t")
    assert ids(pairing) == ["a"]
    assert pairing.absent == (("b", "pred", str(tmp_path / "p/b.png")),)
    assert not pairing.complete
    assert "listed but not there" in pairing.report()


def test_pairs_in_order(tmp_path: Path) -> None:
    touch(tmp_path, "p/a.png", "p/b.png", "t/x.png")
    preds = [tmp_path / "p/b.png", tmp_path / "p/a.png"]
    pairing = pair_files(preds, [tmp_path / "t/x.png"] * 2, pair="order")
    assert [(pair.id, Path(pair.target).name) for pair in pairing.pairs] == [
        ("b", "x.png"),
        ("a", "x.png"),
    ]
    with pytest.raises(ValueError, match="got 2 and 1"):
        pair_files(preds, [tmp_path / "t/x.png"], pair="order")


def test_table_of_pairs(tmp_path: Path) -> None:
    touch(tmp_path, "p/a.png", "q/a.png", "t.png")
    table = tmp_path / "pairs.csv"
    table.write_text("\ufeffpred, target\np/a.png,t.png\nq/a.png,t.png\np/no.png,t.png\n")
    pairing = pair_files(table)
    assert ids(pairing) == ["p/a", "q/a"]
    assert pairing.absent == (("p/no", "pred", str(tmp_path / "p/no.png")),)
    table.write_text('id,target,pred\n"first, really",t.png,p/a.png\n')
    assert ids(pair_files(table)) == ["first, really"]
    table.with_suffix(".tsv").write_text("target\tpred\nt.png\tp/a.png\n")
    assert ids(pair_files(table.with_suffix(".tsv"))) == ["a"]


def test_rows_of_one_id_are_ambiguous(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "b.png", "t.png")
    table = tmp_path / "pairs.csv"
    table.write_text("id,pred,target\nx,a.png,t.png\nx,b.png,t.png\ny,a.png,t.png\n")
    pairing = pair_files(table)
    assert ids(pairing) == ["y"]
    assert isinstance(pairing.ambiguous[0], Ambiguity)
    assert "2 pairs share the id 'x'" in pairing.report()


# --- by pattern -------------------------------------------------------------------------------


def test_pattern_for_both_sides(tmp_path: Path) -> None:
    pred = touch(tmp_path / "p", "pred_007.png", "pred_008.png", "readme.png")
    target = touch(tmp_path / "t", "gt-007-final.npy", "gt-008-final.npy")
    pairing = pair_files(pred, target, pattern=r"(\d+)")
    assert ids(pairing) == ["007", "008"]
    assert [Path(path).name for path, _ in pairing.skipped] == ["readme.png"]


def test_pattern_with_several_groups_and_one_per_side(tmp_path: Path) -> None:
    pred = touch(tmp_path / "p", "s1_f3.png", "s1_f4.png")
    target = touch(tmp_path / "t", "s1/frame3.png", "s1/frame4.png")
    named = (r"(?P<scene>s\d)_f(?P<frame>\d)", r"(?P<scene>s\d)/frame(?P<frame>\d)")
    assert ids(pair_files(pred, target, pattern=named)) == ["s1/3", "s1/4"]


def test_pattern_may_look_at_suffix_and_outer_folders(tmp_path: Path) -> None:
    pred = touch(tmp_path / "p", "a.png", "b.npy")
    target = touch(tmp_path / "t", "a.png", "b.png")
    assert ids(pair_files(pred, target, pattern=r"(\w+)\.png$")) == ["a"]
    touch(tmp_path, "case1/p/seg.png", "case2/p/seg.png", "case1/t/seg.png", "case2/t/seg.png")
    pairing = pair_files(
        f"{tmp_path}/case*/p/seg.png", f"{tmp_path}/case*/t/seg.png", pattern=r"(case\d)/\w/seg"
    )
    assert ids(pairing) == ["case1", "case2"]
    lists = [[tmp_path / f"case{i}/{side}/seg.png" for i in (1,)] for side in "pt"]
    assert ids(pair_files(*lists, pattern=r"(case\d)")) == ["case1"]


# --- advice -----------------------------------------------------------------------------------


def test_report_names_the_nearest_file(tmp_path: Path) -> None:
    pred = touch(tmp_path / "p", "scene_0001.png", "other.png")
    target = touch(tmp_path / "t", "scene_001.png", "zebra.png")
    report = pair_files(pred, target).report()
    assert "2 predictions without a target" in report
    assert f"scene_0001.png   (nearest target: {target / 'scene_001.png'})" in report
    assert report.count("(nearest") == 2


def test_report_is_short_for_long_lists(tmp_path: Path) -> None:
    pred = touch(tmp_path / "p", *(f"{'ab'[i % 2] * (i + 1)}.png" for i in range(25)))
    report = pair_files(pred, touch(tmp_path / "t", "zzz.png")).report(limit=3)
    assert "... and 22 more" in report
    assert len(report.splitlines()) < 10


def test_report_suggests_a_suffix_rule(tmp_path: Path) -> None:
    names = [f"ulm_{i:06d}_000019" for i in range(5)]
    pred = touch(tmp_path / "p", *(f"{name}_pred.png" for name in names))
    kinds = ("labelIds", "instanceIds")
    target = touch(tmp_path / "t", *(f"u/{n}_gtFine_{k}.png" for n in names for k in kinds))
    pairing = pair_files(pred, target)
    rule, pairs = pairing.better_rule() or (Rule(), 0)
    assert rule == Rule(pred_suffix="_pred", target_suffix="_gtFine_labelIds")
    assert pairs == 5
    assert f"would pair 5 more: {rule}" in pairing.report()
    assert ids(pair_files(pred, target, pred_suffix="_pred", target_suffix="_gtFine_labelIds")) == (
        names
    )


def test_other_images_are_no_reason_for_a_rule(tmp_path: Path) -> None:
    """A prediction of image 9 is not one of image 2, however alike their names are."""
    for k, (pred, target) in enumerate(
        [(["a_000009_seg"], ["a_000002_seg"]), (["x_09"], ["y_02"]), (["v3_9_a"], ["v3_2_a"])]
    ):
        root = tmp_path / str(k)
        pairing = pair_files(
            touch(root / "p", *(f"{name}.png" for name in pred)),
            touch(root / "t", *(f"{name}.png" for name in [*target, "more"])),
        )
        assert pairing.better_rule() is None


def test_a_rule_that_loses_pairs_is_not_better(tmp_path: Path) -> None:
    pred = touch(tmp_path / "p", "a.png", "b.png", "c.png", "d_out.png", "e_out.png")
    target = touch(tmp_path / "t", *(f"{name}.png" for name in "abcde"))
    pairing = pair_files(pred, target)
    assert ids(pairing) == ["a", "b", "c"]
    assert pairing.better_rule() is None
    assert "would pair" not in pairing.report()
    touch(tmp_path / "p", "f_out.png", "g_out.png")
    touch(tmp_path / "t", "f.png", "g.png")
    more = pair_files(pred, target)
    assert more.better_rule() == (Rule(pred_suffix="_out"), 1)  # four pairs in place of three
    keeping = touch(tmp_path / "q", "a_out.png", "b_out_x.png")
    target = touch(tmp_path / "u", "a_out.png", "b_out_y.png")
    assert pair_files(keeping, target).better_rule() is None


@pytest.mark.parametrize(
    ("pred", "target"),
    [
        (["pred_1", "pred_2"], ["gt_1", "gt_2"]),
        (["1_seg", "2_seg"], ["1", "2"]),
        (["sub/a-out", "sub/b-out"], ["sub/a", "sub/b"]),
        (["mask_a", "mask_b", "mask_c"], ["a", "b", "d"]),
        (["1", "2", "10"], ["0001", "0002", "0010"]),
        (["frame0_out", "frame7_out"], ["scan_000_v", "scan_007_v", "scan_008_v"]),
    ],
)
def test_suggested_rule_pairs_what_it_says(
    tmp_path: Path, pred: list[str], target: list[str]
) -> None:
    preds = touch(tmp_path / "p", *(f"{name}.png" for name in pred))
    targets = touch(tmp_path / "t", *(f"{name}.png" for name in target))
    rule, pairs = guess_rule(pred, target) or (Rule(), 0)
    again = pair_files(
        preds,
        targets,
        pred_suffix=rule.pred_suffix,
        target_suffix=rule.target_suffix,
        pattern=rule.pattern,
    )
    assert len(again.pairs) == pairs >= 2


def test_no_rule_is_suggested_without_need() -> None:
    assert guess_rule([], ["a"]) is None
    assert guess_rule(["a_x", "b_x"], ["c_y", "d_y"]) is None
    assert guess_rule(["a1", "b1"], ["01", "02"]) is None  # numbers that two names share


letters = st.text("abc_", min_size=1, max_size=4)


@settings(max_examples=60, deadline=None)
@given(
    keys=st.sets(letters, min_size=1, max_size=6),
    pred=st.sampled_from(["", "_pred", "-out", "_a_b"]),
    target=st.sampled_from(["", "_gt", ".mask"]),
)
def test_guess_finds_at_least_the_pairs_of_the_true_suffixes(
    keys: set[str], pred: str, target: str
) -> None:
    if not pred and not target:
        return
    preds, targets = [key + pred for key in keys], [key + target for key in keys]
    rule = guess_rule(preds, targets)
    assert rule is not None
    assert rule[1] >= len(keys)


# --- wrong use --------------------------------------------------------------------------------


def test_wrong_use_is_named(tmp_path: Path) -> None:
    full, empty = touch(tmp_path / "p", "a.png"), tmp_path / "empty"
    empty.mkdir()
    foreign = touch(tmp_path / "foreign", "a.docx")
    (tmp_path / "none.txt").write_text("# nothing\n")
    (tmp_path / "bad.csv").write_text("left,right\na,b\n")
    (tmp_path / "cell.csv").write_text("pred,target\na.png,\n")
    (tmp_path / "rows.csv").write_text("pred,target\n")
    (tmp_path / "bytes.csv").write_bytes(b"pred,target\na\xff,b\n")
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe")
    (tmp_path / "long.csv").write_text(f"pred,target\n{'a' * 2**18},b\n")
    for arguments, options, words in (
        ((tmp_path / "no", full), {}, "pred: .*no does not exist"),
        ((full, empty), {}, "target: the folder .*empty holds no label maps; is the path right"),
        ((full, foreign), {}, r"holds no label maps \(only 1 other file\)"),
        ((full, f"{full}/*.tif"), {}, r"target: the glob .*\*\.tif holds no label maps"),
        (([], full), {}, "pred is an empty list"),
        (("", full), {}, "pred is an empty path"),
        ((tmp_path / "none.txt", full), {}, "names no file"),
        ((full, full), {"pair": "name"}, "pair must be 'stem', 'regex' or 'order', got 'name'"),
        ((full, full), {"pair": "regex"}, "needs pattern="),
        ((full, full), {"pattern": "("}, "is not a regular expression"),
        ((full, full), {"pattern": "a", "pred_suffix": "b"}, "not both"),
        ((full, None), {}, "target is missing"),
        (([full], None), {}, "target is missing"),
        ((tmp_path / "no.csv", None), {}, "does not exist"),
        ((tmp_path / "bad.csv", None), {}, "needs the columns pred and target"),
        ((tmp_path / "cell.csv", None), {}, "line 2: a cell is empty"),
        ((tmp_path / "rows.csv", None), {}, "lists no pair"),
        ((tmp_path / "bytes.csv", None), {}, r"bytes\.csv is no text in UTF-8 \(byte 13\)"),
        ((tmp_path / "bytes.txt", full), {}, r"bytes\.txt is no text in UTF-8 \(byte 0\)"),
        ((tmp_path / "long.csv", None), {}, "long.csv, line 2: field larger than field limit"),
        ((tmp_path / "bad.csv", full), {}, "is a table of pairs"),
    ):
        with pytest.raises(ValueError, match=words):
            pair_files(*arguments, **options)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="tuple of two"):
        pair_files(full, full, pattern=["a", "b", "c"])  # type: ignore[arg-type]


def test_json_files_are_for_protocols(tmp_path: Path) -> None:
    for name in ("pred.json", "target.json"):
        (tmp_path / name).write_text("[]")
    with pytest.raises(ValueError, match=r"pred\.json is no label map; a protocol reads JSON"):
        pair_files(tmp_path / "pred.json", tmp_path / "target.json")
