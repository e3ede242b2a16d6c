"""The comparison that the other tests stand on: it lets rounding pass, and nothing else."""

import pytest
from support.programs import Sections, differences, same_numbers


@pytest.mark.parametrize(
    ("actual", "expected", "printed", "same"),
    [
        ("tensor([ 0.1234, -2.0000])", "tensor([ 0.1235, -2.0000])", True, True),
        ("tensor([ 0.1234, -2.0000])", "tensor([ 0.1236, -2.0000])", True, False),
        ("tensor([0.0000, 2.0000])", "tensor([-0.0000,  2.0000])", True, True),
        ("tensor([1.0001e+05])", "tensor([1.0002e+05])", True, True),
        ("tensor([1.0001e+05])", "tensor([1.0004e+05])", True, False),
        ("tensor([1., 2.])", "tensor([1, 2])", True, False),
        ("tensor([1, 2])", "tensor([1, 3])", True, False),
        ("(tensor([1.]), 3)", "(tensor([1.]), 4)", True, False),
        ("tensor([1.], grad_fn=<AddBackward0>)", "tensor([1.])", True, False),
        ("float32[1][0.1234567]", "float32[1][0.1234568]", False, True),
        ("float32[1][0.12346]", "float32[1][0.12345]", False, False),
        ("float32[1][1.]", "float64[1][1.]", False, False),
        ("float32[1][nan]", "float32[1][1.]", False, False),
        ("list(1, 2)", "tuple(1, 2)", False, False),
    ],
)
def test_only_rounding_passes(actual: str, expected: str, printed: bool, same: bool) -> None:
    assert same_numbers(actual, expected, printed=printed) is same


def test_sections_read_as_written() -> None:
    sections = Sections({"code: a": "x\n", "repr: b": "no line end", "graph: c": "", "warnings: d": "two\n\n"})
    assert Sections.parse(str(sections)) == sections


@pytest.mark.parametrize(
    ("found", "complaint"),
    [
        ({"code: a": "x\n", "values: a": "1.0000001"}, ""),
        ({"code: a": "y\n", "values: a": "1."}, "=== code: a"),
        ({"values: a": "1."}, "(missing)"),
        ({"code: a": "x\n", "code: b": "x\n", "values: a": "1."}, "=== code: b"),
        ({"code: a": "x\n", "values: a": "1.", "error: program": "it raised"}, "ended with it raised"),
    ],
)
def test_differences_names_what_differs(found: dict[str, str], complaint: str) -> None:
    report = differences(Sections(found), Sections({"code: a": "x\n", "values: a": "1."}), "code", "values")
    assert (complaint in report) if complaint else report == ""
