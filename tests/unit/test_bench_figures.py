"""The benchmark's sums: medians, voids, ratios, targets, and the tables that show them."""

from __future__ import annotations

import json

import pytest
from bench import figures, report
from bench.figures import Cell, Sample
from bench.workloads import Target, Workload

WORKLOAD = Workload(
    row="9",
    title="a title",
    servers=("tricorn-trio", "rival"),
    targets=(Target("tricorn-trio", "rival", 0.5), Target("tricorn-trio", "rival", 0.1, "user")),
)
FACTS = report.Facts("today", "abc", "a machine", "a kernel", "3.11", "bench/run", 3, 2.0)


def sample(cpu: float, user: float = 1.0) -> Sample:
    return Sample(cpu=cpu, user=user, rate=1000 / cpu, p50=cpu, p99=2 * cpu)


def rows(own: list[Sample | str], rival: list[Sample | str]) -> list[figures.Row]:
    cells = [figures.cell("tricorn-trio", "tricorn 1", own), figures.cell("rival", "rival 2", rival)]
    return [figures.row(WORKLOAD, cells)]


def test_median_of_each_figure_on_its_own() -> None:
    found = figures.medians([sample(5, 1), sample(1, 9), sample(3, 2)])
    assert (found.cpu, found.user, found.p99) == (3, 2, 6)


def test_median_of_an_even_number_of_rounds() -> None:
    assert figures.medians([sample(2), sample(4)]).cpu == 3


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
    text = report.markdown(rows([sample(4, 1)], [sample(10, 5)]), FACTS)
    assert "| tricorn-trio | 4.00 | 1.00 | 3.00 | 1.00 | 250 | 4 / 8 | tricorn 1 |" in text
    assert "| rival | 10.00 | 5.00 | 5.00 | 2.50 | 100 | 10 / 20 | rival 2 |" in text
    assert "| tricorn-trio ÷ rival, CPU | 0.4 | ≤ 0.5 | met |" in text
    assert "| tricorn-trio ÷ rival, user time | 0.2 | ≤ 0.1 | **missed** |" in text
    assert "`bench/run`" in text


def test_markdown_shows_why_a_line_is_void_without_breaking_the_table() -> None:
    text = report.markdown(rows([sample(4)], ["two\nlines | and a bar"]), FACTS)
    assert "| rival | void | | | | | | two lines / and a bar |" in text
    assert "not measured" in text


def test_markdown_without_tricorn_has_no_ratios() -> None:
    text = report.markdown([figures.row(WORKLOAD, [figures.cell("rival", "", [sample(10, 5)])])], FACTS)
    assert "| rival | 10.00 | 5.00 | 5.00 |  | 100 |" in text


def test_record_keeps_every_sample() -> None:
    found = rows([sample(4), sample(6)], ["wrong"])
    samples = {"9": {"tricorn-trio": [sample(4), sample(6)], "rival": ["wrong"]}}
    stored = json.loads(report.record(found, FACTS, samples))
    assert stored["facts"]["machine"] == "a machine"
    [row] = stored["rows"]
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
