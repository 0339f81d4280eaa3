"""How fast scores come, as ratios to what else one could do, measured in one run.

    pip install 'sat2cap[bench]'
    python benchmarks/query.py FOLDER OUT.json [--sizes 10000,100000,1000000] [--largest 10000000]

Makes atlases of random numbers with 512 to a cell in FOLDER (4 GB for a million cells with the comparisons,
removed at the end), with a ViT-B/32 of random weights. Every time is the least of several; files are in the
page cache. `read` is the plain read of the same bytes: mapped, and summed by as many threads.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from hashlib import sha256
from math import cos, pi, sin
from pathlib import Path
from typing import Any

import numpy as np
import torch
from affine import Affine
from odc.geo.geobox import GeoBox

from sat2cap.atlas import JOURNAL, Atlas, AtlasSpec, CellStatus, create_or_resume, journal, open_atlas
from sat2cap.atlas.layout import ROOT
from sat2cap.atlas.writer import AtlasWriter, encode_cells, group_bytes
from sat2cap.evaluation.maps.agreement import spearman
from sat2cap.files import write_bytes, write_json
from sat2cap.geo import When, cell_lonlat
from sat2cap.maps import write_cog
from sat2cap.model import Checkpoint, DynamicEncoder, load_model, save_checkpoint
from sat2cap.query import PREPARED_FOLDER, Scan, prepare_atlas, score_atlas, select_prompt
from sat2cap.query.engine import prepared

DIM, SIDE = 512, 32
POOL = 48  # different chunks, used over and over
PROMPTS = [f"prompt {number}" for number in range(8)]
MOMENTS = [When(2016 + n % 5, 1 + n % 12, 1 + n % 28, float(n % 24)) for n in range(40)]
Figures = dict[str, float]


class Named(Checkpoint):
    """Gives each text a random vector at once: what is timed is the scan."""

    def embed_text(self, texts: Sequence[str]) -> np.ndarray:
        rows = [np.random.default_rng(abs(hash(text))).normal(size=self.dim) for text in texts]
        return np.stack([row / np.linalg.norm(row) for row in rows]).astype(np.float32)


def best(work: Callable[[], Any], times: int = 7) -> float:
    """Seconds of the quickest of several, after one to warm up."""
    work()
    seconds = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def once(work: Callable[[], Any]) -> float:
    """Seconds of one."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


# --- what is scored ---------------------------------------------------------------------------------------


def make_model(folder: Path) -> Path:
    """A CLIP ViT-B/32 of random weights with a Dynamic Encoder, saved as a checkpoint."""
    from transformers import CLIPConfig, CLIPModel, CLIPTokenizerFast

    if (folder / "model").exists():
        return folder / "model"
    letters = [chr(code) for code in range(33, 127)]
    vocabulary = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (folder / "clip").mkdir(parents=True)
    words = {token: number for number, token in enumerate(vocabulary)}
    (folder / "clip/vocab.json").write_text(json.dumps(words))
    (folder / "clip/merges.txt").write_text("#version: 0.2\n")
    tokenizer = CLIPTokenizerFast.from_pretrained(folder / "clip")
    torch.manual_seed(0)
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    CLIPModel(CLIPConfig(text_config={"pad_token_id": tokenizer.eos_token_id, **ends})).save_pretrained(
        folder / "clip"
    )
    tokenizer.save_pretrained(folder / "clip")
    (folder / "clip/preprocessor_config.json").write_text(json.dumps({"size": 224, "crop_size": 224}))
    plain = load_model(folder / "clip")
    encoder = DynamicEncoder(DIM).eval()
    with torch.no_grad():  # as large beside the embeddings as a trained one is
        encoder.fc2.weight.mul_(0.5)
    values = {field.name: getattr(plain, field.name) for field in fields(Checkpoint)}
    values |= {"dynamic": encoder, "encoding": "cyclic", "card": {"name": "random"}}
    return save_checkpoint(Checkpoint(**values), folder / "model")


def begin_atlas(path: Path, cells: int, checkpoint: Checkpoint, source: Path, dtype: str) -> AtlasWriter:
    """A square of `cells` cells or a few more, in whole chunks."""
    chunks = max(1, round((cells / SIDE**2) ** 0.5))
    height, width = SIDE * -(-cells // (SIDE**2 * chunks)), SIDE * chunks
    model = {"identity": "m", "place_identity": checkpoint.place_identity, "source": str(source)}
    spec = AtlasSpec(
        GeoBox((height, width), Affine(100, 0, 400_000, 0, -100, 5_800_000), "EPSG:32631"),
        np.ones((height, width), bool),
        DIM,
        dtype,
        model | {"card": checkpoint.card},
        {"identity": "i"},
        100.0,
        224,
    )
    return create_or_resume(path, spec)


def end_atlas(writer: AtlasWriter, files: dict[tuple[int, int], dict[str, str]]) -> Atlas:
    """Call it complete, with the hashes of each chunk's `files`; `finish` would read and hash everything."""
    entries = {c.index: journal.Entry(c.index, files.get(c.index, {})) for c in writer.pending()}
    journal.rewrite_journal(writer.path / JOURNAL, entries)
    write_bytes(writer.path / ROOT, group_bytes(writer.spec))
    return open_atlas(writer.path)


def make_atlas(path: Path, cells: int, checkpoint: Checkpoint, source: Path, dtype: str = "int8") -> Atlas:
    """An atlas whose numbers are those of a pool of chunks."""
    if path.exists():
        return open_atlas(path)
    writer = begin_atlas(path, cells, checkpoint, source, dtype)
    pool = [_chunk(np.random.default_rng(number), dtype) for number in range(POOL)]
    files: dict[tuple[int, int], dict[str, str]] = {}
    for number, chunk in enumerate(writer.pending()):
        files[chunk.index] = {}
        for name, values in pool[number % POOL].items():
            array = writer._arrays[name]
            file, data = array.cell_chunk_path(*chunk.index), array.encode_chunk(values)
            (path / file).parent.mkdir(parents=True, exist_ok=True)
            (path / file).write_bytes(data)
            files[chunk.index][file] = sha256(data).hexdigest()
    return end_atlas(writer, files)


def make_hollow(path: Path, cells: int, checkpoint: Checkpoint, source: Path) -> Atlas:
    """An atlas whose prepared arrays are holes of zeros: what a scan costs does not depend on the numbers."""
    atlas = end_atlas(begin_atlas(path, cells, checkpoint, source, "int8"), {})
    folder = path / PREPARED_FOLDER
    folder.mkdir()
    for name, (dtype, shape) in prepared.array_layout(atlas, checkpoint.encoding).items():
        np.lib.format.open_memmap(folder / f"{name}.npy", "w+", dtype, shape)
    write_json(folder / "manifest.json", prepared.expected_manifest(atlas, checkpoint.encoding))
    return atlas


def _chunk(rng: np.random.Generator, dtype: str) -> dict[str, np.ndarray]:
    """Embeddings as alike as CLIP's are: half of their length they have in common."""
    common = np.random.default_rng(99).normal(size=DIM)
    values = (common + rng.normal(size=(SIDE, SIDE, DIM))) * rng.uniform(0.3, 0.5, (SIDE, SIDE, 1))
    return encode_cells(values.astype(np.float32), np.full((SIDE, SIDE), CellStatus.OK, np.uint8), dtype)


# --- what it is compared with -----------------------------------------------------------------------------


def read_of(atlas: Atlas) -> Callable[[], Any]:
    """Reading the bytes of the embeddings from the mapped file, summed as 64-bit numbers by all threads."""
    words = np.load(atlas.path / PREPARED_FOLDER / "embeddings.npy", mmap_mode="r").reshape(-1).view(np.int64)
    step = 2**20

    def read() -> None:
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            list(pool.map(lambda start: int(words[start : start + step].sum()), range(0, len(words), step)))

    return read


def floats(atlas: Atlas) -> np.ndarray:
    """All embeddings float32 `[N, D]`, not normalised."""
    height, width = atlas.grid.shape
    rows = [atlas.read(slice(top, top + SIDE), slice(0, width)) for top in range(0, height, SIDE)]
    return np.concatenate(rows).reshape(-1, DIM)


def faiss_seconds(values: np.ndarray, text: np.ndarray) -> float:
    """IndexFlatIP, the best 1,000."""
    import faiss

    index = faiss.IndexFlatIP(DIM)
    index.add(values / np.linalg.norm(values, axis=1, keepdims=True))
    return best(lambda: index.search(text, min(1000, len(values))), 3)


def reference_seconds(values: np.ndarray, text: np.ndarray, folder: Path) -> Figures:
    """The reference scripts' way, as they are published: float32 in HDF5 handed to numpy as a dataset, which
    is read once for its norms and once more to be divided; multiplied; and their map, a CSV of places with
    the scores stretched to 0-1. For a date every place encoded in Python, the network, the sums written to
    HDF5 anew. `read once` is what a careful user would make of it."""
    import h5py
    import pandas as pd

    path = folder / "reference.h5"
    with h5py.File(path, "w") as file:
        file["embeddings"] = values

    def ask() -> np.ndarray:
        with h5py.File(path) as file:
            stored = file["embeddings"]
            return (stored / np.linalg.norm(stored, axis=-1, keepdims=True)) @ text.T

    def ask_once() -> None:
        with h5py.File(path) as file:
            stored = file["embeddings"][:]
        _ = (stored / np.linalg.norm(stored, axis=1, keepdims=True)) @ text.T

    def ask_for_a_map() -> None:
        scores = ask()[:, 0]
        stretched = (scores - scores.min()) / (scores.max() - scores.min())
        place = np.zeros(len(scores), np.float32)
        columns = {"lat": place, "lon": place, "similarity": scores, "norm_similarity": stretched}
        pd.DataFrame(columns).to_csv(folder / "reference.csv")

    encoder, part = DynamicEncoder(DIM), min(len(values), 50_000)

    def features(lat: float, lon: float, when: When) -> list[float]:
        angles = (pi * lat / 90, pi * lon / 180, 2 * pi * (when.year - 2015) / 15, 2 * pi * when.month / 12)
        angles += (2 * pi * when.day / 31, 2 * pi * when.hour / 23)
        return [f(angle) for angle in angles for f in (sin, cos)]

    def places() -> list[torch.Tensor]:
        return [torch.tensor(features(52 + n * 1e-6, 4.0, MOMENTS[0])) for n in range(part)]

    encode = once(places) * len(values) / part

    def rewrite() -> None:
        with torch.inference_mode(), h5py.File(folder / "dated.h5", "w") as file:
            offset = encoder(torch.zeros(len(values), 12)).numpy()
            file["embeddings"] = values + offset

    figures = {"static": best(ask, 2), "read once": best(ask_once, 2), "map": once(ask_for_a_map)}
    figures["date"] = encode + once(rewrite) + best(ask, 1)
    for name in ("reference.h5", "dated.h5", "reference.csv"):
        (folder / name).unlink()
    return figures


# --- measurements -----------------------------------------------------------------------------------------


def times_of(atlas: Atlas, checkpoint: Checkpoint) -> Figures:
    """Seconds of queries to one atlas."""

    def ask(scan: Scan, **options: Any) -> Callable[[], Any]:
        texts = options.pop("texts", PROMPTS[:1])
        return lambda: score_atlas(scan, checkpoint, texts, **options)

    plain = Scan(atlas, checkpoint.encoding)
    seconds = {"unprepared static": best(ask(plain), 3)}
    seconds["unprepared new date"] = once(ask(plain, when=MOMENTS[0]))
    seconds["prepare"] = once(lambda: prepare_atlas(atlas, checkpoint.encoding))
    began = time.perf_counter()
    scan = Scan(open_atlas(atlas.path), checkpoint.encoding)
    seconds["open"] = time.perf_counter() - began
    seconds["first after opening"] = once(ask(scan))
    file = atlas.path.with_suffix(".tif")
    seconds["map"] = best(lambda: write_cog(select_prompt(ask(scan)()), file), 3)
    file.unlink()
    moments = iter(MOMENTS)
    turns = 15
    names = ("read", "static", "8 prompts", "new date", "known date", "8 prompts, known date", "contrast")
    seconds |= dict.fromkeys((*names, "8 prompts, new date"), np.inf)
    read = read_of(atlas)
    for _ in range(turns):  # in turns, so that whatever else the machine does falls on all alike
        first, second = next(moments), next(moments)
        for name, work in (
            ("read", read),
            ("static", ask(scan)),
            ("8 prompts", ask(scan, texts=PROMPTS)),
            ("new date", ask(scan, when=first)),
            ("known date", ask(scan, when=first, texts=["another prompt"])),
            ("8 prompts, new date", ask(scan, when=second, texts=PROMPTS)),
            ("8 prompts, known date", ask(scan, when=first, texts=PROMPTS)),
            ("contrast", ask(scan, scale="contrast")),
        ):
            seconds[name] = min(seconds[name], once(work))
    return seconds


def agreement(atlas: Atlas, checkpoint: Checkpoint, when: When | None) -> Figures:
    """Against float64 brute force of the stored embeddings, float32 as they were before storing left out."""
    values = floats(atlas).astype(np.float64)
    if when is not None:
        lon, lat = (axis.ravel() for axis in cell_lonlat(atlas.grid))
        values += checkpoint.dynamic_offset(lat, lon, when.year, when.month, when.day, when.hour)
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    expected = values @ checkpoint.embed_text(PROMPTS[:1])[0].astype(np.float64)
    got = score_atlas(atlas, checkpoint, PROMPTS[:1], when=when).values[0].ravel()
    return {"rank correlation": spearman(got, expected), "largest error": float(np.abs(got - expected).max())}


def memory() -> float:
    """Private memory of this process in MB: what is mapped from files can be dropped and is not counted."""
    text = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) / 1e3 for line in text.splitlines() if line.startswith("RssAnon"))


def growth(atlas: Atlas, checkpoint: Checkpoint) -> Figures:
    """What may grow with the number of cells."""
    began = time.perf_counter()
    scan = Scan(open_atlas(atlas.path), checkpoint.encoding)
    figures = {"open": time.perf_counter() - began, "read": best(read_of(atlas), 3)}
    figures["static"] = best(lambda: score_atlas(scan, checkpoint, PROMPTS[:1]), 5)
    moments = iter(MOMENTS)
    figures["new date"] = best(lambda: score_atlas(scan, checkpoint, PROMPTS[:1], when=next(moments)), 5)
    return figures | {"private memory, MB": memory()}


STAGES = """
import time; began = time.perf_counter(); marks = []
def mark(name): marks.append((name, time.perf_counter()))
import sat2cap.cli; mark("command line")
import numpy, xarray, geopandas; mark("numpy, xarray, geopandas")
import torch; mark("torch")
import transformers; mark("transformers")
import numba; mark("numba")
from sat2cap import api; import sat2cap.catalogue
from sat2cap.query import Scan, score_atlas, select_prompt; mark("the rest of the package")
from sat2cap.maps.cog import write_cog; mark("rasterio, rio-cogeo")
opened = api.open({atlas!r}); mark("opening the atlas")
from sat2cap.catalogue import resolve_model; model = resolve_model({model!r}); mark("loading the model")
from sat2cap.query import check_atlas_model
check_atlas_model(opened.atlas, model); mark("hashing its weights")
model.embed_text(["a busy street"]); mark("text tower, first use")
scores = score_atlas(Scan(opened.atlas, model.encoding), model, ["a busy street"])
score = select_prompt(scores); mark("text and scan")
write_cog(score, {out!r}); mark("writing the GeoTIFF")
import json; last = began; parts = dict()
for name, at in marks: parts[name] = at - last; last = at
print(json.dumps(parts))
"""


def command_line(atlas: Atlas, model: Path, folder: Path) -> Figures:
    """Wall seconds of ``sat2cap map`` in a new process, and where they go; CPU seconds of ``--help``."""
    out = str(folder / "m.tif")
    run = [sys.executable, "-c", "from sat2cap.cli import main; main()"]
    ask = [*run, "map", str(atlas.path), "a busy street", "-o", out]
    whole = best(lambda: subprocess.run(ask, check=True, stdout=subprocess.DEVNULL), 2)
    code = STAGES.format(atlas=str(atlas.path), model=str(model), out=out)
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    helps = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([*run, "--help"], stdout=subprocess.DEVNULL, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        helps.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return {"map": whole, **json.loads(done.stdout.splitlines()[-1]), "--help, CPU": min(helps)}


def ratios(times: Figures) -> Figures:
    """Ratios of seconds that the aims are stated in."""
    quotients = {
        "static / read": times["static"] / times["read"],
        "new date / static": times["new date"] / times["static"],
        "known date / static": times["known date"] / times["static"],
        "8 prompts / 1": times["8 prompts"] / times["static"],
    }
    if "faiss" in times:
        quotients["faiss / static"] = times["faiss"] / times["static"]
        quotients["reference / static"] = times["reference static"] / times["static"]
        quotients["reference read once / static"] = times["reference read once"] / times["static"]
        quotients["reference map / map"] = times["reference map"] / times["map"]
        quotients["reference date / new date"] = times["reference date"] / times["new date"]
    return quotients


def show(title: str, figures: Figures) -> None:
    print(f"\n{title}")
    for name, value in figures.items():
        print(f"  {name:<28} {value:.6g}", flush=True)


def main(folder: Path, out: Path, sizes: list[int], largest: int) -> None:
    """All of it, written to OUT.json as it comes."""
    made = make_model(folder)
    plain = load_model(made)
    checkpoint = Named(**{field.name: getattr(plain, field.name) for field in fields(Checkpoint)})
    results: dict[str, Any] = {"threads": torch.get_num_threads(), "cores": os.cpu_count()}

    def keep(title: str, figures: Figures) -> None:
        results[title] = figures
        show(title, figures)
        write_json(out, results)

    for dtype in ("int8", "float16") if sizes else ():
        small = make_atlas(folder / f"small-{dtype}.zarr", 10_000, checkpoint, made, dtype)
        for name, when in (("static", None), ("date", MOMENTS[3])):
            keep(f"agreement, {dtype}, {name}", agreement(small, checkpoint, when))
    for cells in sizes:
        for dtype in ("int8", "float16"):
            atlas = make_atlas(folder / f"{cells}-{dtype}.zarr", cells, checkpoint, made, dtype)
            times = times_of(atlas, checkpoint)
            times["private memory, MB"] = memory()
            if dtype == "int8":
                values, text = floats(atlas), checkpoint.embed_text(PROMPTS[:1])
                times["faiss"] = faiss_seconds(values, text)
                reference = reference_seconds(values, text, folder)
                times |= {f"reference {name}": seconds for name, seconds in reference.items()}
                del values
            keep(f"{cells} cells, {dtype}, seconds", times)
            keep(f"{cells} cells, {dtype}, ratios", ratios(times))
            if cells == sizes[-1] and dtype == "int8":
                keep(f"{cells} cells, command line, seconds", command_line(atlas, made, folder))
            if cells != min(sizes):
                shutil.rmtree(atlas.path)
    for cells in (largest // 100, largest // 10, largest) if largest else ():
        atlas = make_hollow(folder / f"hollow-{cells}.zarr", cells, checkpoint, made)
        keep(f"growth, {cells} cells, seconds", growth(atlas, checkpoint))
        shutil.rmtree(atlas.path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--sizes", default="10000,100000,1000000")
    parser.add_argument("--largest", type=int, default=10_000_000)
    arguments = parser.parse_args()
    sizes = [int(size) for size in arguments.sizes.split(",") if size]
    main(arguments.folder, arguments.out, sizes, arguments.largest)
