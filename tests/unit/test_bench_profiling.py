"""Where instructions go: reading callgrind's functions, and laying them out for one request."""

from __future__ import annotations

from bench import profiling

ANNOTATED = """\
--------------------------------------------------------------------------------
Ir                   file:function
--------------------------------------------------------------------------------
900,000 (90.00%)  ../src/http/http1_head.c:parse_line [/lib/_core.cpython-311-x86_64-linux-gnu.so]
 90,000 ( 9.00%)  ../Python/ceval.c:_PyEval_EvalFrameDefault'2 [/usr/bin/python3.11]
  5,000 ( 0.50%)  ../Python/ceval.c:_PyEval_EvalFrameDefault [/usr/bin/python3.11]
  5,000 ( 0.50%)  ./string/memcpy.S:__memcpy
"""


def test_functions_are_read_with_their_objects() -> None:
    assert profiling.parse_functions(ANNOTATED) == {
        ("_core.cpython-311-x86_64-linux-gnu.so", "parse_line"): 900_000,
        ("python3.11", "_PyEval_EvalFrameDefault"): 95_000,
        ("?", "__memcpy"): 5_000,
    }


def test_what_both_runs_have_in_common_is_left_out() -> None:
    few = {("a", "start"): 1000.0, ("a", "serve"): 640.0 * 7}
    many = {("a", "start"): 1000.0, ("a", "serve"): 6400.0 * 7}
    assert profiling.per_request(few, many) == {("a", "start"): 0, ("a", "serve"): 7}


def test_the_table_has_objects_then_functions() -> None:
    lines = profiling.table({("a", "f"): 90.0, ("b", "g"): 9.0, ("b", "h"): 1.0}, 2).splitlines()
    assert lines[2:] == [
        "| in all | 100 | 100 % |",
        "| a | 90 | 90% |",
        "| b | 10 | 10% |",
        "| a: `f` | 90 | 90.0% |",
        "| b: `g` | 9 | 9.0% |",
    ]
