"""Training of the miniature CLIP: text and image towers, on captioned photos of made-up planets.

It takes the place of OpenAI's CLIP in the miniature world: same classes of transformers, same files, small
sizes.
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
from sat2cap.model import Precision, PrecisionChoice, choose_compute
from sat2cap.pictures import decode_picture
from sat2cap.progress import Progress, announce, silent

START, END = "<|startoftext|>", "<|endoftext|>"


class ClipData(Section):
    """Section ``[data]``: photos of planets that Sat2Cap is never trained or tested on."""

    worlds: tuple[int, ...]
    """Numbers of the planets."""
    photos_per_world: int
    """Number of photos that are rendered of each planet."""
    eagerness: float = 1.0
    """As in `MiniPhotos`: above 1, photos show rare concepts more often than they happen."""


class ClipSize(Section):
    """Section ``[size]``: sizes of the towers."""

    image_size: int = 48
    """Side of the images in pixels."""
    patch_size: int = 8
    """Side in pixels of the squares that become tokens."""
    hidden: int = 160
    """Width of both towers."""
    heads: int = 5
    """Number of attention heads of both towers."""
    image_layers: int = 4
    """Number of layers of the image tower."""
    text_layers: int = 3
    """Number of layers of the text tower."""
    context: int = 32
    """Number of tokens that a text is cut or padded to."""
    vocabulary: int = 2000
    """Largest number of tokens in the vocabulary."""
    dim: int = 128
    """Length of the embeddings."""


class ClipOptim(Section):
    """Section ``[optim]``: AdamW with linear warm-up and cosine decay."""

    batch_size: int = 512
    """Number of photos per step."""
    epochs: int = 10
    """Number of passes over the photos."""
    lr: float = 1e-3
    """Peak learning rate."""
    warmup_steps: int = 100
    """Number of steps with a rising learning rate."""
    weight_decay: float = 0.1
    """Weight decay of matrices; biases and gains have none."""
    precision: PrecisionChoice = "auto"
    """Precision of the towers; ``auto`` takes the one that this processor is fastest in."""
    word_dropout: float = 0.0
    """Share of a caption's words that are left out, other words each time.

    Every word then has to carry its own meaning.
    """
    compile: bool = False
    """Whether torch compiles the model: about 1.3 times the speed on a CPU, which needs a C compiler."""
    seed: int = 0
    """Seed of initial weights, of the order of photos and of the words that are left out."""


class ClipRun(Section):
    """Run file of method ``clip``."""

    method: Literal["clip"]
    out: Path
    """Folder of the trained model."""
    data: ClipData
    size: ClipSize = ClipSize()
    optim: ClipOptim = ClipOptim()


def load_clip_run(path: Path) -> ClipRun:
    """Return the checked run file of method ``clip`` at `path`.

    Raises `RunFileError`, which lists every problem at once, in one line.
    """
    return load(path, ClipRun, RunFileError, kind="run file")


def train_clip(run: ClipRun, progress: Progress = silent) -> dict[str, float]:
    """Train both towers with CLIP's symmetric loss, write a CLIPModel folder to `run.out`; return metrics.

    The metrics are the mean loss of the last 100 steps and the duration in seconds. Raises `RunFileError` if
    `run.out` holds something other than a model, `JobError` if the loss is not finite.
    """
    if run.out.exists() and not (run.out / "config.json").is_file() and any(run.out.iterdir()):
        raise RunFileError(f"out {run.out} holds something other than a model: give another folder")
    compute = choose_compute(run.optim.precision, "cpu")
    announce(progress, f"training in {compute}")
    torch.manual_seed(run.optim.seed)
    started = time.monotonic()
    pixels, captions = _render_photos(run, progress)
    tokenizer = _train_tokenizer(captions[0::4], run.size)
    model = CLIPModel(_clip_config(run.size, tokenizer))
    if compute.precision == "bfloat16":
        model.set_attn_implementation("eager")  # fused attention is slow backwards in bfloat16 on a CPU
    processor = CLIPImageProcessorPil(
        size={"shortest_edge": run.size.image_size}, crop_size=run.size.image_size
    )
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (processor.image_mean, processor.image_std))
    optimiser = torch.optim.AdamW(
        _parameter_groups(model, run.optim), lr=run.optim.lr, betas=(0.9, 0.98), eps=1e-6
    )
    steps = len(pixels) // run.optim.batch_size * run.optim.epochs
    forward = torch.compile(model) if run.optim.compile else model
    losses, word_generator = [], np.random.default_rng([run.optim.seed, 1])
    for step, rows in enumerate(_epoch_batches(len(pixels), run.optim)):
        for group in optimiser.param_groups:
            group["lr"] = run.optim.lr * _learning_rate_factor(step, steps, run.optim.warmup_steps)
        texts = [
            _drop_words(captions[i][step % len(captions[i])], run.optim.word_dropout, word_generator)
            for i in rows
        ]
        images = (torch.from_numpy(pixels[rows]).permute(0, 3, 1, 2).float() / 255 - mean) / std
        loss = _backward_step(forward, images, _tokenize(tokenizer, texts), compute.precision)
        if not math.isfinite(loss):
            raise JobError(f"the loss is {loss} at step {step}; lower lr in the run file and start again")
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        with torch.no_grad():
            model.logit_scale.clamp_(0, 4.6052)
        losses.append(loss)
        progress(f"training CLIP, loss {np.mean(losses[-20:]):.3f}", step + 1, steps)
    metrics = {"loss.last100": float(np.mean(losses[-100:])), "seconds": time.monotonic() - started}
    _save_clip(model.eval(), tokenizer, processor, run.out)
    return metrics


def _render_photos(run: ClipRun, progress: Progress) -> tuple[NDArray[np.uint8], list[list[str]]]:
    """Return the photos of all planets, uint8 ``[N, S, S, 3]``, with six captions each."""
    pixels, captions, total = [], [], len(run.data.worlds) * run.data.photos_per_world
    for number in run.data.worlds:
        source = MiniPhotos(World(number), run.data.photos_per_world, eagerness=run.data.eagerness)
        records = list(source.photos())
        for first in range(0, len(records), 500):
            batch = records[first : first + 500]
            pixels += [np.asarray(_decode_photo(data, run.size.image_size)) for data in source.images(batch)]
            captions += source.captions(batch, per_photo=6)
            progress("photographing made-up planets", len(pixels), total)
    return np.stack(pixels), captions


def _decode_photo(data: bytes, size: int) -> Image.Image:
    """Return a JPEG as RGB with sides of `size` pixels."""
    return decode_picture(data).resize((size, size), Image.Resampling.BICUBIC)


def _train_tokenizer(captions: Sequence[list[str]], size: ClipSize) -> PreTrainedTokenizerFast:
    """Return a tokenizer with a byte-pair vocabulary of CLIP's kind, learned from the captions."""
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


def _clip_config(size: ClipSize, tokenizer: PreTrainedTokenizerFast) -> CLIPConfig:
    """Return transformers' configuration of both towers."""
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


def _parameter_groups(model: CLIPModel, optim: ClipOptim) -> list[dict[str, Any]]:
    """Return the parameter groups of AdamW: matrices with weight decay, vectors without, as in CLIP."""
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    vectors = [p for p in model.parameters() if p.ndim < 2]
    return [
        {"params": matrices, "weight_decay": optim.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]


def _epoch_batches(count: int, optim: ClipOptim) -> Iterator[NDArray[np.int64]]:
    """Yield the indices of each step's photos: each photo at most once an epoch, in a new order."""
    generator = np.random.default_rng(optim.seed)
    for _ in range(optim.epochs):
        shuffled = generator.permutation(count)
        for first in range(0, count - optim.batch_size + 1, optim.batch_size):
            yield shuffled[first : first + optim.batch_size]


def _drop_words(text: str, share: float, r: np.random.Generator) -> str:
    """Return the text without each word with probability `share`; unchanged if no word would be left."""
    words = text.split()
    return " ".join(np.array(words)[r.random(len(words)) >= share]) or text


def _learning_rate_factor(step: int, steps: int, warmup: int) -> float:
    """Return the factor of the peak learning rate at a step: linear warm-up, then a cosine to zero."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def _tokenize(tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> dict[str, Tensor]:
    """Return token indices and attention mask of the texts: int64, shape (N, context) each."""
    encoded = tokenizer(texts, padding="max_length", truncation=True, return_tensors="pt")
    return {"input_ids": encoded["input_ids"], "attention_mask": encoded["attention_mask"]}


def _backward_step(model: Any, images: Tensor, tokens: dict[str, Tensor], precision: Precision) -> float:
    """Compute the gradients of CLIP's symmetric cross-entropy for one batch; return the loss."""
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
        output = model(pixel_values=images, **tokens)
    similarity = model.logit_scale.exp() * output.image_embeds.float() @ output.text_embeds.float().T
    target = torch.arange(len(images))
    loss = (F.cross_entropy(similarity, target) + F.cross_entropy(similarity.T, target)) / 2
    loss.backward()  # type: ignore[no-untyped-call]
    return float(loss.detach())


def _save_clip(
    model: CLIPModel, tokenizer: PreTrainedTokenizerFast, processor: CLIPImageProcessorPil, out: Path
) -> None:
    """Write a folder that ``CLIPModel.from_pretrained`` reads, in half precision to keep it small."""
    with publish_folder(out) as folder:
        model.half().save_pretrained(folder)
        model.float()
        tokenizer.save_pretrained(folder)
        processor.save_pretrained(folder)
