"""The optimizers of a run: which parameters Muon updates, how, and that a run resumes with its state."""

from pathlib import Path

import numpy as np
import pytest
import torch
from fake_pairs import FakePairs, log_of, small_run

from sat2cap.model.load import load_model
from sat2cap.training.loop import train
from sat2cap.training.optimizers import MuonAdamW, new_optimizer, orthogonalize
from sat2cap.training.student import Student, Temperature


class StoppedError(Exception):
    """What ends a run before its last step."""


@pytest.mark.parametrize(("dtype", "error"), [(torch.float32, 1e-4), (torch.bfloat16, 0.05)])
@pytest.mark.parametrize("shape", [(24, 24), (12, 40)])
def test_orthogonalizing_keeps_singular_vectors_and_evens_out_singular_values(
    shape: tuple[int, int], dtype: torch.dtype, error: float
) -> None:
    rng = np.random.default_rng(3)
    left, _, right = np.linalg.svd(rng.normal(size=shape), full_matrices=False)
    values = np.geomspace(1, 0.05, min(shape))
    matrices = torch.from_numpy(np.stack([(left * values) @ right, np.eye(*shape)])).float()
    result = orthogonalize(matrices, dtype)[0].double().numpy()
    inner = left.T @ result @ right.T
    assert np.abs(inner - np.diag(np.diag(inner))).max() < error
    assert 0.6 < np.diag(inner).min() <= np.diag(inner).max() < 1.3


def test_a_step_of_muon_is_that_of_torch_and_others_are_those_of_adamw() -> None:
    """torch's own Muon computes in bfloat16, so that two updates agree to some hundredths of their size."""
    muon = pytest.importorskip("torch.optim").__dict__.get("Muon")
    if muon is None:
        pytest.skip("this torch has no Muon")
    torch.manual_seed(0)
    starts, vector = (torch.randn(32, 16), torch.randn(16, 32), torch.randn(16, 16)), torch.randn(16)
    ours, theirs = ([torch.nn.Parameter(start.clone()) for start in starts] for _ in range(2))
    bias, plain = torch.nn.Parameter(vector.clone()), torch.nn.Parameter(vector.clone())
    settings = {"lr": 0.01, "weight_decay": 0.1}
    mixed = MuonAdamW([{"params": ours, "muon": True}, {"params": [bias]}], **settings, fused=True)
    alone = [
        muon(theirs, momentum=0.95, nesterov=True, adjust_lr_fn="match_rms_adamw", **settings),
        torch.optim.AdamW([plain], fused=True, **settings),
    ]
    for _ in range(3):
        for one, other in zip([*ours, bias], [*theirs, plain], strict=True):
            one.grad = torch.randn(one.shape)
            other.grad = one.grad.clone()
        mixed.step()
        for one in alone:
            one.step()
        mixed.zero_grad()
    assert torch.equal(bias, plain)
    for start, mine, other in zip(starts, ours, theirs, strict=True):
        assert (other - start).norm() > 0.01
        assert (mine - other).norm() < 0.03 * (other - start).norm()


def test_muon_has_the_matrices_of_the_layers_and_their_learning_rate(root: Path) -> None:
    tower = load_model(root / "clip").overhead
    optim = {"optimizer": "muon", "layer_lr": 0.02, "lr": 0.001}
    run = small_run(root / "out", optim=optim)
    optimizer = new_optimizer(run, Student(tower, None), Temperature(0.07, -10.0))
    assert isinstance(optimizer, MuonAdamW)
    names = {id(value): name for name, value in tower.named_parameters()}
    by_muon = [group for group in optimizer.param_groups if group.get("muon")]
    assert [group["base_lr"] for group in by_muon] == [0.02]
    assert {names[id(value)] for value in by_muon[0]["params"]} == {
        name
        for name in names.values()
        if ".layers." in name and name.endswith("weight") and "norm" not in name
    }
    others = [id(value) for group in optimizer.param_groups[1:] for value in group["params"]]
    assert len(others) == len(set(others)) == len(names) - len(by_muon[0]["params"]) + 1
    adamw = new_optimizer(small_run(root / "out"), Student(tower, None), Temperature(0.07, -10.0))
    assert not isinstance(adamw, MuonAdamW)


def test_a_stopped_run_with_muon_continues_to_the_same_model(root: Path, pairs: FakePairs) -> None:
    def stop(stage: str, done: int, total: int) -> None:
        if stage.startswith("training, loss") and done >= total / 2:
            raise StoppedError

    optim = {"optimizer": "muon", "layer_lr": 0.01}
    run = small_run(root / "out", optim=optim)
    with pytest.raises(StoppedError):
        train(run, pairs=pairs, progress=stop)
    resumed = load_model(train(run, pairs=pairs))
    whole = load_model(train(small_run(root / "whole", optim=optim), pairs=pairs))
    assert log_of(root / "out") == log_of(root / "whole")
    assert resumed.identity == whole.identity
    plain = load_model(train(small_run(root / "plain"), pairs=pairs))
    assert plain.identity != whole.identity


def test_a_learning_rate_of_layers_needs_muon(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="layer_lr is for optimizer"):
        small_run(tmp_path, optim={"layer_lr": 0.01})
