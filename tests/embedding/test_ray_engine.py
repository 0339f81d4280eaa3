"""Workers of a Ray cluster: the bytes of one process, whatever dies; what cannot go on is one line."""

import hashlib
import json
import os
import pickle
import re
import signal
import threading
import time
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest
from made_up import build_small, hash_files
from s3_server import BUCKET, s3_server
from slow_embed import HOLES, SHAPE, run, wanted
from small_model import Ground, grid, model

from sat2cap.atlas import CellStatus, create_or_resume, iter_chunks, writer_lock
from sat2cap.embedding import embed_atlas, embed_region, plan_atlas
from sat2cap.embedding.chunk_job import ChunkJob
from sat2cap.embedding.chunk_task import AtlasInputs, ChunkTask
from sat2cap.engines import RayEngine
from sat2cap.engines.ray_worker import Worker
from sat2cap.errors import JobError
from sat2cap.files import digest_file
from sat2cap.imagery import FailureRecordingImagery
from sat2cap.stores import open_store
from sat2cap.stores.records import record_name

HERE = Path(__file__).parent
if find_spec("ray") is None:
    pytest.skip("Ray is not installed: pip install 'sat2cap[cluster]'", allow_module_level=True)


def file_digests(folder):
    return {str(p.relative_to(folder)): digest_file(p) for p in folder.rglob("*") if p.is_file()}


def last_run(atlas):
    return json.loads(atlas.with_name(record_name(atlas.name)).read_text().splitlines()[-1])


@pytest.fixture(scope="module")
def bucket():
    """An S3 server, which the environment of all processes names that are started later."""
    with s3_server() as running_server:
        yield running_server


@pytest.fixture(scope="module")
def clusters(bucket):
    """The clusters started so far: none, until a test asks for one; all but the last have been shut down.

    Workers import the modules beside this file, and know a token.
    """
    with pytest.MonkeyPatch.context() as patch:
        folders = [str(HERE), str(HERE.parent), os.environ.get("PYTHONPATH", "")]
        patch.setenv("PYTHONPATH", os.pathsep.join(folders))
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", "0123456789abcdef" * 4)
        patch.setenv("RAY_gcs_rpc_server_reconnect_timeout_s", "2")
        started = []
        yield started
        for cluster in started[-1:]:
            cluster.shutdown()


@pytest.fixture
def cluster(clusters):
    """A head with two processors and no workers: the last one that was started, if it lives."""
    from ray.cluster_utils import Cluster

    if clusters and not processes_of("gcs_server"):
        clusters[-1].shutdown()
    if not processes_of("gcs_server"):
        head = {"num_cpus": 2, "object_store_memory": 80 << 20, "include_dashboard": False}
        clusters.append(Cluster(initialize_head=True, head_node_args=head))
    wait_until(lambda: not worker_processes())
    return clusters[-1]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    return run(tmp_path_factory.mktemp("alone") / "a.zarr")


def processes_of(name):
    """Processes of this process's cluster whose name ends so."""
    return [
        process for process in psutil.Process().children(recursive=True) if name_of(process).endswith(name)
    ]


def worker_processes():
    """Workers that this process's cluster has now."""
    return [
        process for process in psutil.Process().children(recursive=True) if "ray::Worker" in name_of(process)
    ]


def name_of(process):
    try:
        return " ".join(process.cmdline()[:1])
    except psutil.Error:
        return ""


def wait_until(condition, seconds=200):
    deadline_s = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline_s:
        time.sleep(0.1)
    assert condition()


def embed_by_workers(out, address, workers, *, pause_s=0.0, progress=lambda *_: None):
    imagery, checkpoint = Ground(holes=HOLES, pause_s=pause_s), model()
    spec = plan_atlas(grid(*SHAPE), wanted(), imagery, checkpoint)
    return embed_atlas(spec, imagery, checkpoint, out, engine=RayEngine(address, workers), progress=progress)


def has_a_chunk(out):
    return bool(list(out.glob("status/c/*/*/*")))


def test_workers_of_which_one_is_killed_give_a_bucket_the_bytes_of_one_process(tmp_path, cluster, alone):
    address, calls = f"s3://{BUCKET}/{tmp_path.name}/a.zarr", []
    store = open_store(address)

    def kill_one():
        wait_until(lambda: worker_processes() and any(key.startswith("status/c/") for key, _ in store.list()))
        worker_processes()[0].kill()

    thread = threading.Thread(target=kill_one)
    thread.start()
    embed_by_workers(address, cluster.address, 2, pause_s=1.0, progress=lambda *call: calls.append(call))
    thread.join()
    digests = {key: hashlib.sha256(store.get(key)).hexdigest() for key, _ in store.list()}
    assert digests == file_digests(alone.path)
    total = wanted().sum()
    counts = [(done, of) for stage, done, of in calls if stage == "embedding cells"]
    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) == ((0, total), (total, total))
    assert any(stage.startswith("a worker was lost") for stage, *_ in calls)
    (record,) = map(json.loads, store.parent.get(record_name("a.zarr")).splitlines())
    assert (record["engine"], record["outcome"], record["cells"]) == ("ray", "finished", total)
    assert sum(worker["chunks"] for worker in record["workers"]) == 9
    assert all(worker["torch"] and worker["processor"] for worker in record["workers"])
    assert sum(record["retries"].values()) > 0
    wait_until(lambda: not worker_processes())


def test_shards_of_a_pair_set_are_made_by_workers(tmp_path, cluster):
    made = build_small(tmp_path / "workers", engine=RayEngine(cluster.address, 1))
    assert hash_files(made.path) == hash_files(build_small(tmp_path / "alone").path)


def test_workers_end_with_a_run_that_is_killed(tmp_path, cluster, alone):
    out = tmp_path / "a.zarr"
    process = os.fork()
    if not process:
        embed_by_workers(out, cluster.address, 1, pause_s=0.5)
        os._exit(0)
    wait_until(lambda: worker_processes() and has_a_chunk(out))
    started = worker_processes()
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    wait_until(lambda: not any(map(psutil.Process.is_running, started)))
    assert file_digests(run(out).path) == file_digests(alone.path)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("127.0.0.1:1", "no Ray cluster at '127.0.0.1:1'.*refused.*start one with: ray start --head"),
        (
            "ray://somewhere:10001",
            "Ray address 'ray://somewhere:10001' is neither HOST:PORT of a head nor auto",
        ),
        ("somewhere", "Ray address 'somewhere' is neither"),
    ],
)
def test_a_cluster_that_cannot_be_reached_is_one_line(tmp_path, address, words):
    with pytest.raises(JobError, match=words) as raised:
        embed_by_workers(tmp_path / "a.zarr", address, 1)
    assert "\n" not in str(raised.value)


def test_imagery_that_cannot_be_sent_is_one_line(tmp_path):
    class Local(Ground):
        """A class of a function has no name that another process could find."""

    imagery, checkpoint = Local(), model()
    spec = plan_atlas(grid(*SHAPE), wanted(), imagery, checkpoint)
    with pytest.raises(JobError, match=r"imagery \S+ cannot be sent to workers"):
        embed_atlas(spec, imagery, checkpoint, tmp_path / "a.zarr", engine=RayEngine("127.0.0.1:1", 1))


def worker_for(out, imagery=None, checkpoint=None, opens=None):
    """A worker in this process, without Ray, and the job that it was sent."""
    imagery, checkpoint = imagery or Ground(holes=HOLES), checkpoint or model()
    spec = plan_atlas(grid(*SHAPE), wanted(), imagery, checkpoint)
    inputs = AtlasInputs(spec, FailureRecordingImagery(imagery, reopen=opens), checkpoint, open_store(out))
    return Worker(pickle.dumps(ChunkJob(inputs).for_workers([])), "worker 1", os.getcwd()), inputs


def test_a_worker_fills_the_cells_that_failed(tmp_path, alone):
    west, north = 480_000 + 40 * 480, 5_760_000 - 30 * 480
    broken = (west + 1, north - 4 * 480 + 1, west + 5 * 480 - 1, north - 1)
    out = tmp_path / "a.zarr"
    made = embed_region(grid(*SHAPE), wanted(), Ground(holes=HOLES, broken=broken), model(), out)
    worker, _ = worker_for(out)
    failed = made.status == CellStatus.IMAGERY_FAILED
    machine, refusal = worker.prepare()
    assert refusal is None
    assert machine["pid"] == os.getpid()
    with writer_lock(out):
        writer = create_or_resume(out, made.spec)
        writer.reopen()
        for chunk in made.chunks():
            if failed[chunk.rows, chunk.cols].any():
                task = ChunkTask(chunk, failed[chunk.rows, chunk.cols], writer.entry(chunk.index))
                receipt, refusal = worker.do(pickle.dumps(task))
                writer.record(pickle.loads(receipt).staged)
        filled = writer.finish()
    assert failed.sum() == 20
    assert file_digests(filled.path) == file_digests(alone.path)


def test_what_a_worker_refuses_is_one_line(tmp_path):
    worker, inputs = worker_for(tmp_path / "a.zarr", checkpoint=model(poison=True))
    worker.prepare()
    chunk = next(iter_chunks(inputs.spec.wanted, inputs.spec.chunk))
    _, refusal = worker.do(pickle.dumps(ChunkTask(chunk, inputs.spec.wanted[chunk.rows, chunk.cols])))
    assert refusal == "small 0 gives no embedding that is finite; its weights are broken, load others"
    other, _ = worker_for(tmp_path / "a.zarr", opens=Ground)
    machine, refusal = other.prepare()
    assert machine is None
    assert re.fullmatch(r"imagery ground is another one on \S+; give every worker the same", refusal)


def test_a_head_that_dies_is_one_line_and_what_is_done_is_kept(tmp_path, cluster, alone):
    out = tmp_path / "a.zarr"

    def kill_head():
        wait_until(lambda: has_a_chunk(out))
        for process in processes_of("gcs_server"):
            process.kill()

    thread = threading.Thread(target=kill_head)
    thread.start()
    with pytest.raises(
        JobError, match=r"^Ray ended \(.*\); what is finished is kept; run the same command"
    ) as raised:
        embed_by_workers(out, cluster.address, 1, pause_s=1.0)
    thread.join()
    assert "\n" not in str(raised.value)
    assert last_run(out)["outcome"].startswith("JobError: Ray ended")
    wait_until(lambda: not worker_processes())  # one that still writes would leave a temporary file
    assert file_digests(run(out).path) == file_digests(alone.path)
