"""Moved from the tests of the product; imports and fixtures to be completed."""


def test_reproduce_lists_what_it_can() -> None:
    """Every table and figure of the paper that is an experiment, for people and for machines."""
    listed = run("reproduce", "--list")
    assert listed.exit_code == 0
    known = [f"table_{number}" for number in (1, 2, 3, 4, 5, 6, 7, 8, 10)]
    known += [f"figure_{number}" for number in (3, 4, 5, 6, 8, 9)]
    known += ["quality"]  # ours
    assert all(name in listed.stdout for name in known)
    asked = json.loads(run("reproduce", "--list", "--json").stdout)
    assert {one["name"] for one in asked} == set(known)


def test_reproduce_puts_ours_beside_the_paper(tmp_path: Path) -> None:
    """A part of a table is run, the rest is said to be not run."""
    out = tmp_path / "out"
    result = run("reproduce", "table_7", "--only", "mb1-s_*", "--out", out)
    assert result.exit_code == 0, result.output
    assert "difference" in result.stdout
    assert result.stdout.count("not run") == 7 * 2
    assert (out / "results" / "smoke" / "mb1-s_smoke_seed0.json").is_file()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "no experiment was named"),
        (("table_2x",), "no experiment is called 'table_2x'"),
        (("table_7", "--only", "none"), "no cell of table_7 at the scale smoke matches 'none'"),
        (("table_7", "--data-root", "nowhere"), "nowhere"),
    ],
)
def test_reproduce_refuses_in_one_sentence(
    arguments: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    """What was asked, what was found; nothing is left behind."""
    out = tmp_path / "out"
    assert said in sentence(run("reproduce", *arguments, "--out", out))
    assert not out.exists()
