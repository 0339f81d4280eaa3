"""Which optional extra of this package brings which importable module."""

EXTRA_OF_MODULE = {
    "lightning_fabric": "train",
    "peft": "train",
    "tensorboard": "log",
    "wandb": "log",
    "pystac_client": "stac",
    "odc.stac": "stac",
    "pystac": "stac",
    "urllib3": "stac",
    "sentencepiece": "siglip",
    "google.protobuf": "siglip",
    "faiss": "bench",
    "h5py": "bench",
    "av": "video",
    "sklearn": "evaluate",
    "timezonefinder": "pairs",
    "pycocoevalcap": "captions",
    "sentence_transformers": "captions",
    "bert_score": "captions",
    "fastapi": "serve",
    "uvicorn": "serve",
    "titiler.core": "serve",
    "rio_tiler": "serve",
    "morecantile": "serve",
    "starlette": "serve",
}
"""Extra in pyproject.toml by module name, as in an import statement; a test holds it against that file."""


def explain_missing_module(module: str | None) -> str | None:
    """Return one line that names the extra to install for a module that is missing.

    `module` is the `name` of a `ModuleNotFoundError`, such as ``"odc.stac"``. None for a module that no extra
    brings: its absence is a broken installation or a mistake in the code, which deserves its traceback.
    """
    for known_module, extra in EXTRA_OF_MODULE.items():
        if module == known_module or (module or "").startswith(f"{known_module}."):
            install = f"pip install 'sat2cap[{extra}]'"
            return f"this command needs {known_module}, which comes with an extra: {install}"
    return None
