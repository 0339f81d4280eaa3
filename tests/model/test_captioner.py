"""The captioner: what it says, its own folder, and the weights that CLIPCap's authors publish."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_captioner import published, tiny_captioner, words
from tiny_model import tiny_clip

from sat2cap.errors import ModelError
from sat2cap.model.formats.captioner import load_captioner, save_captioner
from sat2cap.model.load import load_model

RANDOM = np.random.default_rng(0)
EMBEDDINGS = RANDOM.normal(size=(70, 32)).astype(np.float32)


def greedy_by_hand(captioner, embedding: np.ndarray, most: int) -> str:
    """The likeliest next token again and again, without generate, caches or batches."""
    given = torch.nn.functional.normalize(torch.from_numpy(embedding)[None], dim=-1)
    read = captioner.network.prefix(given)
    said: list[int] = []
    with torch.no_grad():
        for _ in range(most):
            token = int(captioner.network.gpt(inputs_embeds=read).logits[0, -1].argmax())
            if token == captioner.tokenizer.eos_token_id:
                break
            said.append(token)
            word = captioner.network.gpt.transformer.wte(torch.tensor([[token]]))
            read = torch.cat([read, word], 1)
    return " ".join(captioner.tokenizer.decode(said, skip_special_tokens=True).split())


def test_greedy_captions_are_those_worked_out_by_hand() -> None:
    captioner = tiny_captioner()
    said = captioner.captions(EMBEDDINGS, max_tokens=8)
    assert said[:12] == [greedy_by_hand(captioner, row, 8) for row in EMBEDDINGS[:12]]
    assert len(said) == 70, "more than a batch"
    assert len(set(said)) > 5, "different embeddings are said differently"


def test_only_the_direction_counts_for_a_captioner_of_unit_embeddings() -> None:
    captioner = tiny_captioner()
    assert captioner.captions(7 * EMBEDDINGS, max_tokens=5) == captioner.captions(EMBEDDINGS, max_tokens=5)


def test_a_beam_as_wide_as_the_vocabulary_finds_the_best_of_all() -> None:
    captioner = tiny_captioner()
    gpt, tokenizer = captioner.network.gpt, captioner.tokenizer
    many = RANDOM.normal(size=(400, 32)).astype(np.float32)
    wide, greedy = captioner.captions(many, beams=12, max_tokens=2), captioner.captions(many, max_tokens=2)
    compared = 0
    for row, said in zip(many, wide, strict=True):
        if len(said.split()) != 2:  # one that ended at once is weighed by its own length
            continue
        prefix = captioner.network.prefix(captioner.scale_embeddings(torch.from_numpy(row)[None]))
        words = gpt.transformer.wte.weight[:, None]
        with torch.no_grad():
            first = gpt(inputs_embeds=prefix).logits[0, -1].log_softmax(-1)
            read = torch.cat([prefix.expand(12, -1, -1), words], 1)
            both = first[:, None] + gpt(inputs_embeds=read).logits[:, -1].log_softmax(-1)
        both[tokenizer.eos_token_id] = both[:, tokenizer.eos_token_id] = -torch.inf
        best = divmod(int(both.argmax()), 12)
        assert said == tokenizer.decode(list(best))
        compared += 1
    assert compared > 12
    assert wide != greedy


def test_the_loss_is_the_cross_entropy_of_the_words_alone() -> None:
    captioner = tiny_captioner()
    given = torch.from_numpy(EMBEDDINGS[:2])
    tokens = torch.tensor([[2, 3, 0], [4, 0, -100]])
    gpt, total = captioner.network.gpt, 0.0
    with torch.no_grad():
        for row, said in enumerate(([2, 3, 0], [4, 0])):
            for place, token in enumerate(said):
                before = gpt.transformer.wte(torch.tensor([said[:place]], dtype=torch.long))
                read = torch.cat([captioner.network.prefix(given[row : row + 1]), before], 1)
                total -= gpt(inputs_embeds=read).logits[0, -1].log_softmax(-1)[token].item()
        assert captioner.network.loss(given, tokens).item() == pytest.approx(total / 5, rel=1e-4)


def test_a_saved_captioner_says_the_same(tmp_path: Path) -> None:
    captioner = tiny_captioner()
    folder = save_captioner(captioner, tmp_path / "c")
    (tmp_path / "new").touch()
    modes = {file.stat().st_mode for file in folder.iterdir()}
    assert modes == {(tmp_path / "new").stat().st_mode}, "those may read it who may read any new file"
    again = load_captioner(folder)
    assert again.identity == captioner.identity
    assert again.captions(EMBEDDINGS, max_tokens=6) == captioner.captions(EMBEDDINGS, max_tokens=6)
    assert (again.unit, again.stop, again.card) == (True, "", {"name": "tiny"})
    save_captioner(tiny_captioner(seed=1), folder)
    assert load_captioner(folder).identity != captioner.identity
    (tmp_path / "mine").mkdir()
    with pytest.raises(ModelError, match="is no captioner"):
        save_captioner(captioner, tmp_path / "mine")


def test_weights_that_half_precision_holds_take_half_the_space(tmp_path: Path) -> None:
    captioner = tiny_captioner()
    whole = (save_captioner(captioner, tmp_path / "whole") / "model.safetensors").stat().st_size
    captioner = tiny_captioner()
    captioner.network.half().float()
    folder = save_captioner(captioner, tmp_path / "half")
    assert (folder / "model.safetensors").stat().st_size < 0.6 * whole
    again = load_captioner(folder)
    assert again.identity == captioner.identity != tiny_captioner().identity
    assert {weight.dtype for weight in again.network.state_dict().values()} == {torch.float32}


def test_a_captioner_of_another_space_is_refused(tmp_path: Path) -> None:
    one, other = (load_model(tiny_clip(tmp_path / str(seed), dim=32, seed=seed)) for seed in (0, 1))
    made = replace(tiny_captioner(), space=one.text_identity)
    captioner = load_captioner(save_captioner(made, tmp_path / "c"))
    captioner.check_model(one)
    captioner.check_model(replace(one, overhead=other.overhead))
    captioner.check_model(replace(other, text=None))  # nothing is known of its space
    with pytest.raises(ModelError, match="captioner tiny was trained for another CLIP") as caught:
        captioner.check_model(other)
    assert "\n" not in str(caught.value)
    tiny_captioner().check_model(other)  # nobody wrote down its own
    with pytest.raises(ModelError, match=r"for embeddings of 20 numbers, and those of .* have 32"):
        tiny_captioner(dim=20).check_model(one)


def test_weights_with_the_published_keys_load_and_speak(tmp_path: Path) -> None:
    words().save_pretrained(tmp_path / "gpt2")
    captioner = load_captioner(published(tmp_path / "conceptual_weights.pt"), tmp_path / "gpt2")
    network = captioner.network
    assert (captioner.dim, network.prefix_length, network.gpt.config.n_layer) == (512, 10, 12)
    assert (captioner.unit, captioner.stop) == (False, ".")
    given = RANDOM.normal(size=(3, 512)).astype(np.float32)
    said = captioner.captions(given, max_tokens=9)
    assert all(0 < len(text.split()) <= 9 and "." not in text for text in said)
    stored = torch.load(tmp_path / "conceptual_weights.pt", weights_only=True)
    held = network.state_dict()
    assert all(torch.equal(held[name], stored[name]) for name in held)
    assert set(stored) - set(held) == {
        f"gpt.transformer.h.{layer}.attn.{name}" for layer in range(12) for name in ("bias", "masked_bias")
    }


def drop(name: str) -> Callable[[dict], None]:
    return lambda values: values.pop(name)


def transformer(values: dict) -> None:
    for name in [name for name in values if name.startswith("clip_project.model.")]:
        values["clip_project.transformer" + name.removeprefix("clip_project.model")] = values.pop(name)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (drop("clip_project.model.0.weight"), "transformer mapping: give weights of an MLP"),
        (transformer, "transformer mapping"),
        (lambda values: values.clear(), "no captioner of CLIPCap, it lacks gpt.transformer.wte.weight"),
        (drop("gpt.transformer.h.1.ln_2.bias"), "lacks 1 weights .* gpt.transformer.h.1.ln_2.bias first"),
    ],
)
def test_wrong_weights_are_one_clear_line(
    tmp_path: Path, spoil: Callable[[dict], None], message: str
) -> None:
    path = published(tmp_path / "w.pt", layers=2)
    values = torch.load(path, weights_only=True)
    spoil(values)
    torch.save(values, path)
    with pytest.raises(ModelError, match=message) as caught:
        load_captioner(path)
    assert "\n" not in str(caught.value)


class _Code:
    def __reduce__(self):
        return (print, ("this must not run",))


def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"clip_project.model.0.weight": _Code()}, tmp_path / "w.pt")
    with pytest.raises(ModelError, match="would run code"):
        load_captioner(tmp_path / "w.pt")
    assert "must not run" not in capsys.readouterr().out


def test_other_mistakes_are_one_clear_line(tmp_path: Path) -> None:
    captioner = tiny_captioner()
    with pytest.raises(ModelError, match=r"\[70, 31\] are not \[N, 32\]"):
        captioner.captions(EMBEDDINGS[:, :31])
    with pytest.raises(ModelError, match="not finite"):
        captioner.captions(np.full((1, 32), np.nan, np.float32))
    with pytest.raises(ModelError, match=r"neither a folder with captioner\.json nor a file"):
        load_captioner(tmp_path / "nowhere")
    words().save_pretrained(tmp_path / "gpt2")
    small = published(tmp_path / "w.pt", layers=1, vocabulary=5)
    with pytest.raises(ModelError, match="has 12 tokens, more than the captioner"):
        load_captioner(small, tmp_path / "gpt2")
