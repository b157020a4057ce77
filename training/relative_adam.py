"""Adam whose steps are shares of the weights' own sizes.

Where batch norms were folded into the convolutions, channels differ in size by orders of magnitude,
and steps of one size ruin the small ones: a common 1.5e-4 brought the built-in segmenter from a
mean IoU of 0.67 to 0.55 in a thousand steps.

Reference:
    Kingma and Ba, Adam: a method for stochastic optimization, ICLR 2015, arXiv:1412.6980. The step
    relative to the weights is as in LARS, You et al. 2017, arXiv:1708.03888, by channel.
"""

from collections.abc import Iterable

import torch
from torch import nn

_LEAST = 0.2  # share of a tensor's size that counts as a channel's at least; found by trial
_TINY = 1e-3  # size of a tensor of zeros; as large as the smallest others


class RelativeAdam(torch.optim.Optimizer):
    """Adam; a step of rate 1 is as long as each output channel was at the start.

    Args:
        parameters: to train.
        lr: the step as a share of a channel's root mean square.
        betas: of the averages of the gradients and of their squares.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        lr: float,
        betas: tuple[float, float] = (0.9, 0.99),
    ) -> None:
        super().__init__(parameters, {"lr": lr, "betas": betas})

    @torch.no_grad()
    def step(self) -> None:  # no closure
        """Take one step."""
        for group in self.param_groups:
            first, second = group["betas"]
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if not state:
                    state["step"] = 0
                    state["size"] = channel_sizes(weight)
                    state["mean"] = torch.zeros_like(weight)
                    state["square"] = torch.zeros_like(weight)
                state["step"] += 1
                mean = state["mean"].lerp_(weight.grad, 1 - first) / (1 - first ** state["step"])
                square = state["square"].lerp_(weight.grad**2, 1 - second)
                spread = (square / (1 - second ** state["step"])).sqrt() + 1e-8
                weight.sub_(group["lr"] * state["size"] * mean / spread)


def channel_sizes(weight: torch.Tensor) -> torch.Tensor:
    """Return the root mean square of each output channel (C, 1, ...), or of all biases ()."""
    whole = weight.square().mean().sqrt()
    least = max(_TINY, _LEAST * float(whole))
    if weight.ndim == 1:
        return whole.clamp(min=least)
    others = tuple(range(1, weight.ndim))
    return weight.square().mean(others, keepdim=True).sqrt().clamp(min=least)
