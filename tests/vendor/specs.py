"""The vendor's specifications and the list of readable endpoints, as far as the tests here compare with them.

They are not part of the project: STSYNC_VENDOR names their folder (catalog.tsv, operations.tsv, openapi/<date>/*.json).
"""

import csv
import functools
import json
import os
import pathlib
import subprocess

FOLDER = pathlib.Path(os.environ["STSYNC_VENDOR"])
DATES = ["2026-03", "2026-05"]


@functools.cache
def endpoints():
    """Rows of catalog.tsv, as dicts."""
    with open(FOLDER / "catalog.tsv", encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


@functools.cache
def documents(date):
    """File name -> OpenAPI document."""
    return {path.stem: json.loads(path.read_text("utf-8")) for path in sorted((FOLDER / "openapi" / date).glob("*.json"))}


@functools.cache
def operations(date):
    """(method, full path) -> (operation, document)."""
    out = {}
    for document in documents(date).values():
        base = document["servers"][0]["url"].split(".io", 1)[1]
        for path, methods in document["paths"].items():
            for method, operation in methods.items():
                out[method.upper(), base + path] = operation, document
    return out


def operation(method, path):
    """The newest description of an endpoint, or (None, None)."""
    for date in reversed(DATES):
        if (method, path) in operations(date):
            return operations(date)[method, path]
    return None, None


def resolve(schema, document):
    """Follows $ref."""
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    return schema


@functools.cache
def catalogue(program):
    """What `stsync catalog list` says."""
    text = subprocess.run([program, "catalog", "list", "--output", "json"], check=True, capture_output=True, text=True).stdout
    return json.loads(text)
