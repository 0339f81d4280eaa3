"""Run files: defaults, problems all at once, and the files that the repository ships."""

import re
from pathlib import Path

import pytest
import torch
from fake_pairs import small_run

from sat2cap.errors import RunFileError
from sat2cap.training.optimizers import new_optimizer
from sat2cap.training.run import load_run
from sat2cap.training.student import Student, Temperature

ROOT = Path(__file__).parents[2]
OTHERS = ("miniclip.toml", "captioner.toml", "linear.toml")
"""Run files of other methods, which their own tests load."""
GOOD = """
[data]
pairs = "pairs"
[model]
init = "clip"
[optim]
epochs = 3
[output]
folder = "out"
"""


def test_defaults_are_the_papers(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text(GOOD)
    run = load_run(tmp_path / "run.toml")
    assert (run.optim.lr, run.optim.betas, run.optim.eps) == (5e-5, (0.9, 0.98), 1e-6)
    assert (run.optim.weight_decay, run.optim.batch, run.loss.queue) == (0.2, 100, 9000)
    assert (run.loss.form, run.loss.temperature, run.model.dropout) == ("paper", 0.07, 0.3)
    assert (run.model.encoding, run.model.dropout_unit) == ("cyclic", "sample")


def test_all_problems_at_once_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(
        GOOD.replace("epochs = 3", "epochs = 3\nsteps = 10\nlr = -1.0")
        .replace('init = "clip"', 'init = "clip"\ndropot = 0.5\nencoding = "spiral"')
        .replace('folder = "out"', "")
    )
    with pytest.raises(RunFileError) as error:
        load_run(path)
    message = str(error.value)
    assert "\n" not in message
    assert f"run file {str(path)!r} has 4 problems" in message
    for part in (
        "model.dropot is not known (known: init, encoding, dynamic",
        "model.encoding = 'spiral' must be 'reference', 'cyclic', 'zonal' or 'sphere'",
        "optim.lr = -1.0 must be greater than 0",
        "output.folder is missing",
    ):
        assert part in message, message


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("epochs = 3", "", "optim must have either epochs or steps"),
        ("epochs = 3", "epochs = 3\nsteps = 3", "optim must have either epochs or steps"),
        ("epochs = 3", "steps = 3\nbatch = 9\ndevices = 2", "batch 9 must be a multiple of devices 2"),
        (
            "[output]",
            '[loss]\nform = "queue_only"\nqueue = 0\n[output]',
            "queue_only needs a loss.queue above 0",
        ),
        (
            "[output]",
            '[loss]\nsame_place = "ignore"\n[output]',
            "same_place ignore needs a data.place_m above 0",
        ),
        (
            'folder = "out"',
            'folder = "out"\nvalidate_every = 9',
            "validate_every needs data.validation_pairs",
        ),
        (
            'init = "clip"',
            'init = "clip"\nlora_rank = 4\ntrain_layers = 2',
            "either train_layers or lora_rank",
        ),
        (
            "epochs = 3",
            "steps = 3\nbatch = 9\nnodes = 2",
            "batch 9 must be a multiple of devices 1 x nodes 2",
        ),
        ("[data]", "method = 'clip'\n[data]", "method = 'clip' must be 'sat2cap'"),
        ("[data]", "[data", "is not TOML"),
    ],
)
def test_each_problem_says_what_to_do(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in GOOD
    (tmp_path / "run.toml").write_text(GOOD.replace(old, new))
    with pytest.raises(RunFileError, match=message):
        load_run(tmp_path / "run.toml")


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(RunFileError, match=r"nowhere\.toml' cannot be read \(No such file"):
        load_run(tmp_path / "nowhere.toml")


def test_shipped_run_files_load() -> None:
    names = [path.name for path in sorted((ROOT / "runs").glob("*.toml")) if path.name not in OTHERS]
    runs = {name: load_run(ROOT / "runs" / name) for name in names}
    assert runs.keys() >= {"miniworld.toml", "laptop.toml", "gpu.toml", "paper.toml"}
    assert {run.optim.precision for run in runs.values()} == {"auto"}
    for name in names:
        head = (ROOT / "runs" / name).read_text().split("\nmethod")[0]
        assert f"#   sat2cap train runs/{name}\n" in head
        assert re.search(r"[Cc]ost|minutes", head)
        assert "xpected" in head


def test_the_papers_run_has_the_papers_settings() -> None:
    run = load_run(ROOT / "runs" / "paper.toml")
    optim = run.optim
    assert (optim.batch, run.loss.queue, optim.lr, optim.weight_decay) == (100, 9000, 5e-5, 0.2)
    assert (optim.schedule, optim.restart_every, optim.betas, optim.eps) == (
        "warm_restarts",
        3000,
        (0.9, 0.98),
        1e-6,
    )
    assert (run.loss.form, run.loss.temperature, run.model.dropout) == ("paper", 0.07, 0.3)
    assert (run.model.init, run.augment.kind) == ("openai/clip-vit-base-patch32", "paper")
    assert (optim.steps, optim.epochs, optim.decay_all) == (86_750, None, True)
    assert (run.model.ground_resize, run.model.overhead_filter) == ("squash", "bilinear")
    text = (ROOT / "runs" / "paper.toml").read_text()
    differences = re.findall(r"^#   (\w+) {2,}", text.split("Deliberate differences")[1], re.MULTILINE)
    marked = set(re.findall(r"# difference: (\w+)", text))
    assert marked == set(differences) - {"metadata", "photos"}, "those two are no settings of a run"


def test_an_address_of_pairs_is_used_with_its_secrets_and_stored_without(tmp_path: Path) -> None:
    address = "https://example.org/pairs?sig=s3cr3t"
    (tmp_path / "run.toml").write_text(GOOD.replace('"pairs"', f'"{address}"'))
    run = load_run(tmp_path / "run.toml")
    assert run.data.pairs == address
    assert run.settings()["data"]["pairs"] == "https://example.org/pairs?sig=${SAT2CAP_SIG}"
    assert "s3cr3t" not in run.model_dump_json()


def test_settings_added_later_leave_the_identity_of_older_runs(tmp_path: Path) -> None:
    plain = small_run(tmp_path).settings()
    assert "decay_all" not in plain["optim"]
    assert not {"ground_resize", "overhead_filter"} & plain["model"].keys()
    changed = small_run(tmp_path, optim={"decay_all": True}, model={"ground_resize": "squash"}).settings()
    assert changed["optim"]["decay_all"] is True
    assert changed["model"]["ground_resize"] == "squash"


@pytest.mark.parametrize("decay_all", [False, True])
def test_weight_decay_spares_vectors_and_the_temperature_unless_it_is_of_all(
    tmp_path: Path, decay_all: bool
) -> None:
    run = small_run(tmp_path, optim={"decay_all": decay_all, "weight_decay": 0.2})
    student = Student(torch.nn.Linear(3, 2), None)
    temperature = Temperature(0.07, -10.0)
    groups = new_optimizer(run, student, temperature).param_groups
    decay = {id(value): group["weight_decay"] for group in groups for value in group["params"]}
    assert decay[id(student.tower.weight)] == 0.2
    spared = 0.2 if decay_all else 0.0
    assert decay[id(student.tower.bias)] == decay[id(temperature.log_scale)] == spared
