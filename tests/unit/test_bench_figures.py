"""The benchmark's sums: medians, voids, ratios, targets, and the tables that show them."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from bench import figures, kinds, memory, report, store, verdicts
from bench.facts import Facts
from bench.figures import Cell
from bench.kinds import Sample
from bench.store import Measured
from bench.workloads import WORKLOADS, Point, Target, Workload

WORKLOAD = Workload(
    row="9",
    title="a title",
    servers=("tricorn-trio", "rival"),
    targets=(Target("tricorn-trio", "rival", 0.5), Target("tricorn-trio", "rival", 0.1, "user")),
)
FACTS = Facts("abc", "a machine", "a kernel", "3.11", 3, 2.0)
IDLE = Workload(
    row="15",
    title="idle",
    servers=("tricorn-trio",),
    kind="idle",
    targets=(Target("tricorn-trio", "", 400, "bytes"), Target("tricorn-trio", "", 0.1, "kept")),
)
SIZED = Workload(
    row="18",
    title="growth",
    servers=("tricorn-trio",),
    kind="growth",
    points=(Point(1, {"depth": 1}, 1, 2), Point(1000, {"depth": 1000}, 1, 2)),
    targets=(Target("tricorn-trio", "", 1.2, "growth"),),
)


def sample(cpu: float, user: float = 1.0) -> Sample:
    return {"cpu": cpu, "user": user, "rate": 1000 / cpu, "p50": cpu, "p99": 2 * cpu}


def rows(own: list[Sample | str], rival: list[Sample | str]) -> list[figures.Row]:
    cells = [figures.cell("tricorn-trio", "tricorn 1", own), figures.cell("rival", "rival 2", rival)]
    return [figures.row(WORKLOAD, cells)]


def test_median_of_each_figure_on_its_own() -> None:
    found = figures.medians([sample(5, 1), sample(1, 9), sample(3, 2)])
    assert (found["cpu"], found["user"], found["p99"]) == (3, 2, 6)


def test_median_of_an_even_number_of_rounds() -> None:
    assert figures.medians([sample(2), sample(4)])["cpu"] == 3


@pytest.mark.parametrize(
    "outcomes", [["wrong"], [sample(1), "wrong", sample(1)], [sample(1), "wrong", "later"]]
)
def test_one_wrong_answer_voids_the_line(outcomes: list[Sample | str]) -> None:
    cell = figures.cell("rival", "", outcomes)
    assert cell.figures is None
    assert cell.void == "wrong"


def test_a_server_that_was_not_measured_is_void() -> None:
    assert figures.cell("rival", "", []) == Cell("rival", "", 0, None, "not measured")


def test_ratios_and_targets() -> None:
    [row] = rows([sample(4, 1)], [sample(10, 5)])
    assert [verdict.ratio for verdict in row.verdicts] == [0.4, 0.2]
    assert [verdict.met for verdict in row.verdicts] == [True, False]


def test_a_target_is_met_at_its_limit() -> None:
    [row] = rows([sample(5)], [sample(10)])
    assert row.verdicts[0].met


def test_a_void_side_meets_no_target() -> None:
    [row] = rows([sample(1)], ["status 500"])
    assert [(verdict.ratio, verdict.met) for verdict in row.verdicts] == [(None, False)] * 2


def test_no_user_time_at_all_gives_no_ratio() -> None:
    [row] = rows([sample(1, 0)], [sample(2, 0)])
    assert row.verdicts[1].ratio is None


def test_targets_of_servers_left_out_are_left_out() -> None:
    row = figures.row(WORKLOAD, [figures.cell("rival", "", [sample(1)])])
    assert row.verdicts == ()


def test_markdown_shows_figures_ratios_and_verdicts() -> None:
    text = report.markdown(rows([sample(4, 1)], [sample(10, 5)]), {"9": MEASURED})
    assert "Not measured" not in text
    assert "| tricorn-trio | 4.00 | 1.00 | 1.00 | 3.00 | 250 | 4 / 8 | tricorn 1 |" in text
    assert "| rival | 10.00 | 2.50 | 5.00 | 5.00 | 100 | 10 / 20 | rival 2 |" in text
    assert "| tricorn-trio ÷ rival, CPU | 0.4 | ≤ 0.5 | met |" in text
    assert "| tricorn-trio ÷ rival, user time | 0.2 | ≤ 0.1 | **missed** |" in text
    assert "| 9 | today | 3 of 2 s | abc | a machine, a kernel | 3.11 | `bench/run --rows 9` |" in text
    assert "| [9](#9-a-title) | a title | 4.00 CPU µs/request | rival 2.50 | **1 of 2 missed** |" in text


def test_the_verdicts_come_first_with_figures_ratio_and_distance() -> None:
    text = report.markdown(rows([sample(4, 1)], [sample(10, 5)]), {})
    top = text.partition("## Beside the others")[0]
    unit = "µs/request"
    assert "1 of 2 targets are reached, in 1 rows." in top
    assert f"| 9 | a title | CPU ≤ 0.5 of rival | trio 4 {unit} | rival 10 | 0.4 | reached |" in top
    assert f"| trio 1 {unit} | rival 5 | 0.2 | **not reached**: trio by 100.0% |" in top


def test_a_void_side_is_no_verdict() -> None:
    top = "\n".join(verdicts.table(rows([sample(4)], ["wrong"])))
    assert "| rival void | void | **not reached**: trio has no figure |" in top


def test_every_wanted_row_is_listed_also_without_figures() -> None:
    lines = verdicts.table(rows([sample(4)], [sample(10)]))
    assert f"| 19 | {WORKLOADS[-1].title} | | | | | no figure yet |" in lines
    listed = {line.split(" ")[1] for line in lines if line.startswith("| ")} - {"row", "---"}
    assert {workload.row for workload in WORKLOADS} | {"9"} == listed


def test_a_bound_on_the_figure_itself_has_no_rival() -> None:
    row = figures.row(IDLE, [figures.cell("tricorn-trio", "", [{"bytes": 500, "kept": 0.05, "before": 1}])])
    top = verdicts.table([row])
    assert "| 15 | idle | bytes each ≤ 400 | trio 500 |  |  | **not reached**: trio by 25.0% |" in top
    assert "| 15 | idle | share that does not come back ≤ 10.0% | trio 5.0% |  |  | reached |" in top


def test_markdown_shows_why_a_line_is_void_without_breaking_the_table() -> None:
    text = report.markdown(rows([sample(4)], ["two\nlines | and a bar"]), {})
    assert "| rival | void | | | | | | two lines / and a bar |" in text
    assert "not measured" in text


def test_markdown_without_tricorn_has_no_ratios() -> None:
    text = report.markdown([figures.row(WORKLOAD, [figures.cell("rival", "", [sample(10, 5)])])], {})
    assert "Not measured in this run: tricorn-trio.\n" in text
    assert "| rival | 10.00 |  | 5.00 | 5.00 | 100 |" in text


def idle_row(each: float, kept: float) -> figures.Row:
    cell = figures.cell("tricorn-trio", "", [{"bytes": each, "kept": kept, "before": 1 << 20}])
    return figures.row(IDLE, [cell])


def test_a_target_without_a_rival_bounds_the_figure_itself() -> None:
    assert [verdict.met for verdict in idle_row(400, 0.2).verdicts] == [True, False]
    text = report.markdown([idle_row(1400, 0.2)], {})
    assert "| tricorn-trio | 1,400 | 1.00 | 80% | 1.0 |  |" in text
    assert "| tricorn-trio, bytes each | 1,400 | ≤ 400 | **missed** |" in text
    assert "| tricorn-trio, share that does not come back | 20.0% | ≤ 10.0% | **missed** |" in text


def test_memory_that_shrinks_is_no_cost() -> None:
    assert memory.sample(100, 90, 80, 10) == {"bytes": 0, "kept": 0, "before": 100}
    assert memory.sample(100, 600, 150, 10) == {"bytes": 50, "kept": 0.1, "before": 100}
    assert memory.sample(100, 200, 500, 10)["kept"] == 1


def test_growth_of_a_request() -> None:
    assert kinds.growth({1: 10, 10: 12, 100: 11}, marginal=False) == 1.2


def test_growth_of_one_more() -> None:
    linear = {1: 1000 + 7 * 1, 10: 1000 + 7 * 10, 100: 1000 + 7 * 100}
    assert kinds.growth(linear, marginal=True) == 1
    assert kinds.growth({n: n * n for n in (1, 10, 100)}, marginal=True) == 10


def test_growth_has_a_column_for_each_size() -> None:
    row = figures.row(
        SIZED, [figures.cell("tricorn-trio", "", [{"1": 5000.0, "1000": 5500.0, "growth": 1.1}])]
    )
    text = report.markdown([row], {})
    assert "| server | growth | ÷ tricorn-trio | at 1 | at 1,000 | versions |" in text
    assert "| tricorn-trio | 1.100 | 1.00 | 5,000 | 5,500 |  |" in text
    assert "| tricorn-trio, growth | 1.1 | ≤ 1.2 | met |" in text


@pytest.mark.parametrize(("own", "shown"), [(4, False), (40, True)])
def test_a_note_explains_a_missed_target(
    own: float, shown: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "NOTES", tmp_path)
    (tmp_path / "9.md").write_text("The reason.\n")
    text = report.markdown(rows([sample(own, 0.1)], [sample(10, 5)]), {})
    assert ("The reason." in text) is shown


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.row)
def test_every_figure_of_a_kind_can_be_shown(workload: Workload) -> None:
    names = (
        "cpu",
        "user",
        "rate",
        "p50",
        "p99",
        "bytes",
        "kept",
        "before",
        "growth",
        "grown",
        "share",
        "workers",
    )
    found = dict.fromkeys(names, 1.0) | {str(point.size): 1.0 for point in workload.points}
    row = figures.row(workload, [figures.cell(name, "", [found]) for name in workload.servers])
    text = report.markdown([row], {})
    assert f"| {workload.row} | {workload.title} | | | | | no figure yet |" not in text
    assert text.count("| 1.00 |") >= len(workload.servers)
    assert "not measured" not in text


MEASURED = Measured(
    "9",
    FACTS,
    {"tricorn-trio": [sample(4), sample(6)], "rival": ["wrong"]},
    {"tricorn-trio": "tricorn 1"},
    "today",
    "bench/run --rows 9",
)


def write_record(path: Path) -> None:
    found = rows([sample(4), sample(6)], ["wrong"])
    path.write_text(store.record(found, {"9": MEASURED}))


def test_record_keeps_every_sample(tmp_path: Path) -> None:
    write_record(tmp_path / "latest.json")
    stored = json.loads((tmp_path / "latest.json").read_text())
    [row] = stored["rows"]
    assert row["facts"]["machine"] == "a machine"
    assert [each["cpu"] for each in row["samples"]["tricorn-trio"]] == [4, 6]
    assert row["samples"]["rival"] == ["wrong"]
    assert row["cells"][0]["figures"]["cpu"] == 5
    assert row["verdicts"][0] == {
        "server": "tricorn-trio",
        "rival": "rival",
        "limit": 0.5,
        "metric": "cpu",
        "ratio": None,
        "met": False,
    }


def test_a_record_can_be_read_again(tmp_path: Path) -> None:
    write_record(tmp_path / "latest.json")
    assert store.read(tmp_path / "latest.json") == {"9": MEASURED}
    assert store.kept(tmp_path / "latest.json") == {"9": MEASURED}
    assert store.kept(tmp_path / "none.json") == {}


@pytest.mark.parametrize("change", [{"commit": "abd"}, {"rounds": 5}, {"python": "3.12"}])
def test_rows_that_were_measured_otherwise_are_told_apart(change: dict[str, Any]) -> None:
    other = dataclasses.replace(MEASURED, row="10", facts=dataclasses.replace(FACTS, **change))
    same = dataclasses.replace(MEASURED, row="11", date="later")
    _, _, *lines = report.sources({"9": MEASURED, "10": other, "11": same})
    assert [line.split(" | ")[:2] for line in lines] == [["| 9, 11", "later"], ["| 10", "today"]]


def test_a_record_of_another_form_is_dropped(tmp_path: Path) -> None:
    (tmp_path / "latest.json").write_text('{"facts": {"date": "then"}, "rows": [{"row": "1"}]}')
    assert store.kept(tmp_path / "latest.json") == {}
