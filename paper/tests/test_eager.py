"""Moved from the tests of the product; imports and fixtures to be completed."""


def test_torch_runs_no_graph_of_unknown_origin(tmp_path: Path) -> None:
    """It has no architecture to build."""
    architecture = find_architecture("unet-s")
    model = write_graph(architecture, random_weights(architecture, seed=0))
    (tmp_path / "graph.onnx").write_bytes(model.SerializeToString())
    command = ("benchmark", tmp_path / "graph.onnx", "--channels", 1, "--size", 32)
    assert "not graphs of unknown origin" in sentence(run(*command, "--runtime", "torch"))
    shown = run(*command, "--seconds", 0.2)
    assert shown.exit_code == 0, shown.output
    assert "images a second" in shown.stdout
    assert "peak" not in shown.stdout


def test_the_papers_way_of_measuring_is_offered(folder: Path) -> None:
    """So many passes in a row after so many warm-ups, and their mean."""
    command = ("benchmark", folder / "network.json", "--size", SIZE, "--runtime", "torch", "--json")
    result = run(*command, "--warmups", 2, "--passes", 7)
    assert result.exit_code == 0, result.output
    timing = json.loads(result.stdout)["timing"]
    assert (timing["num_rounds"], timing["num_passes"]) == (1, 7)
    assert timing["mean_ms"] > 0
    assert "0 passes after" in sentence(run(*command[:-1], "--passes", 0))
