"""The S3 server of the tests: what one test put is not found by the next."""

from pathlib import Path

from s3_server import BUCKET, s3_server

from sat2cap.stores import open_store


def test_each_server_starts_with_an_empty_bucket(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"of an earlier test")
    with s3_server() as server:
        server.upload(tmp_path, f"s3://{BUCKET}/x")
        assert [key for key, _ in open_store(f"s3://{BUCKET}/x").list()] == ["a.bin"]
    with s3_server():
        assert [key for key, _ in open_store(f"s3://{BUCKET}/x").list()] == []
