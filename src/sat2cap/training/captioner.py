"""Training of a captioner (CLIPCap): it learns to continue a photo's CLIP embedding with its caption."""

import glob
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from transformers import GPT2Config

from sat2cap.errors import InputError, JobError
from sat2cap.locks import folder_lock, remove_temporary_files
from sat2cap.model import (
    Captioner,
    CaptionNetwork,
    Checkpoint,
    load_captioner,
    save_captioner,
)
from sat2cap.progress import Progress, silent
from sat2cap.training.captioner_run import CaptionModel, CaptionRun
from sat2cap.training.data.captioned_photos import (
    CaptionedPhotos,
    embed_captioned_photos,
    split_into_batches,
)

_IGNORED = -100
"""Target that torch's cross-entropy leaves out."""


def train_captioner(
    run: CaptionRun, resolve: Callable[[str], Checkpoint], progress: Progress = silent
) -> dict[str, float]:
    """Train a captioner, write it to its folder, and return its losses in nats per token.

    ``loss.last100`` is the mean of the last 100 steps; ``loss.held_out`` that of photos that are not trained
    on, if there are any. `resolve` loads a CLIP model by name. Raises `ModelError` or `InputError` if the
    models or captions cannot be used, `JobError` if the loss is not finite, or another process trains into
    the folder.
    """
    folder = run.output.folder
    with folder_lock(folder.parent, f"captioner {folder.name!r} in", f".lock-{folder.name}"):
        remove_temporary_files(folder.parent, f".{glob.escape(folder.name)}.*")
        return _train_locked(run, resolve, progress)


def _train_locked(
    run: CaptionRun, resolve: Callable[[str], Checkpoint], progress: Progress
) -> dict[str, float]:
    """Do what `train_captioner` does, in a folder that no other process trains into."""
    torch.manual_seed(run.optim.seed)
    clip = resolve(run.model.clip)
    photos = embed_captioned_photos(run.data, clip, progress)
    captioner = _initial_captioner(run.model, clip)
    captioner.network.gpt.requires_grad_(run.model.train_gpt)
    held_out_count = int(run.data.held_out * len(photos.captions))
    train_count = len(photos.captions) - held_out_count
    losses = _train_network(captioner, photos, train_count, run, progress)
    if run.output.half:
        captioner.network.half().float()
    metrics = {"loss.last100": float(np.mean(losses[-100:]))}
    if held_out_count:
        metrics["loss.held_out"] = _held_out_loss(captioner, photos, train_count)
    captioner.card.update(
        name=run.output.folder.name,
        source=f"trained on captions for {run.model.clip}",
        licence=clip.card.get("licence", "unknown"),
        training=run.model_dump(mode="json", exclude={"output"}),
        metrics=metrics,
    )
    save_captioner(replace(captioner, space=clip.text_identity), run.output.folder)
    return metrics


def _initial_captioner(model: CaptionModel, clip: Checkpoint) -> Captioner:
    """Return the captioner that training starts from.

    Raises `InputError` if it is for embeddings of another length, or if the CLIP model has no tokenizer.
    """
    if model.init is not None:
        captioner = load_captioner(model.init, model.tokenizer)
        if captioner.dim != clip.dim:
            raise InputError(
                f"captioner {model.init!r} is for embeddings of {captioner.dim}, not {clip.dim} numbers"
            )
        return captioner
    if clip.text is None:
        raise InputError(
            f"model {model.clip!r} has no tokenizer for a captioner: give model.init, a captioner"
        )
    tokenizer = clip.text.tokenizer
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_positions=model.prefix + int(clip.text.model.config.max_position_embeddings),
        n_embd=model.hidden,
        n_layer=model.layers,
        n_head=model.heads,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    return Captioner(CaptionNetwork(clip.dim, model.prefix, config), tokenizer, unit=True)


def _train_network(
    captioner: Captioner, photos: CaptionedPhotos, count: int, run: CaptionRun, progress: Progress
) -> list[float]:
    """Train the network on the first `count` photos; return the loss of every step."""
    network, optim = captioner.network.train(), run.optim
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=optim.lr, weight_decay=optim.weight_decay)
    warmup_steps = max(1, round(optim.warmup * optim.steps))
    decay_steps = max(1, optim.steps - warmup_steps)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min((step + 1) / warmup_steps, (optim.steps - step) / decay_steps),
    )
    draw, losses = np.random.default_rng(optim.seed), []
    for step in range(optim.steps):
        rows = draw.integers(count, size=optim.batch)
        texts = [photos.captions[row][int(draw.integers(len(photos.captions[row])))] for row in rows]
        embeddings = captioner.scale_embeddings(photos.embeddings[rows])
        loss = network.loss(embeddings, _target_tokens(captioner, texts))
        if not torch.isfinite(loss):
            raise JobError(f"the loss is {loss.item()} at step {step}; lower optim.lr and start again")
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        schedule.step()
        losses.append(loss.item())
        progress(f"training the captioner, loss {np.mean(losses[-20:]):.3f}", step + 1, optim.steps)
    network.eval()
    return losses


def _held_out_loss(captioner: Captioner, photos: CaptionedPhotos, first: int) -> float:
    """Return the mean loss per token of the first caption of every photo from index `first` on."""
    total, count = 0.0, 0
    with torch.inference_mode():
        for rows in split_into_batches(range(first, len(photos.captions)), 256):
            tokens = _target_tokens(captioner, [photos.captions[row][0] for row in rows])
            token_count = int((tokens != _IGNORED).sum())
            embeddings = captioner.scale_embeddings(photos.embeddings[rows])
            total += token_count * captioner.network.loss(embeddings, tokens).item()
            count += token_count
    return total / count


def _target_tokens(captioner: Captioner, texts: list[str]) -> Tensor:
    """Return the target tokens of N captions, with the end token: int64, shape (N, T).

    Captions are cut to the length that fits behind the prefix, and padded with `_IGNORED`.
    """
    tokenizer, network = captioner.tokenizer, captioner.network
    max_tokens = network.gpt.config.n_positions - network.prefix_length - 1
    rows = [
        [
            *tokenizer.encode(text, add_special_tokens=False, verbose=False)[:max_tokens],
            tokenizer.eos_token_id,
        ]
        for text in texts
    ]
    width = max(map(len, rows))
    return torch.tensor([row + [_IGNORED] * (width - len(row)) for row in rows])
