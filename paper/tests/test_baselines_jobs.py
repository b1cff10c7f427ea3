"""Moved from the tests of the product; imports and fixtures to be completed."""


@pytest.mark.parametrize(
    "name", ["lpienet-0.25x", pytest.param("mobilenet-v3-small", marks=pytest.mark.slow)]
)
def test_a_baseline_is_trained_and_resumed_like_our_own(name: str, tmp_path: Path) -> None:
    """Stopped in the middle and gone on with, it ends with the same weights, dropout and all."""
    generator = np.random.default_rng(0)
    for index in range(16):
        pixels = generator.random((3, 32, 32), dtype=np.float32)
        path = tmp_path / "photos" / ("bright", "dark")[index % 2] / f"{index}.png"
        write_image(path, DecodedImage(pixels / (1 + index % 2), None, 8, "rgb"))
    images = open_dataset(str(tmp_path / "photos"), seed=0)
    changes = {"epochs": 1, "batch_size": 4, "checkpoint_every_steps": 2}
    recipe = choose_recipe(None, "photos", noise="gaussian:0.2", changes=changes)
    baseline = architecture_for(name, images)
    fit(baseline, recipe, images, tmp_path / "unbroken")

    def stop(done: int, total: int, message: str) -> None:
        del total, message
        if done == 3:
            raise _StoppedError

    with pytest.raises(_StoppedError):
        fit(baseline, recipe, images, tmp_path / "run", progress=stop)
    result = fit(baseline, recipe, images, tmp_path / "run", resume=True)
    assert (result.scores.mean.accuracy is None) == baseline.denoises
    one, two = (load_network(tmp_path / run).state_dict() for run in ("unbroken", "run"))
    assert all(torch.equal(one[key], two[key]) for key in one)
