"""The miniature CLIP: text and image towers trained on captioned photos of made-up planets.

It plays the part of OpenAI's CLIP in the miniature world: same transformers classes, same files, small sizes.
"""

import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from torch import Tensor
from torch.nn import functional as F
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, PreTrainedTokenizerFast

from sat2cap.config import Section, load
from sat2cap.errors import JobError, RunFileError
from sat2cap.files import publish_folder
from sat2cap.miniworld.photos import MiniPhotos
from sat2cap.miniworld.world import World
from sat2cap.progress import Progress, silent

START, END = "<|startoftext|>", "<|endoftext|>"


class ClipData(Section):
    """Which photos it learns from: other planets than Sat2Cap is ever trained or tested on."""

    worlds: tuple[int, ...]
    photos_per_world: int
    eagerness: float = 1.0
    """As in `MiniPhotos`: rare things are learned from more photos than they happen in."""


class ClipSize(Section):
    """How large the towers are."""

    image_size: int = 48
    patch_size: int = 8
    hidden: int = 160
    heads: int = 5
    image_layers: int = 4
    text_layers: int = 3
    context: int = 32
    vocabulary: int = 2000
    dim: int = 128


class ClipOptim(Section):
    """How it learns."""

    batch_size: int = 512
    epochs: int = 10
    lr: float = 1e-3
    warmup_steps: int = 100
    weight_decay: float = 0.1
    precision: Literal["float32", "bfloat16"] = "float32"
    word_dropout: float = 0.0
    """Share of a caption's words that are left out, others each time, so that every word means something."""
    compile: bool = False  # about 1.3 x the speed on a CPU, where there is a C compiler
    seed: int = 0


class ClipRun(Section):
    """A run file with ``method = "clip"``."""

    method: Literal["clip"]
    out: Path
    data: ClipData
    size: ClipSize = ClipSize()
    optim: ClipOptim = ClipOptim()


def load_clip_run(path: Path) -> ClipRun:
    """Read and check a run file of method ``clip``.

    Raises `RunFileError`, which lists every problem at once, in one line.
    """
    return load(path, ClipRun, RunFileError, kind="run file")


def train_clip(run: ClipRun, progress: Progress = silent) -> dict[str, float]:
    """Train both towers with CLIP's symmetric loss; write a CLIPModel folder to `run.out`; its figures."""
    if run.out.exists() and not (run.out / "config.json").is_file() and any(run.out.iterdir()):
        raise RunFileError(f"out {run.out} holds something else than a model: give another folder")
    torch.manual_seed(run.optim.seed)
    started = time.monotonic()
    pixels, captions = _photos(run, progress)
    tokenizer = _tokenizer(captions[0::4], run.size)
    model = CLIPModel(_config(run.size, tokenizer))
    if run.optim.precision == "bfloat16":
        model.set_attn_implementation("eager")  # fused attention is slow backwards in bfloat16 on a CPU
    processor = CLIPImageProcessorPil(
        size={"shortest_edge": run.size.image_size}, crop_size=run.size.image_size
    )
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (processor.image_mean, processor.image_std))
    optimiser = torch.optim.AdamW(_groups(model, run.optim), lr=run.optim.lr, betas=(0.9, 0.98), eps=1e-6)
    steps = len(pixels) // run.optim.batch_size * run.optim.epochs
    forward = torch.compile(model) if run.optim.compile else model
    log, dropped = [], np.random.default_rng([run.optim.seed, 1])
    for step, chosen in enumerate(_batches(len(pixels), run.optim)):
        for group in optimiser.param_groups:
            group["lr"] = run.optim.lr * _schedule(step, steps, run.optim.warmup_steps)
        texts = [
            _shortened(captions[i][step % len(captions[i])], run.optim.word_dropout, dropped) for i in chosen
        ]
        images = (torch.from_numpy(pixels[chosen]).permute(0, 3, 1, 2).float() / 255 - mean) / std
        loss = _step(forward, images, _tokens(tokenizer, texts), run.optim)
        if not math.isfinite(loss):
            raise JobError(f"the loss is {loss} at step {step}; lower lr in the run file and start again")
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        with torch.no_grad():
            model.logit_scale.clamp_(0, 4.6052)
        log.append(loss)
        progress(f"training CLIP, loss {np.mean(log[-20:]):.3f}", step + 1, steps)
    figures = {"loss.last100": float(np.mean(log[-100:])), "seconds": time.monotonic() - started}
    _save(model.eval(), tokenizer, processor, run.out)
    return figures


def _photos(run: ClipRun, progress: Progress) -> tuple[NDArray[np.uint8], list[list[str]]]:
    """Pixels ``[N, S, S, 3]`` and several captions each."""
    pixels, captions, total = [], [], len(run.data.worlds) * run.data.photos_per_world
    for number in run.data.worlds:
        source = MiniPhotos(World(number), run.data.photos_per_world, eagerness=run.data.eagerness)
        records = list(source.photos())
        for first in range(0, len(records), 500):
            part = records[first : first + 500]
            pixels += [np.asarray(_decoded(data, run.size.image_size)) for data in source.images(part)]
            captions += source.captions(part, per_photo=6)
            progress("photographing made-up planets", len(pixels), total)
    return np.stack(pixels), captions


def _decoded(data: bytes, size: int) -> Image.Image:
    import io

    return Image.open(io.BytesIO(data)).convert("RGB").resize((size, size), Image.Resampling.BICUBIC)


def _tokenizer(captions: Sequence[list[str]], size: ClipSize) -> PreTrainedTokenizerFast:
    """A byte-pair vocabulary of CLIP's kind, learned from the captions and saved in the standard files."""
    tokenizer = Tokenizer(models.BPE(unk_token=END, end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Whitespace(), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.BPEDecoder(suffix="</w>")
    trainer = trainers.BpeTrainer(
        vocab_size=size.vocabulary,
        special_tokens=[START, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        end_of_word_suffix="</w>",
        show_progress=False,
    )
    tokenizer.train_from_iterator((text for texts in captions for text in texts), trainer)
    start, end = tokenizer.token_to_id(START), tokenizer.token_to_id(END)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{START} $A {END}", special_tokens=[(START, start), (END, end)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=START,
        eos_token=END,
        pad_token=END,
        unk_token=END,
        model_max_length=size.context,
    )


def _config(size: ClipSize, tokenizer: PreTrainedTokenizerFast) -> CLIPConfig:
    shared = {
        "hidden_size": size.hidden,
        "intermediate_size": 4 * size.hidden,
        "num_attention_heads": size.heads,
        "projection_dim": size.dim,
    }
    text = {
        **shared,
        "num_hidden_layers": size.text_layers,
        "vocab_size": len(tokenizer),
        "max_position_embeddings": size.context,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    image = {
        **shared,
        "num_hidden_layers": size.image_layers,
        "image_size": size.image_size,
        "patch_size": size.patch_size,
    }
    return CLIPConfig(text_config=text, vision_config=image, projection_dim=size.dim)


def _groups(model: CLIPModel, optim: ClipOptim) -> list[dict[str, Any]]:
    """Weight decay for matrices only, as CLIP does."""
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    others = [p for p in model.parameters() if p.ndim < 2]
    return [{"params": matrices, "weight_decay": optim.weight_decay}, {"params": others, "weight_decay": 0.0}]


def _batches(count: int, optim: ClipOptim) -> Iterator[NDArray[np.int64]]:
    """Indices of each step's photos: every photo once an epoch, in a new order."""
    order = np.random.default_rng(optim.seed)
    for _ in range(optim.epochs):
        shuffled = order.permutation(count)
        for first in range(0, count - optim.batch_size + 1, optim.batch_size):
            yield shuffled[first : first + optim.batch_size]


def _shortened(text: str, share: float, r: np.random.Generator) -> str:
    """Without a `share` of its words, in the mean; as it is if none would be left."""
    words = text.split()
    return " ".join(np.array(words)[r.random(len(words)) >= share]) or text


def _schedule(step: int, steps: int, warmup: int) -> float:
    """Linear warm-up, then a cosine to zero."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def _tokens(tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> dict[str, Tensor]:
    given = tokenizer(texts, padding="max_length", truncation=True, return_tensors="pt")
    return {"input_ids": given["input_ids"], "attention_mask": given["attention_mask"]}


def _step(model: Any, images: Tensor, tokens: dict[str, Tensor], optim: ClipOptim) -> float:
    """Forward and backward of one batch with CLIP's symmetric cross-entropy; the loss."""
    with torch.autocast("cpu", torch.bfloat16, enabled=optim.precision == "bfloat16"):
        given = model(pixel_values=images, **tokens)
    similarity = model.logit_scale.exp() * given.image_embeds.float() @ given.text_embeds.float().T
    target = torch.arange(len(images))
    loss = (F.cross_entropy(similarity, target) + F.cross_entropy(similarity.T, target)) / 2
    loss.backward()  # type: ignore[no-untyped-call]
    return float(loss.detach())


def _save(
    model: CLIPModel, tokenizer: PreTrainedTokenizerFast, processor: CLIPImageProcessorPil, out: Path
) -> None:
    """A folder that ``CLIPModel.from_pretrained`` reads, half precision to keep the package small."""
    with publish_folder(out) as folder:
        model.half().save_pretrained(folder)
        model.float()
        tokenizer.save_pretrained(folder)
        processor.save_pretrained(folder)
