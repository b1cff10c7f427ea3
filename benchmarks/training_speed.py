"""How many images a second does a training step take, against a plain loop in PyTorch?

Both train the reduced Integrated DC-Net on the same batches of 64 two-digit images (96 px):

- *plain*: the network as one would write it, eager, fp32, torch's own layers and memory order;
- *tapetum*: what ``tapetum train`` does with the recipe ``quick``;
- *tapetum fp32*: the same without bf16.

Each is a process of its own, since memory settings are read when a process starts.  They take
turns, a few steps at a time, in one run; what counts is the ratio of the medians, since the machine
is shared.  Before it is timed, the plain network is shown to be the same: with our weights it
returns our images.

Command:  python benchmarks/training_speed.py [--threads 2] [--json FILE]
"""

from typing import Any

import side_by_side

BATCH, NUM_BATCHES, STEPS = 64, 4, 8
LOOPS = ("plain", "tapetum", "tapetum fp32")


def plain_network() -> Any:
    """The reduced Integrated DC-Net in plain PyTorch; modules in the order of ours."""
    import torch
    from torch import nn
    from torchvision.ops import roi_align

    def twice(before: int, after: int) -> nn.Sequential:
        layers: list[nn.Module] = []
        for width in (before, after):
            conv = nn.Conv2d(width, after, 3, padding=1, bias=False)
            layers += [conv, nn.BatchNorm2d(after), nn.ReLU()]
        return nn.Sequential(*layers)

    class Plain(nn.Module):
        def __init__(self, widths: tuple[int, ...] = (8, 12, 18, 27)) -> None:
            super().__init__()
            self.down = nn.ModuleList(map(twice, (1, *widths), widths))
            self.up = nn.ModuleList()
            for fine, coarse in zip(widths[-2::-1], widths[:0:-1], strict=True):
                self.up.append(nn.ConvTranspose2d(coarse, fine, 2, 2))
                self.up.append(twice(2 * fine, fine))
            self.image = nn.Conv2d(widths[0], 1, 1)
            self.classifier = nn.Linear(16 * widths[-1], 10)

        def forward(self, x: Any, boxes: Any) -> tuple[Any, Any]:
            skips = []
            for index, level in enumerate(self.down):
                x = level(nn.functional.max_pool2d(x, 2) if index else x)
                skips.append(x)
            cut = roi_align(x, list(boxes), 4, spatial_scale=1 / 8, sampling_ratio=2, aligned=True)
            for index in range(0, len(self.up), 2):
                x = torch.cat([self.up[index](x), skips[-2 - index // 2]], dim=1)
                x = self.up[index + 1](x)
            return self.image(x), self.classifier(cut.flatten(1)).view(*boxes.shape[:2], -1)

    return Plain()


def plain_loop(batches: list[Any]) -> Any:
    """A step as one would write it, once the network is shown to be ours."""
    import torch
    import torch.nn.functional as F

    from tapetum.arch import find_architecture
    from tapetum.nn import build

    ours, network = build(find_architecture("dc-net-reduced-integrated"), seed=0), plain_network()
    weights = ours.state_dict().values()
    network.load_state_dict(dict(zip(network.state_dict(), weights, strict=True)))
    shown = batches[0]
    with torch.no_grad():
        for x, y in zip(
            ours(shown.noisy, shown.boxes), network(shown.noisy, shown.boxes), strict=True
        ):
            torch.testing.assert_close(x, y, rtol=1e-3, atol=1e-4)
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=1e-2)

    def step(index: int) -> None:
        batch = batches[index % len(batches)]
        image, logits = network(batch.noisy, batch.boxes)
        error = ((image - batch.clean).square() + 1e-6).sqrt().mean()
        loss = 0.1 * F.cross_entropy(logits.flatten(0, 1), batch.labels.flatten()) + 0.9 * error
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def tapetum_loop(batches: list[Any], *, precision: str) -> Any:
    """A step of the training loop, with the moving of the batch to where it is needed."""
    from tapetum.arch import find_architecture
    from tapetum.nn import build
    from tapetum.training import Compute, Recipe
    from tapetum.training.learner import Learner

    recipe = Recipe.named("quick").adjusted(precision=precision).suited()
    network = build(find_architecture("dc-net-reduced-integrated"), seed=recipe.seed)
    learner = Learner(network, recipe, Compute())

    def step(index: int) -> None:
        batch = learner.compute.move(
            batches[index % len(batches)], channels_last=recipe.channels_last
        )
        loss, _ = learner.losses(batch, step=index)
        learner.descend(loss, step=index, total_steps=10_000)

    return step


def work(name: str) -> None:
    """Takes some steps for every line on standard input and says how long they took."""
    from tapetum.data import digits
    from tapetum.training import Recipe, prepare_process, training_batches

    if name != "plain":
        prepare_process()
    images, _ = digits.open_digits(None, train_count=BATCH * NUM_BATCHES, test_count=1, seed=0)
    noise = Recipe.named("quick").noise
    batches = list(training_batches(images, noise, batch_size=BATCH, seed=0, epoch=0))
    precision = "fp32" if name.endswith("fp32") else "bf16"
    step = plain_loop(batches) if name == "plain" else tapetum_loop(batches, precision=precision)
    for index in range(3):
        step(index)

    def take_steps() -> None:
        for index in range(STEPS):
            step(index)

    side_by_side.serve(take_steps)


if __name__ == "__main__":
    side_by_side.run(__doc__, __file__, LOOPS, work, batch=BATCH, steps=STEPS)
