"""Embedding by Ray workers beside a single process, and what a run survives.

    python benchmarks/cluster.py speed [CHUNKS [TURNS]]
    python benchmarks/cluster.py worker|node|head|command [TRIALS]

``speed`` embeds a made-up region with the miniature CLIP in this process, by one Ray worker and by two, in
turns, and prints the least time of each from start to end, and the rate from the first receipt to the last.
The others kill, once a trial and at a random moment after the first chunk: a worker, a machine of the cluster
(`ray.cluster_utils`), the head, or the command itself. Each then compares the bytes with those of a single
process, after the same command without Ray where the run could not go on, and counts workers left behind.
"""

import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from affine import Affine
from cluster_ground import Waves
from odc.geo.geobox import GeoBox

from sat2cap.api import load_model
from sat2cap.embedding import embed_atlas, plan_atlas
from sat2cap.engines import Engine, LocalEngine, RayEngine
from sat2cap.errors import JobError
from sat2cap.files import digest_file

CHUNK, PAUSE_S, TRIAL_CHUNKS = 32, 0.5, 12
LEFT_BEHIND_S = 30.0
"""Seconds after which a worker that still runs counts as left behind."""


def embed(out: Path, chunks: int, engine: Engine | None, pause_s: float = 0.0) -> list[float]:
    """Embed a row of chunks, and return when each receipt came, in seconds since the start."""
    start_s, times = time.perf_counter(), []
    grid = GeoBox((CHUNK, CHUNK * chunks), Affine(480, 0, 480_000, 0, -480, 5_760_000), "EPSG:32631")
    imagery, checkpoint = Waves(pause_s), load_model("miniclip")
    spec = plan_atlas(grid, np.ones(grid.shape, bool), imagery, checkpoint)

    def note(stage: str, done: int, total: int) -> None:
        times.append(time.perf_counter() - start_s)

    embed_atlas(spec, imagery, checkpoint, out, engine=engine or LocalEngine(), progress=note)
    return [*times, time.perf_counter() - start_s]


def digests(folder: Path) -> dict[str, str]:
    """Return the hash of every file below a folder, by its path."""
    return {str(path.relative_to(folder)): digest_file(path) for path in folder.rglob("*") if path.is_file()}


def measure_speed(folder: Path, chunks: int, turns: int) -> None:
    """Print cells a second of a single process, one worker and two."""
    cells = chunks * CHUNK**2
    least: dict[str, tuple[float, float]] = {}
    kinds: list[tuple[str, Engine | None]] = [
        ("this process", None),
        ("1 Ray worker", RayEngine(workers=1)),
        ("2 Ray workers", RayEngine(workers=2)),
    ]
    expected = None
    for turn in range(turns):
        for name, engine in kinds:
            out = folder / f"{turn} {name}.zarr"
            times = embed(out, chunks, engine)
            expected = expected or digests(out)
            assert digests(out) == expected, f"{name}: other bytes"
            # the first call of progress is the start, the last receipt the one before the end
            rate = cells * (chunks - 1) / chunks / (times[-2] - times[1])
            print(f"turn {turn}: {name}: {times[-1]:.1f} s, first receipt {times[1]:.1f} s", flush=True)
            whole, steady = least.get(name, (np.inf, 0.0))
            least[name] = min(whole, times[-1]), max(steady, rate)
    for name, (whole, steady) in least.items():
        print(
            f"{name}: {whole:.1f} s for {cells} cells, {cells / whole:.0f} cells/s; {steady:.0f} once begun"
        )


def worker_processes() -> list[psutil.Process]:
    """Return the workers of clusters that this process started."""
    processes = psutil.Process().children(recursive=True)
    return [process for process in processes if "ray::Worker" in command_of(process)]


def command_of(process: psutil.Process) -> str:
    """Return the first word of a process's command; empty once it has ended."""
    try:
        return str((process.cmdline() or [""])[0])
    except psutil.Error:
        return ""


def has_chunks(out: Path) -> bool:
    """Return whether a chunk is in place."""
    return any(out.glob("status/c/*/*/*"))


def kill_later(out: Path, kill: Callable[[], None]) -> threading.Thread:
    """Start a thread that waits for a first chunk and a while longer, and calls `kill`."""

    def wait_and_kill() -> None:
        while not has_chunks(out):
            time.sleep(0.05)
        time.sleep(random.random() * 3)
        kill()

    thread = threading.Thread(target=wait_and_kill)
    thread.start()
    return thread


def start_cluster() -> Any:
    """Start a cluster on this machine: a head that has no processors for workers but this process's node."""
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 1, "object_store_memory": 80 << 20, "include_dashboard": False}
    return Cluster(initialize_head=True, head_node_args=head)


def add_node(cluster: Any) -> Any:
    """Add a machine with one processor to a cluster."""
    return cluster.add_node(num_cpus=1, object_store_memory=80 << 20)


def try_once(kind: str, out: Path, cluster: Any) -> str:
    """Run one trial and return how the run ended."""
    node = add_node(cluster) if kind == "node" else None

    def kill() -> None:
        if kind == "worker":
            random.choice(worker_processes()).kill()
        elif node is not None:
            cluster.remove_node(node, allow_graceful=False)
        else:
            for process in psutil.Process().children(recursive=True):
                if command_of(process).endswith("gcs_server"):
                    process.kill()

    thread = kill_later(out, kill)
    try:
        embed(out, TRIAL_CHUNKS, RayEngine(cluster.address, 2), PAUSE_S)
        outcome = "finished"
    except JobError as error:
        outcome = str(error)
    thread.join()
    return outcome


def try_killed_command(out: Path, cluster: Any) -> str:
    """Run a trial in which the process that embeds is killed."""
    process = os.fork()
    if not process:
        embed(out, TRIAL_CHUNKS, RayEngine(cluster.address, 2), PAUSE_S)
        os._exit(0)
    kill_later(out, lambda: os.kill(process, signal.SIGKILL)).join()
    os.waitpid(process, 0)
    return "killed"


def run_trials(folder: Path, kind: str, trials: int) -> None:
    """Print what came of each trial, and how many ended in the same bytes."""
    embed(folder / "alone.zarr", TRIAL_CHUNKS, None)
    expected, same, left_behind, cluster = digests(folder / "alone.zarr"), 0, 0, None
    for trial in range(trials):
        if cluster is None:
            cluster = start_cluster()
            if kind != "node":
                add_node(cluster)
        out, start_s = folder / f"{trial}.zarr", time.perf_counter()
        outcome = try_killed_command(out, cluster) if kind == "command" else try_once(kind, out, cluster)
        seconds = time.perf_counter() - start_s
        deadline_s = time.monotonic() + LEFT_BEHIND_S
        while worker_processes() and time.monotonic() < deadline_s:
            time.sleep(0.1)
        left_behind += len(worker_processes())
        done = len(list(out.glob("status/c/*/*/*")))
        if outcome != "finished":
            embed(out, TRIAL_CHUNKS, None)
        same += digests(out) == expected
        record = out.with_name(f"{trial}.runs.jsonl")
        retries = json.loads(record.read_text().splitlines()[0])["retries"] if record.is_file() else {}
        print(f"{kind} {trial}: {seconds:.0f} s, {outcome}; {done} chunks, retries {retries}", flush=True)
        if kind == "head":
            cluster.shutdown()
            cluster = None
    if cluster is not None:
        cluster.shutdown()
    print(f"{kind}: {trials} trials, {same} with the same bytes, {left_behind} workers left behind")


def main() -> None:
    """Run what the first argument names."""
    kind, *numbers = sys.argv[1:]
    here = str(Path(__file__).parent)
    os.environ["PYTHONPATH"] = os.pathsep.join([here, *filter(None, [os.environ.get("PYTHONPATH")])])
    with tempfile.TemporaryDirectory() as name:
        if kind == "speed":
            chunks, turns = [*map(int, numbers), *(40, 2)[len(numbers) :]]
            measure_speed(Path(name), chunks, turns)
            return
        os.environ["RAY_AUTH_MODE"], os.environ["RAY_AUTH_TOKEN"] = "token", os.urandom(32).hex()
        os.environ.setdefault("RAY_gcs_rpc_server_reconnect_timeout_s", "10")
        run_trials(Path(name), kind, int(numbers[0]) if numbers else 20)


if __name__ == "__main__":
    main()
