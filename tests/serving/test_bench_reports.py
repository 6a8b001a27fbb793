"""How a load test is shown: hey's layout, the terminal's plot, the page."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from bench_runs import GOOD, observed, pods, report, rows

from installer.load.recorder import Row, Sample, Totals
from installer.load.shape import Load, Stage
from installer.serving.bench.bench_page import bench_page
from installer.serving.bench.charts import Axis, Line, chart
from installer.serving.bench.hey import CSV_HEAD, csv_line, summary
from installer.serving.bench.panic import Period
from installer.serving.bench.plot import plot


def test_the_numbers_are_laid_out_as_hey_lays_them_out() -> None:
    totals = observed(GOOD).result.totals
    totals.errors.update({"timeout": 3, "HTTP 503": 2})
    totals.statuses[503] = 2
    lines = list(summary(totals))
    assert lines[0] == "Summary:"
    assert "  Total:\t30.0000 secs" in lines
    assert "  Requests/sec:\t3.4333" in lines
    assert any(line.startswith("  50% in 0.149") for line in lines)
    assert "  [200]\t100 responses" in lines
    assert lines[-2:] == ["Error distribution:", "  [3]\ttimeout"]
    start = lines.index("Response time histogram:") + 1
    bars = lines[start : start + 11]
    assert sum(int(bar.partition("[")[2].partition("]")[0]) for bar in bars) == 100


def test_without_an_answer_there_is_no_histogram() -> None:
    lines = list(summary(Totals(seconds=1.0)))
    assert "Response time histogram:" not in lines
    assert "  Requests/sec:\t0.0000" in lines


def test_a_line_of_csv_has_heys_columns() -> None:
    line = csv_line(Sample(0.25, 0.01, 0.001, 0.0001, 0.2, 0.04, 200, 1.5))
    assert line == "0.2500,0.0100,0.0010,0.0001,0.2000,0.0400,200,1.5000"
    assert len(line.split(",")) == len(CSV_HEAD.split(","))


def test_the_plot_has_a_line_for_each_measure_over_the_whole_time() -> None:
    lines = list(plot(report(observed(GOOD)), width=50))
    assert [line[:14].strip() for line in lines[:-1]] == [
        "requests/s",
        "p99",
        "pods wanted",
        "pods ready",
    ]
    ready = lines[3][15:65]
    assert ready.index("█") == 4
    assert ready.rstrip(" 4")[-1] == "▂"
    assert lines[-1].strip().startswith("0 s")
    assert lines[-1].endswith("100 s")


def test_the_plot_shows_errors_where_there_are_some_and_needs_no_unicode() -> None:
    found = [*rows(3), Row(3.0, 1.0, 5, 0, {"reset": 5})]
    lines = list(plot(report(observed(GOOD, found=found)), unicode=False))
    assert any(line.strip().startswith("errors/s") for line in lines)
    assert "".join(lines).isascii()


def test_a_run_without_a_single_row_has_no_plot() -> None:
    assert list(plot(report(observed((), found=[])))) == []


@pytest.mark.parametrize(
    "load", [Load((Stage(30, 25),), warm_up=5), Load((Stage(30, rate=9),))], ids=["closed", "open"]
)
def test_the_page_is_well_formed_and_names_nothing_from_elsewhere(load: Load) -> None:
    found = rows(35, begin=-5) if load.warm_up else rows(30)
    page = bench_page(report(observed(GOOD, load=load, found=found)))
    body = page[page.index("<main>") : page.index("</main>") + len("</main>")]
    tree = ET.fromstring(body)
    assert len(tree.findall(".//svg[@role='img']")) == 4
    assert "src=" not in page
    assert "http" not in page


def test_the_page_has_a_line_for_each_frequent_kind_of_error() -> None:
    kinds = {"HTTP 503": 9, "timeout": 5, "reset": 3, "refused": 2, "tls": 1}
    page = bench_page(report(observed(GOOD, found=[*rows(3), Row(3.0, 1.0, 5, 5, kinds)])))
    legend = page[page.index("Requests a second") : page.index("Latency of what")]
    shown = [
        kind for kind in (*kinds, "other errors") if f">{kind}<" in legend.replace("</svg>", ">")
    ]
    assert shown == ["HTTP 503", "timeout", "reset", "other errors"]


def test_the_page_escapes_what_others_wrote() -> None:
    page = bench_page(report(observed(GOOD), unseen=("Pod: <script>alert(1)</script>",)))
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_the_page_says_that_pods_were_not_seen() -> None:
    assert "Pods could not be seen." in bench_page(report(observed(())))
    assert "Pods could not be seen." not in bench_page(report(observed(GOOD)))


def test_the_page_of_a_run_without_anything_is_a_page() -> None:
    page = bench_page(report(observed((), found=[], totals=Totals())))
    assert "no request came to an end" in page


def test_values_stay_inside_their_plot() -> None:
    points = [(0.0, 0.0003), (5.0, 70.0), (20.0, None), (30.0, 0.0)]
    for log in (True, False):
        shown = chart("x", [Line("x", points, "a")], Axis(0, 10), log=log, shades=[Period(-5, 50)])
        for path in ET.fromstring(shown).iter("path"):
            pairs = path.attrib["d"].replace("M", " ").replace("L", " ").split()
            ys = [float(word) for word in pairs[1::2] if word.replace(".", "").isdigit()]
            assert all(0 <= y <= 150 for y in ys)


def test_a_step_line_holds_its_value_until_the_next() -> None:
    line = Line("pods", [(0.0, 1.0), (5.0, 2.0)], "a", steps=True)
    (path, *_) = [
        element.attrib["d"]
        for element in ET.fromstring(chart("pods", [line], Axis(0, 10))).iter("path")
        if "V" in element.attrib["d"]
    ]
    assert path.count("H") == 2


def test_pods_that_nobody_sees_break_no_line() -> None:
    states = [pods(0, 1), pods(5, None, made=None), pods(9, 4)]
    assert bench_page(report(observed(states)))
