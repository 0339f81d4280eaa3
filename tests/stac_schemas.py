"""Checking STAC values against schemas that lie in the tests, with the core schemas of the pystac package."""

import json
from pathlib import Path

import jsonschema
import pystac
import referencing

EMBEDDINGS = Path(__file__).parent / "atlas" / "schemas" / "stac-emb.schema.json"
_CORE = Path(pystac.__file__).parent / "validation" / "jsonschemas"


def _resolve(uri):
    """Return a schema that another refers to by its address, without the network.

    The extensions name version 1.0.0 of the core schema; pystac ships 1.1.0, here told to expect 1.0.0.
    """
    address = uri.split("#")[0]
    if "geojson.org" in address:
        text = (_CORE / "geojson" / Path(address).name).read_text()
    elif "schemas.stacspec.org" in address:
        text = (_CORE / "stac-spec" / "v1.1.0" / Path(address).name).read_text()
        text = text.replace('"const": "1.1.0"', '"const": "1.0.0"')
    elif "projjson" in address:  # a reference system by its code needs none of it
        text = '{"$schema": "http://json-schema.org/draft-07/schema#", "type": "object"}'
    else:
        raise referencing.exceptions.NoSuchResource(ref=uri)
    return referencing.Resource.from_contents(json.loads(text))


def stac_problems(value, schema=EMBEDDINGS):
    """Return what a schema finds wrong with an item or a collection; an empty list if it is valid."""
    checker = jsonschema.Draft7Validator(
        json.loads(schema.read_text()), registry=referencing.Registry(retrieve=_resolve)
    )
    return [error.message for error in checker.iter_errors(json.loads(json.dumps(value)))]
