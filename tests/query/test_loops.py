"""The compiled loops and those in numpy agree, and which are used follows from the number of cells."""

import subprocess
import sys

import numpy as np
import pytest
from made_model import atlas, embeddings, model

from sat2cap.geo.when import When
from sat2cap.query import Scan, score_atlas
from sat2cap.query.engine import kernel_numpy, loops

MAY = When(2024, 5, 20, 8.0)


@pytest.fixture
def not_loaded(monkeypatch):
    """A process in which no scan has loaded the compiled loops."""
    monkeypatch.delitem(sys.modules, "sat2cap.query.engine.kernel", raising=False)
    monkeypatch.delattr("sat2cap.query.engine.kernel", raising=False)


def make_atlas(folder, dtype):
    holes = np.random.default_rng(2).random((70, 75)) < 0.2
    return atlas(folder / f"{dtype}.zarr", embeddings(70, 75, 64), model(), holes, dtype)


@pytest.mark.parametrize("dtype", ["int8", "float16"])
@pytest.mark.parametrize("when", [None, MAY])
def test_both_kinds_of_loops_give_the_same_scores(tmp_path, not_loaded, dtype, when):
    opened, checkpoint = make_atlas(tmp_path, dtype), model()
    plain, fast = (Scan(opened, checkpoint.encoding) for _ in range(2))
    prompts = ["busy street", "snow", "the sea", "a field", "a town"]
    first, with_known_lengths = (score_atlas(plain, checkpoint, prompts, when=when).values for _ in range(2))
    assert "sat2cap.query.engine.kernel" not in sys.modules
    fast.expect_many()  # loads the compiled loops
    compiled = score_atlas(fast, checkpoint, prompts, when=when).values
    assert np.isfinite(first).any()
    np.testing.assert_allclose(first, compiled, rtol=0, atol=1e-6)
    np.testing.assert_allclose(with_known_lengths, first, rtol=0, atol=1e-6)


def test_few_cells_take_numpy_and_many_the_compiled_loops(not_loaded):
    assert loops.choose_loops(100_000) is kernel_numpy
    assert loops.choose_loops(loops.COMPILED_FROM_CELLS).__name__.endswith(".kernel")


def test_few_cells_take_the_compiled_loops_where_they_are_loaded(not_loaded):
    compiled_loops = loops.choose_loops(loops.COMPILED_FROM_CELLS)
    assert loops.choose_loops(100) is compiled_loops


def test_a_scan_that_is_asked_again_and_again_turns_to_compiled_loops(tmp_path, not_loaded, monkeypatch):
    opened, checkpoint = make_atlas(tmp_path, "int8"), model()
    scan = Scan(opened, checkpoint.encoding)
    padded_cells = 9 * 32 * 32
    monkeypatch.setattr(loops, "COMPILED_FROM_CELLS", 2 * padded_cells)
    used = [next(scan.map_blocks(lambda cells: cells.loops.__name__.rpartition(".")[2])) for _ in range(3)]
    assert used == ["kernel_numpy", "kernel", "kernel"]


COMPILE = """
from sat2cap.compilation import compiled
compiled(lambda x: x)  # of no module of the package
from sat2cap.query.engine import kernel
import numpy as np
for _ in range(2):
    kernel.inverse_lengths(np.ones((1, 4, 8), np.int8), np.empty((1, 8), np.float32))
"""


def test_compiling_is_said_once_and_the_cache_is_kept_where_it_was_asked_for(tmp_path):
    environment = {"NUMBA_CACHE_DIR": str(tmp_path / "cache"), "PYTHONPATH": ":".join(sys.path)}
    said = [
        subprocess.run([sys.executable, "-c", COMPILE], env=environment, capture_output=True, text=True)
        for _ in range(2)
    ]
    assert [run.returncode for run in said] == [0, 0], said
    assert said[0].stderr.count("compiling for this processor, once") == 1
    assert said[1].stderr == ""  # read from the cache
    assert list((tmp_path / "cache").rglob("*.nbc"))
