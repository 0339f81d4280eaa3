"""Moving pictures, frame by frame."""

import sys
from pathlib import Path

import numpy as np
import pytest
from made_up_scores import made_up, three_months, three_prompts
from PIL import Image

from sat2cap.errors import InputError
from sat2cap.maps.animation import write_gif, write_mp4
from sat2cap.maps.colours import paint_of
from sat2cap.maps.picture import draw_page


def frames_of(path: Path) -> list[np.ndarray]:
    if path.suffix == ".gif":
        with Image.open(path) as image:
            frames = []
            for i in range(image.n_frames):
                image.seek(i)
                frames.append(np.asarray(image.convert("RGB")))
            return frames
    av = pytest.importorskip("av")
    with av.open(str(path)) as file:
        return [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]


@pytest.mark.parametrize("name", ["m.gif", "m.mp4"])
def test_a_frame_for_each_date_in_the_same_colours(tmp_path: Path, name: str) -> None:
    score = three_months()
    seen: list[tuple[str, int, int]] = []
    write = write_gif if name.endswith("gif") else write_mp4
    write(score, tmp_path / name, progress=lambda *now: seen.append(now))
    frames = frames_of(tmp_path / name)
    assert len(frames) == 3
    assert seen[-1] == ("drawing frames", 3, 3)
    norm = paint_of(score).norm
    for i, frame in enumerate(frames):
        drawn = draw_page(score.isel(time=i), limits=(norm.vmin, norm.vmax), dpi=100)
        drawn.canvas.draw()
        expected = np.asarray(drawn.canvas.buffer_rgba())[..., :3].astype(int)
        visible = frame[: expected.shape[0], : expected.shape[1]].astype(int)
        assert np.abs(visible - expected).mean() < 3, i
    assert np.abs(frames[0].astype(int) - frames[2]).mean() > 5, "the months differ"


def test_a_gif_says_where_it_comes_from(tmp_path: Path) -> None:
    write_gif(three_months(), tmp_path / "m.gif")
    with Image.open(tmp_path / "m.gif") as image:
        about = image.info["comment"].decode()
        assert image.info["duration"] == 500
        assert image.info["loop"] == 0
    for words in ("prompt: a busy street", "2024-04-15T12:00", "attribution: somebody", "licence: CC0-1.0"):
        assert words in about


def test_video_carries_its_provenance(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    write_mp4(three_months(), tmp_path / "m.mp4")
    with av.open(str(tmp_path / "m.mp4")) as file:
        assert file.metadata["title"] == "a busy street"
        assert "licence: CC0-1.0" in file.metadata["comment"]
        assert file.streams.video[0].codec_context.pix_fmt == "yuv420p"
        assert file.streams.video[0].width % 2 == file.streams.video[0].height % 2 == 0


def test_video_without_pyav_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(InputError, match=r"sat2cap\[video\].*\.gif"):
        write_mp4(three_months(), tmp_path / "m.mp4")


def test_only_dates_move(tmp_path: Path) -> None:
    for score in (made_up(), three_prompts(), three_months().isel(time=[0])):
        with pytest.raises(InputError, match="2 or more dates"):
            write_gif(score, tmp_path / "m.gif")
    assert list(tmp_path.iterdir()) == []
