"""Speed of queries, as ratios to other ways of getting the same scores, measured in one run.

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
from typing import Any, Literal

import numpy as np
import torch
from affine import Affine
from odc.geo.geobox import GeoBox

from sat2cap.atlas import Atlas, AtlasSpec, CellStatus, create_or_resume, journal, open_atlas
from sat2cap.atlas.chunk_writing import encode_cells
from sat2cap.atlas.layout import ROOT
from sat2cap.atlas.writer import AtlasWriter, group_bytes
from sat2cap.evaluation.maps.agreement import spearman
from sat2cap.files import write_json
from sat2cap.geo import When, cell_lonlat
from sat2cap.maps import write_cog
from sat2cap.model import Checkpoint, DynamicEncoder, load_model, save_checkpoint
from sat2cap.query import PREPARED_FOLDER, Scan, prepare_atlas, score_atlas, select_prompt
from sat2cap.query.engine import prepared

DIM, SIDE = 512, 32
POOL = 48  # different chunks, used over and over
PROMPTS = [f"prompt {number}" for number in range(8)]
MOMENTS = [When(2016 + n % 5, 1 + n % 12, 1 + n % 28, float(n % 24)) for n in range(40)]
Dtype = Literal["int8", "float16"]
DTYPES: tuple[Dtype, ...] = ("int8", "float16")
Figures = dict[str, float]


class NamedTexts(Checkpoint):
    """A model that gives each text a random vector at once, so that only the scan is timed."""

    def embed_text(self, texts: Sequence[str]) -> np.ndarray:
        rows = [np.random.default_rng(abs(hash(text))).normal(size=self.dim) for text in texts]
        return np.stack([row / np.linalg.norm(row) for row in rows]).astype(np.float32)


def fastest_s(work: Callable[[], Any], times: int = 7) -> float:
    """Return the seconds of the fastest of several calls, after one to warm up."""
    work()
    seconds = []
    for _ in range(times):
        start_s = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start_s)
    return min(seconds)


def time_call_s(work: Callable[[], Any]) -> float:
    """Return the seconds of one call."""
    start_s = time.perf_counter()
    work()
    return time.perf_counter() - start_s


# --- what is scored ---------------------------------------------------------------------------------------


def make_model(folder: Path) -> Path:
    """Save a CLIP ViT-B/32 of random weights with a Dynamic Encoder, and return its folder."""
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
    unprepared = load_model(folder / "clip")
    encoder = DynamicEncoder(DIM).eval()
    with torch.no_grad():  # as large beside the embeddings as a trained one is
        encoder.fc2.weight.mul_(0.5)
    values = {field.name: getattr(unprepared, field.name) for field in fields(Checkpoint)}
    values |= {"dynamic": encoder, "encoding": "cyclic", "card": {"name": "random"}}
    return save_checkpoint(Checkpoint(**values), folder / "model")


def begin_atlas(path: Path, cells: int, checkpoint: Checkpoint, source: Path, dtype: Dtype) -> AtlasWriter:
    """Begin an atlas of a square of `cells` cells or a few more, in whole chunks."""
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


def end_atlas(path: Path, writer: AtlasWriter, files: dict[tuple[int, int], dict[str, str]]) -> Atlas:
    """Publish the atlas at `path` with the hashes of each chunk's `files`; `finish` would hash everything."""
    entries = {c.index: journal.Entry(c.index, files.get(c.index, {})) for c in writer.pending()}
    journal.rewrite_journal(writer.store, entries)
    writer.store.put(ROOT, group_bytes(writer.spec))
    return open_atlas(path)


def make_atlas(path: Path, cells: int, checkpoint: Checkpoint, source: Path, dtype: Dtype = "int8") -> Atlas:
    """Return an atlas whose chunks are drawn from a pool; it is made if it is not there."""
    if path.exists():
        return open_atlas(path)
    writer = begin_atlas(path, cells, checkpoint, source, dtype)
    pool = [make_chunk(np.random.default_rng(number), dtype) for number in range(POOL)]
    files: dict[tuple[int, int], dict[str, str]] = {}
    for number, chunk in enumerate(writer.pending()):
        files[chunk.index] = {}
        for name, values in pool[number % POOL].items():
            array = writer._arrays[name]
            file, data = array.cell_chunk_path(*chunk.index), array.encode_chunk(values)
            (path / file).parent.mkdir(parents=True, exist_ok=True)
            (path / file).write_bytes(data)
            files[chunk.index][file] = sha256(data).hexdigest()
    return end_atlas(path, writer, files)


def make_hollow(path: Path, cells: int, checkpoint: Checkpoint, source: Path) -> Atlas:
    """Return an atlas whose prepared arrays are sparse files of zeros: the numbers do not change the cost."""
    atlas = end_atlas(path, begin_atlas(path, cells, checkpoint, source, "int8"), {})
    folder = path / PREPARED_FOLDER
    folder.mkdir()
    for name, (dtype, shape) in prepared.array_layout(atlas, checkpoint.encoding).items():
        np.lib.format.open_memmap(folder / f"{name}.npy", "w+", dtype, shape)
    write_json(folder / "manifest.json", prepared.expected_manifest(atlas, checkpoint.encoding))
    return atlas


def make_chunk(rng: np.random.Generator, dtype: str) -> dict[str, np.ndarray]:
    """Return an encoded chunk of embeddings as alike as CLIP's: half of their length is common to all."""
    common = np.random.default_rng(99).normal(size=DIM)
    values = (common + rng.normal(size=(SIDE, SIDE, DIM))) * rng.uniform(0.3, 0.5, (SIDE, SIDE, 1))
    return encode_cells(values.astype(np.float32), np.full((SIDE, SIDE), CellStatus.OK, np.uint8), dtype)


# --- what it is compared with -----------------------------------------------------------------------------


def reader_of(atlas: Atlas) -> Callable[[], Any]:
    """Return a function that reads the mapped embeddings, summing them as 64-bit integers in all threads."""
    words = np.load(atlas.path / PREPARED_FOLDER / "embeddings.npy", mmap_mode="r").reshape(-1).view(np.int64)
    step = 2**20

    def read() -> None:
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            list(pool.map(lambda start: int(words[start : start + step].sum()), range(0, len(words), step)))

    return read


def float_embeddings(atlas: Atlas) -> np.ndarray:
    """Return all embeddings, float32 (N, D), not normalised."""
    height, width = atlas.grid.shape
    rows = [atlas.read(slice(top, top + SIDE), slice(0, width)) for top in range(0, height, SIDE)]
    return np.concatenate(rows).reshape(-1, DIM)


def time_faiss(values: np.ndarray, text: np.ndarray) -> float:
    """Return the seconds of a search in faiss's IndexFlatIP for the best 1,000."""
    import faiss

    index = faiss.IndexFlatIP(DIM)
    index.add(values / np.linalg.norm(values, axis=1, keepdims=True))
    return fastest_s(lambda: index.search(text, min(1000, len(values))), 3)


def time_reference(values: np.ndarray, text: np.ndarray, folder: Path) -> Figures:
    """Return the seconds of the reference scripts, as they are published.

    `static`: float32 embeddings in HDF5 are handed to numpy as a dataset, read once for their norms and
    once more to be divided, and multiplied with the text. `map`: a CSV of places with the scores stretched to
    0 to 1. `date`: every place is encoded in Python, passes the network, and the sums are written to HDF5
    again. `read once`: what a careful user would write for `static`.
    """
    import h5py
    import pandas as pd

    path = folder / "reference.h5"
    with h5py.File(path, "w") as file:
        file["embeddings"] = values

    def query() -> np.ndarray:
        with h5py.File(path) as file:
            stored = file["embeddings"]
            return np.asarray((stored / np.linalg.norm(stored, axis=-1, keepdims=True)) @ text.T)

    def query_once() -> None:
        with h5py.File(path) as file:
            stored = file["embeddings"][:]
        _ = (stored / np.linalg.norm(stored, axis=1, keepdims=True)) @ text.T

    def query_map() -> None:
        scores = query()[:, 0]
        stretched = (scores - scores.min()) / (scores.max() - scores.min())
        place = np.zeros(len(scores), np.float32)
        columns = {"lat": place, "lon": place, "similarity": scores, "norm_similarity": stretched}
        pd.DataFrame(columns).to_csv(folder / "reference.csv")

    encoder, sample_size = DynamicEncoder(DIM), min(len(values), 50_000)

    def features(lat: float, lon: float, when: When) -> list[float]:
        angles = [pi * lat / 90, pi * lon / 180, 2 * pi * (when.year - 2015) / 15, 2 * pi * when.month / 12]
        angles += [2 * pi * when.day / 31, 2 * pi * when.hour / 23]
        return [f(angle) for angle in angles for f in (sin, cos)]

    def places() -> list[torch.Tensor]:
        return [torch.tensor(features(52 + n * 1e-6, 4.0, MOMENTS[0])) for n in range(sample_size)]

    encode = time_call_s(places) * len(values) / sample_size

    def rewrite() -> None:
        with torch.inference_mode(), h5py.File(folder / "dated.h5", "w") as file:
            offset = encoder(torch.zeros(len(values), 12)).numpy()
            file["embeddings"] = values + offset

    figures = {
        "static": fastest_s(query, 2),
        "read once": fastest_s(query_once, 2),
        "map": time_call_s(query_map),
    }
    figures["date"] = encode + time_call_s(rewrite) + fastest_s(query, 1)
    for name in ("reference.h5", "dated.h5", "reference.csv"):
        (folder / name).unlink()
    return figures


# --- measurements -----------------------------------------------------------------------------------------


def time_queries(atlas: Atlas, checkpoint: Checkpoint) -> Figures:
    """Return the seconds of queries to one atlas."""

    def make_query(scan: Scan, **options: Any) -> Callable[[], Any]:
        texts = options.pop("texts", PROMPTS[:1])
        return lambda: score_atlas(scan, checkpoint, texts, **options)

    unprepared = Scan(atlas, checkpoint.encoding)
    seconds = {"unprepared static": fastest_s(make_query(unprepared), 3)}
    seconds["unprepared new date"] = time_call_s(make_query(unprepared, when=MOMENTS[0]))
    seconds["prepare"] = time_call_s(lambda: prepare_atlas(atlas, checkpoint.encoding))
    start_s = time.perf_counter()
    scan = Scan(open_atlas(atlas.path), checkpoint.encoding)
    seconds["open"] = time.perf_counter() - start_s
    seconds["first after opening"] = time_call_s(make_query(scan))
    file = atlas.path.with_suffix(".tif")
    seconds["map"] = fastest_s(lambda: write_cog(select_prompt(make_query(scan)()), file), 3)
    file.unlink()
    moments = iter(MOMENTS)
    turns = 15
    names = ("read", "static", "8 prompts", "new date", "known date", "8 prompts, known date", "contrast")
    seconds |= dict.fromkeys((*names, "8 prompts, new date"), np.inf)
    read = reader_of(atlas)
    for _ in range(turns):  # in turns, so that whatever else the machine does falls on all alike
        first, second = next(moments), next(moments)
        for name, work in (
            ("read", read),
            ("static", make_query(scan)),
            ("8 prompts", make_query(scan, texts=PROMPTS)),
            ("new date", make_query(scan, when=first)),
            ("known date", make_query(scan, when=first, texts=["another prompt"])),
            ("8 prompts, new date", make_query(scan, when=second, texts=PROMPTS)),
            ("8 prompts, known date", make_query(scan, when=first, texts=PROMPTS)),
            ("contrast", make_query(scan, scale="contrast")),
        ):
            seconds[name] = min(seconds[name], time_call_s(work))
    return seconds


def measure_agreement(atlas: Atlas, checkpoint: Checkpoint, when: When | None) -> Figures:
    """Compare scores with a float64 brute force over the stored embeddings."""
    values = float_embeddings(atlas).astype(np.float64)
    if when is not None:
        lon, lat = (axis.ravel() for axis in cell_lonlat(atlas.grid))
        values += checkpoint.dynamic_offset(lat, lon, when.year, when.month, when.day, when.hour)
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    expected = values @ checkpoint.embed_text(PROMPTS[:1])[0].astype(np.float64)
    scores = score_atlas(atlas, checkpoint, PROMPTS[:1], when=when).values[0].ravel()
    return {
        "rank correlation": spearman(scores, expected),
        "largest error": float(np.abs(scores - expected).max()),
    }


def private_memory_mb() -> float:
    """Return the private memory of this process in MB, without pages that are mapped from files."""
    text = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) / 1e3 for line in text.splitlines() if line.startswith("RssAnon"))


def measure_growth(atlas: Atlas, checkpoint: Checkpoint) -> Figures:
    """Return the seconds and the memory that may grow with the number of cells."""
    start_s = time.perf_counter()
    scan = Scan(open_atlas(atlas.path), checkpoint.encoding)
    figures = {"open": time.perf_counter() - start_s, "read": fastest_s(reader_of(atlas), 3)}
    figures["static"] = fastest_s(lambda: score_atlas(scan, checkpoint, PROMPTS[:1]), 5)
    moments = iter(MOMENTS)
    figures["new date"] = fastest_s(lambda: score_atlas(scan, checkpoint, PROMPTS[:1], when=next(moments)), 5)
    return figures | {"private memory, MB": private_memory_mb()}


STAGES = """
import time; start_s = time.perf_counter(); marks = []
def mark(name): marks.append((name, time.perf_counter()))
import sat2cap.cli; mark("command line")
import numpy; mark("numpy")
from sat2cap import api, model, query; api.open, model.open_query_model, query.Scan; mark("the package")
import rasterio; from sat2cap.maps import write_cog; mark("rasterio")
opened = api.open({atlas!r}); mark("opening the atlas")
opened.query_model; mark("opening the model, hashing its weights")
opened.query_model.embed_text(["a busy street"]); mark("text tower, first use")
score = opened.compute_map("a busy street"); mark("scan, first use")
write_cog(score, {out!r}); mark("writing the GeoTIFF")
import sys; assert "torch" not in sys.modules and "transformers" not in sys.modules
import json; last = start_s; parts = dict()
for name, at in marks: parts[name] = at - last; last = at
print(json.dumps(parts))
"""


def time_command_line(atlas: Atlas, model: Path, folder: Path) -> Figures:
    """Return the wall seconds of ``sat2cap map`` and of its stages, and the CPU seconds of ``--help``."""
    out = str(folder / "m.tif")
    run = [sys.executable, "-c", "from sat2cap.cli import main; main()"]
    command = [*run, "map", str(atlas.path), "a busy street", "-o", out]
    whole = fastest_s(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL), 2)
    code = STAGES.format(atlas=str(atlas.path), model=str(model), out=out)
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    helps = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([*run, "--help"], stdout=subprocess.DEVNULL, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        helps.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return {"map": whole, **json.loads(done.stdout.splitlines()[-1]), "--help, CPU": min(helps)}


def compute_ratios(times: Figures) -> Figures:
    """Return the ratios of seconds in which the aims are stated."""
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


def print_figures(title: str, figures: Figures) -> None:
    print(f"\n{title}")
    for name, value in figures.items():
        print(f"  {name:<28} {value:.6g}", flush=True)


def main(folder: Path, out: Path, sizes: list[int], largest: int) -> None:
    """Run all measurements; OUT.json is written after each."""
    model_folder = make_model(folder)
    unprepared = load_model(model_folder)
    checkpoint = NamedTexts(**{field.name: getattr(unprepared, field.name) for field in fields(Checkpoint)})
    results: dict[str, Any] = {"threads": torch.get_num_threads(), "cores": os.cpu_count()}

    def record(title: str, figures: Figures) -> None:
        results[title] = figures
        print_figures(title, figures)
        write_json(out, results)

    for dtype in DTYPES if sizes else ():
        small = make_atlas(folder / f"small-{dtype}.zarr", 10_000, checkpoint, model_folder, dtype)
        for name, when in (("static", None), ("date", MOMENTS[3])):
            record(f"agreement, {dtype}, {name}", measure_agreement(small, checkpoint, when))
    for cells in sizes:
        for dtype in DTYPES:
            atlas = make_atlas(folder / f"{cells}-{dtype}.zarr", cells, checkpoint, model_folder, dtype)
            times = time_queries(atlas, checkpoint)
            times["private memory, MB"] = private_memory_mb()
            if dtype == "int8":
                values, text = float_embeddings(atlas), checkpoint.embed_text(PROMPTS[:1])
                times["faiss"] = time_faiss(values, text)
                reference = time_reference(values, text, folder)
                times |= {f"reference {name}": seconds for name, seconds in reference.items()}
                del values
            record(f"{cells} cells, {dtype}, seconds", times)
            record(f"{cells} cells, {dtype}, ratios", compute_ratios(times))
            if cells == sizes[-1] and dtype == "int8":
                record(
                    f"{cells} cells, command line, seconds", time_command_line(atlas, model_folder, folder)
                )
            if cells != min(sizes):
                shutil.rmtree(atlas.path)
    for cells in (largest // 100, largest // 10, largest) if largest else ():
        atlas = make_hollow(folder / f"hollow-{cells}.zarr", cells, checkpoint, model_folder)
        record(f"growth, {cells} cells, seconds", measure_growth(atlas, checkpoint))
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
