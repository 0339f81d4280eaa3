"""Gradients of a large batch from small parts are those of the batch at once."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from sat2cap.training.gradients import large_batch_gradients
from sat2cap.training.losses import Form, contrastive_loss


class Net(nn.Module):
    """Two inputs, as the student has more than one."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(6, 32), nn.GELU(), nn.Linear(32, 7))

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        result: Tensor = self.body(first) + second
        return result


def setting(form: Form) -> tuple[Net, tuple[Tensor, Tensor], nn.Parameter, Callable[[Tensor], Tensor]]:
    torch.manual_seed(0)
    net, inputs = Net(), (torch.randn(10, 6), torch.randn(10, 7))
    ground, queue = (nn.functional.normalize(torch.randn(n, 7), dim=1) for n in (10, 5))
    scale = nn.Parameter(torch.tensor(8.0))
    return net, inputs, scale, partial(contrastive_loss, ground=ground, queue=queue.T, scale=scale, form=form)


@pytest.mark.parametrize("form", ["paper", "queue_only", "symmetric", "siglip"])
@pytest.mark.parametrize("micro_batch", [None, 10, 4, 1])
def test_parts_give_the_gradients_of_the_whole(form: Form, micro_batch: int | None) -> None:
    net, inputs, scale, loss_of = setting(form)
    expected = loss_of(net(*inputs))
    expected.backward()
    wanted = [value.grad.clone() for value in (*net.parameters(), scale) if value.grad is not None]
    for value in (*net.parameters(), scale):
        value.grad = None

    fabric = Fabric(accelerator="cpu", devices=1)
    model = fabric.setup(net)
    loss, embedding = large_batch_gradients(fabric, model, inputs, loss_of, micro_batch=micro_batch)
    assert float(loss) == pytest.approx(float(expected.detach()), rel=1e-6)
    torch.testing.assert_close(embedding, net(*inputs).detach())
    gradients = [value.grad for value in (*net.parameters(), scale)]
    assert len(wanted) == 5
    for one, other in zip(gradients, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_the_mean_of_the_parts_losses_would_be_another_gradient() -> None:
    """What naive accumulation does: the test above could not pass by it."""
    net, inputs, _, loss_of = setting("paper")
    loss_of(net(*inputs)).backward()
    whole = net.body[0].weight.grad.clone()
    net.zero_grad()
    ground = loss_of.keywords["ground"]  # type: ignore[attr-defined]
    for micro_batch in (slice(0, 5), slice(5, 10)):
        embedding = net(*(tensor[micro_batch] for tensor in inputs))
        (loss_of(embedding, ground=ground[micro_batch]) / 2).backward()  # type: ignore[call-arg]
    assert float((net.body[0].weight.grad - whole).norm() / whole.norm()) > 0.05
