"""Many users of one live map at once: how long answers take, what fails, and what the server's memory does.

    python benchmarks/users.py FOLDER OUT.json [--users 50] [--seconds 60] [--cells 100000] [--pause 1.0]

Makes the atlas of `live.py` in FOLDER and serves it from a process of its own, on loopback. Every user asks
one of ten prompts, at no date or at one of twelve, waits for the answer, pauses for a random time of `pause`
seconds in the mean, and asks again. Beside it, from the same run: one user alone, who asks what nobody has
asked before, and a bare scan of the same library without server.
"""

import argparse
import asyncio
import json
import os
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import numpy as np
import psutil
from live import Figures, made_up_words, serve, time_library
from query import make_atlas, make_model

from sat2cap.model import load_model
from sat2cap.query import prepare_atlas

PROMPTS = (
    "a busy street", "a quiet beach", "fishing boats", "vineyards", "a factory", "children playing",
    "snow on the ground", "a wheat field", "skyscrapers", "a forest path",
)  # fmt: skip
DATES = (None, *(f"2019-{month:02}-15T12:00" for month in range(1, 13)))


async def follow_user(
    ask: Callable[[dict[str, str]], Awaitable[tuple[int, float]]], until_s: float, pause_s: float, seed: int
) -> list[tuple[int, float]]:
    """Ask and pause until a moment of the clock; return status and milliseconds of every answer."""
    rng, answers = random.Random(seed), []
    await asyncio.sleep(rng.uniform(0, pause_s))
    while time.perf_counter() < until_s:
        question = {"prompt": rng.choice(PROMPTS)}
        if (when := rng.choice(DATES)) is not None:
            question["when"] = when
        answers.append(await ask(question))
        await asyncio.sleep(rng.expovariate(1 / pause_s))
    return answers


async def watch_memory(port: int, until_s: float) -> list[float]:
    """Return the resident MB of the process that listens on a port, once a second."""
    server = next(
        psutil.Process(one.pid)
        for one in psutil.net_connections("tcp")
        if one.status == psutil.CONN_LISTEN and one.laddr.port == port and one.pid is not None
    )
    samples = []
    while time.perf_counter() < until_s:
        samples.append(server.memory_info().rss / 1e6)
        await asyncio.sleep(1)
    return samples


async def measure(address: str, options: argparse.Namespace) -> Figures:
    """Return the figures of one user alone and of all of them together."""
    limits = httpx.Limits(max_connections=options.users + 1)
    async with httpx.AsyncClient(base_url=address, timeout=60, limits=limits) as client:
        while not (await client.get("api/health")).json().get("ready"):
            await asyncio.sleep(0.5)
        (atlas, *_) = (await client.get("api/atlases")).json()

        async def ask(question: dict[str, str]) -> tuple[int, float]:
            start_s = time.perf_counter()
            answer = await client.get(f"api/atlases/{atlas['id']}/scores", params=question)
            return answer.status_code, 1000 * (time.perf_counter() - start_s)

        rng = np.random.default_rng(os.getpid())
        alone = [await ask({"prompt": made_up_words(rng)}) for _ in range(30)]
        until_s = time.perf_counter() + options.seconds
        port = int(httpx.URL(address).port or 80)
        watched = asyncio.create_task(watch_memory(port, until_s))
        answers = await asyncio.gather(
            *(follow_user(ask, until_s, options.pause, seed) for seed in range(options.users))
        )
        memory = await watched
    together = [answer for user in answers for answer in user]
    p50, p95, worst = np.percentile([ms for _, ms in together], [50, 95, 100])
    return {
        "one user, new prompts, median ms": float(np.median([ms for _, ms in alone[5:]])),
        "answers": len(together),
        "answers a second": len(together) / options.seconds,
        "statuses": dict(Counter(status for status, _ in together)),
        "p50 ms": p50,
        "p95 ms": p95,
        "longest ms": worst,
        "memory at the start, MB": memory[0],
        "memory at the most, MB": max(memory),
        "memory at the end, MB": memory[-1],
    }


def main() -> None:
    """Measure, print the figures and write them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--users", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--cells", type=int, default=100_000)
    parser.add_argument("--pause", type=float, default=1.0)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    source, path = make_model(options.folder), options.folder / f"{options.cells}.zarr"
    model = load_model(source)
    prepare_atlas(make_atlas(path, options.cells, model, source), model.encoding)
    figures: Figures = {"load before": os.getloadavg()[0], **time_library(path, 20)}
    with serve(path) as address:
        figures |= asyncio.run(measure(address, options))
    print(json.dumps(figures, indent=1))
    options.out.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
