"""Laws of the space of fast shapes: what is drawn, scaled, made flatter and compared."""

import numpy as np
import pytest

from tapetum.arch import Branch, Shape, ShapeSpace, cost, distance


def space(**changes: object) -> ShapeSpace:
    """A space for colour images of 64 px and ten classes."""
    fields = {"width_step": 16, "size_px": 64, "image_channels": 3, "num_classes": 10, **changes}
    return ShapeSpace.model_validate(fields)


def drawn(given: ShapeSpace, count: int, *, seed: int = 0) -> list[Shape]:
    """Random shapes of a space."""
    generator = np.random.default_rng(seed)
    return [given.draw(generator) for _ in range(count)]


def multiply_adds(given: ShapeSpace, shape: Shape) -> int:
    """The cost of one image."""
    return cost.multiply_adds(given.architecture(shape), given.size_px, given.size_px)


@pytest.mark.parametrize("step", [4, 8, 16])
def test_every_width_lies_on_the_grid(step: int) -> None:
    """Of levels and branch, drawn, scaled or made flatter."""
    given = space(width_step=step)
    shapes = [
        *drawn(given, 30),
        given.plain(),
        given.plain("mbconv"),
        given.rule(45e6),
        given.mobile(),
    ]
    shapes += [given.scaled(shape, 0.7) for shape in shapes]
    shapes += [flat for shape in shapes if (flat := given.flatter(shape)) is not None]
    widths = {width for shape in shapes for width in (*shape.widths, *shape.branch.widths)}
    widths |= {shape.detail_channels or step for shape in shapes}
    assert all(width % step == 0 and step <= width <= given.most_width for width in widths)


@pytest.mark.parametrize("num_classes", [None, 10])
@pytest.mark.parametrize("size_px", [5, 12, 32, 224])
def test_every_shape_is_a_network_for_images_of_the_size(
    size_px: int, num_classes: int | None
) -> None:
    """Its deepest map keeps 2 px where the image has them, and it classifies where asked to."""
    given = space(size_px=size_px, num_classes=num_classes)
    for shape in [*drawn(given, 40), given.smallest(), given.largest(), given.plain()]:
        network = given.architecture(shape)
        assert network.num_classes == num_classes
        assert network.denoises
        assert len(shape.widths) == 1 or size_px // network.stride_px >= 2


@pytest.mark.parametrize("size_px", [12, 96, 224])
def test_a_box_of_28_px_keeps_its_places_in_every_shape(size_px: int) -> None:
    """The stride is 8 px at most, drawn, scaled, plain or of the rule; no branch has widths."""
    given = space(size_px=size_px, boxes=True)
    shapes = [*drawn(given, 40), given.smallest(), given.largest(), given.rule(45e6)]
    shapes += [given.plain(), given.plain("mbconv")]
    shapes += [given.scaled(shape, 0.7) for shape in shapes]
    for shape in shapes:
        network = given.architecture(shape)
        assert network.stride_px <= 8
        assert network.classifies_boxes
        assert shape.branch == Branch()


def test_images_with_boxes_reach_the_stride_of_the_network_of_the_paper() -> None:
    """The rule and the plain networks use all levels that boxes allow."""
    given = space(size_px=96, boxes=True)
    for shape in (given.plain(), given.plain("mbconv"), given.rule(45e6)):
        assert given.architecture(shape).stride_px == 8


def test_draws_differ_in_everything() -> None:
    """All operators, stems, joints and depths of the net are among a hundred of them."""
    shapes = drawn(space(), 100)
    for name in ("operator", "stem", "down", "up", "join", "gated", "squeezes", "detail_channels"):
        assert len({getattr(shape, name) for shape in shapes}) == {"operator": 4, "up": 3}.get(
            name, 2
        )
    assert {len(shape.widths) for shape in shapes} == {2, 3, 4, 5}
    branches = [shape.branch for shape in shapes]
    assert {branch.pooling for branch in branches} == {"mean", "max"}
    assert {branch.operator for branch in branches} == {"conv", "mbconv"}
    assert {branch.stride_px for branch in branches} == {1, 2}
    assert {len(branch.widths) for branch in branches} == {0, 1, 2}
    for depths in ("encoder_depths", "decoder_depths"):
        assert {0, 1, 2} <= {depth for shape in shapes for depth in getattr(shape, depths)}


def test_without_blocks_their_kind_is_the_same() -> None:
    """So that two shapes of one network are equal."""
    bare = {"encoder_depths": (0,) * 5, "decoder_depths": (0,) * 4}
    large = space(size_px=256)
    found = {
        large.changed(large.rule(45e6), **bare, operator=operator, down=down)
        for operator in ("residual_conv", "conv", "mbconv")
        for down in ("strided_conv", "max_pool")
    }
    assert len(found) == 4  # after a maximum, one block changes the channels


def test_the_same_seed_draws_the_same_shapes() -> None:
    """And another seed draws others."""
    assert drawn(space(), 5) == drawn(space(), 5)
    assert drawn(space(), 5) != drawn(space(), 5, seed=1)


def test_a_space_without_squeezes_draws_none() -> None:
    """For tiles of large images, which a squeeze makes inexact."""
    assert not any(shape.squeezes for shape in drawn(space(squeezes=False), 60))


def test_shapes_and_spaces_survive_json() -> None:
    """To the last field."""
    for shape in drawn(space(), 20):
        assert Shape.from_json(shape.to_json(), source="memory") == shape
    assert ShapeSpace.from_json(space().to_json(), source="memory") == space()


def test_the_plain_network_is_the_dc_net_on_the_grid() -> None:
    """One convolution a level at full resolution: widths 16, 16, 32 and 64."""
    shape = space().plain()
    assert shape.widths == (16, 16, 32, 64)
    network = space().architecture(shape)
    kinds = [[block.kind for block in level.blocks] for level in network.encoder]
    assert kinds == [["conv"], *[["max_pool", "conv"]] * 3]
    assert network.decoder is not None
    assert {level.up.kind for level in network.decoder.levels} == {"transposed_conv"}
    assert network.classifier is not None
    assert [block.kind for block in network.classifier.blocks] == ["inverted_residual"] * 2
    assert space().plain("mbconv").operator == "mbconv"


@pytest.mark.parametrize(
    ("millions", "widths"), [(37, (16, 32, 64, 128, 192)), (207, (48, 96, 128, 192, 256))]
)
def test_the_rule_repeats_the_networks_that_it_was_made_from(
    millions: int, widths: tuple[int, ...]
) -> None:
    """Their widths, and their multiply-adds within 10 %: with all levels, on larger images."""
    large = space(size_px=256)
    shape = large.rule(1e6 * millions * (256 / 64) ** 2)
    assert shape.widths == widths
    assert multiply_adds(large, shape) == pytest.approx(16e6 * millions, rel=0.1)


def test_the_rule_has_fewer_levels_for_small_images() -> None:
    """Three to five, so that the deepest map keeps seven pixels; fewer where it has not two."""
    sizes_px = (4, 16, 64, 128, 224, 320)
    levels = [len(space(size_px=size).rule(1e9).widths) for size in sizes_px]
    assert levels == [1, 3, 3, 4, 5, 5]


@pytest.mark.parametrize("shape", drawn(space(), 10), ids=lambda shape: shape.operator)
def test_a_shape_is_scaled_by_its_widths_alone(shape: Shape) -> None:
    """A larger factor costs more, and nothing but widths changes."""
    given = space()
    costs = [multiply_adds(given, given.scaled(shape, factor)) for factor in (0.5, 1, 2)]
    assert costs == sorted(costs)
    assert costs[0] < costs[2]
    scaled = given.scaled(shape, 2)
    names = set(Shape.model_fields) - {"widths", "branch"}
    assert all(getattr(scaled, name) == getattr(shape, name) for name in names)


@pytest.mark.parametrize("shape", drawn(space(), 10), ids=lambda shape: shape.operator)
def test_making_a_shape_flatter_ends_at_one_bare_level(shape: Shape) -> None:
    """No step costs more, and no block is left."""
    given, steps = space(), [shape]
    while (flatter := given.flatter(steps[-1])) is not None:
        steps.append(flatter)
    costs = [multiply_adds(given, one) for one in steps]
    assert costs == sorted(costs, reverse=True)
    assert costs[0] > costs[-1]
    last = steps[-1]
    assert (last.encoder_depths, last.decoder_depths, last.branch.widths) == ((0,), (), ())


def test_the_smallest_shape_costs_least_and_the_largest_most() -> None:
    """Less than a million multiply-adds and any of fifty, and more than a billion and a half."""
    given = space()
    costs = [multiply_adds(given, given.scaled(shape, 0.5)) for shape in drawn(given, 50)]
    assert multiply_adds(given, given.smallest()) < min(1e6, *costs)
    assert multiply_adds(given, given.largest()) > 1.5e9


def test_distance_is_a_distance() -> None:
    """Zero for equal shapes, the same both ways, and more for two changes than for one."""
    one, other = drawn(space(), 2)
    assert distance(one, one) == 0
    assert distance(one, other) == distance(other, one) > 0
    plain = space().plain()
    wider = space().scaled(plain, 2)
    both = wider.model_copy(update={"stem": "half"})
    assert 0 < distance(plain, wider) < distance(plain, both)
