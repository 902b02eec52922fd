"""Dense and convolutional networks in PyTorch, and their export to ONNX.

Both take prepared windows ``(n, point)`` and give two rows of logits: which class it is, and
what share each state has. PyTorch is needed for training only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import torch
from live_eels.models.graph import Graph
from live_eels.models.lines import VALENCE
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import nn

from live_eels.model_card import ModelError


class Network(nn.Module):
    """A body and two heads on what it finds."""

    def __init__(self, body: nn.Sequential, width: int, classes: int) -> None:
        super().__init__()
        self.body = body
        self.label = nn.Linear(width, classes)
        self.share = nn.Linear(width, classes)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits of the label and of the share of each class."""
        found = self.body(x)
        return self.label(found), self.share(found)


def dense(
    points: int, hidden: Sequence[int], classes: int, projection: NDArray[Any] | None = None
) -> Network:
    """Fully connected layers, behind a fixed ``projection (component, point)`` if there is one."""
    layers: list[nn.Module] = []
    width = points
    if projection is not None:
        width = len(projection)
        first = nn.Linear(points, width).requires_grad_(False)
        first.weight.copy_(torch.as_tensor(projection))
        first.bias.zero_()
        layers.append(first)
    for size in hidden:
        layers += [nn.Linear(width, size), nn.ReLU()]
        width = size
    return Network(nn.Sequential(*layers), width, classes)


class AverageOverWindow(nn.Module):
    """Global average pooling, ``(n, filter, point)`` to ``(n, filter)``."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Mean over the points."""
        return x.mean(dim=2)


def convolutional(
    filters: Sequence[int], sizes: Sequence[int], strides: Sequence[int], classes: int
) -> Network:
    """Fully convolutional layers, then global average pooling."""
    layers: list[nn.Module] = [nn.Unflatten(1, (1, -1))]
    depth = 1
    for count, size, stride in zip(filters, sizes, strides, strict=True):
        layers += [nn.Conv1d(depth, count, size, stride, padding=size // 2), nn.ReLU()]
        depth = count
    layers.append(AverageOverWindow())
    return Network(nn.Sequential(*layers), depth, classes)


def parameters(network: nn.Module) -> int:
    """Number of trained numbers."""
    return sum(p.numel() for p in network.parameters())


def train_network(
    network: Network,
    x: NDArray[np.floating[Any]],
    fraction: NDArray[np.floating[Any]],
    mask: NDArray[np.floating[Any]],
    *,
    epochs: int,
    seed: int,
    batch: int = 512,
    rate: float = 2e-3,
    weight_decay: float = 1e-4,
    mixture_weight: float = 1.0,
    valence_weight: float = 0.0,
) -> None:
    """Train in place with AdamW and a one-cycle rate; seeded, on one core.

    (Layers as small as these are trained no faster by two, and sums stay in one order.)

    Parameters
    ----------
    x, fraction, mask
        Prepared windows ``(n, point)``, share of each class ``(n, class)``, and what is added
        to each class's logit ``(n, class)``.
    mixture_weight
        How much more a mixture counts than a pure state where fractions are learned.
    valence_weight
        Of the squared error of the mean valence beside the cross-entropy of the fractions.
    """
    torch.manual_seed(seed)
    order = torch.Generator().manual_seed(seed)
    inputs, shares, masks = (torch.as_tensor(a, dtype=torch.float32) for a in (x, fraction, mask))
    first, second = shares.topk(2, dim=1).values.T
    labels, lead = shares.argmax(dim=1), first - second  # an even mixture has no right label
    weight = torch.where(second > 0, mixture_weight, 1.0)
    weight /= weight.mean()
    optimiser = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=weight_decay)
    steps = epochs * (-(-len(inputs) // batch))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    network.train()
    for _ in range(epochs):
        for rows in torch.randperm(len(inputs), generator=order).split(batch):  # type: ignore[no-untyped-call]
            label, share = network(inputs[rows])
            label, share = label + masks[rows], share + masks[rows]
            loss = nn.functional.cross_entropy(label, labels[rows], reduction="none")
            if mixture_weight == 1.0 and valence_weight == 0.0:
                loss = (loss * lead[rows]).mean() + nn.functional.cross_entropy(share, shares[rows])
            else:
                error = fraction_loss(share, shares[rows], valence_weight)
                loss = (loss * lead[rows] + weight[rows] * error).mean()
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
    network.eval()
    torch.set_num_threads(threads)


def fraction_loss(share: torch.Tensor, true: torch.Tensor, valence_weight: float) -> torch.Tensor:
    """Cross-entropy of fractions and squared error of the mean valence, ``(n,)``.

    The valence counts by the part that has an edge: a spectrum of none has no valence.
    """
    valence = torch.tensor([v or 0.0 for v in VALENCE])
    has = torch.tensor([v is not None for v in VALENCE]).float()
    found = share.softmax(dim=1)
    error = (found @ valence) / (found @ has + 1e-6) - true @ valence
    entropy = nn.functional.cross_entropy(share, true, reduction="none")
    return entropy + valence_weight * (true @ has) * error**2


def logits(network: Network, x: NDArray[np.floating[Any]]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Both rows of logits of prepared windows, float32 ``(n, class)``."""
    with torch.no_grad():
        label, share = network(torch.as_tensor(x, dtype=torch.float32))
    return label.numpy(), share.numpy()


def write_network(graph: Graph, x: str, network: Network) -> tuple[str, str]:
    """Add the network to a graph; names of its two rows of logits."""
    for layer in network.body:
        if isinstance(layer, nn.Linear):
            x = graph.affine(x, _array(layer.weight), _array(layer.bias))
        elif isinstance(layer, nn.Conv1d):
            weight = graph.constant(_array(layer.weight))
            pad = int(layer.padding[0])
            x = graph.node(
                "Conv",
                x,
                weight,
                graph.constant(_array(layer.bias)),
                strides=list(layer.stride),
                pads=[pad, pad],
            )
        elif isinstance(layer, nn.ReLU):
            x = graph.node("Relu", x)
        elif isinstance(layer, nn.Unflatten):
            x = graph.node("Unsqueeze", x, graph.constant(np.array([1])))
        elif isinstance(layer, AverageOverWindow):
            x = graph.node("ReduceMean", x, axes=[2], keepdims=0)
        else:
            raise TypeError(f"no ONNX form for {type(layer).__name__}")
    return (
        graph.affine(x, _array(network.label.weight), _array(network.label.bias)),
        graph.affine(x, _array(network.share.weight), _array(network.share.bias)),
    )


def read_network(network: Network, model: bytes) -> None:
    """Fill an untrained network with the weights of one that `write_network` wrote.

    Raises
    ------
    ModelError
        If the model is not of the same structure.
    """
    graph = onnx.load_from_string(model).graph
    constant = {c.name: numpy_helper.to_array(c) for c in graph.initializer}
    found = [
        constant[name]
        for node in graph.node
        if node.op_type in ("Gemm", "Conv")
        for name in node.input[1:]
    ]
    wanted = [tuple(p.shape) for p in network.parameters()]
    found = found[: len(wanted)]  # the temperature's come after the network's
    if [array.shape for array in found] != wanted:
        raise ModelError("the model is not of the structure that its recipe says")
    with torch.no_grad():
        for parameter, array in zip(network.parameters(), found, strict=True):
            parameter.copy_(torch.as_tensor(array.copy()))


def _array(tensor: Any) -> NDArray[np.float32]:
    return np.asarray(tensor.detach().numpy(), np.float32)
