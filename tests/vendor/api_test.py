"""Attacks the simulator with whatever the vendor's specifications allow: no answer of 500 and above, none that its own
specification does not know. Fixed seed, five examples an operation."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

import specs
from simulator import PROGRAM, Simulator

EXAMPLES = os.environ.get("STSYNC_EXAMPLES", "5")
CONFIG = """[parameters]
"path.tenant" = {tenant}
"""


def readable(document, date):
    """What of a document can be read. Of the earlier one: what the later one no longer has."""
    base = document["servers"][0]["url"].split(".io", 1)[1]
    paths = {}
    known = {(e["method"], e["path"]) for resource in specs.catalogue(PROGRAM) for e in resource["endpoints"]}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if (method.upper(), base + path) not in known:
                continue
            if date == specs.DATES[-1] or (method.upper(), base + path) not in specs.operations(specs.DATES[-1]):
                paths.setdefault(path, {})[method] = operation
    return base, document | {"paths": paths}


class ApiTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.simulator = Simulator("--records", "30", "--seed", "5", "--time-scale", "1000")
        cls.folder = tempfile.TemporaryDirectory()
        config = pathlib.Path(cls.folder.name, "schemathesis.toml")
        config.write_text(CONFIG.format(tenant=cls.simulator.tenant["id"]), "utf-8")

    @classmethod
    def tearDownClass(cls):
        cls.simulator.stop()
        cls.folder.cleanup()

    def test_answers_are_those_of_the_specification(self):
        tested = 0
        for date in specs.DATES:
            for name, document in specs.documents(date).items():
                base, wanted = readable(document, date)
                if not wanted["paths"]:
                    continue
                tested += sum(len(methods) for methods in wanted["paths"].values())
                with self.subTest(date=date, api=name):
                    self.attack(base, wanted)
        self.assertGreaterEqual(tested, 325)

    def attack(self, base, document):
        file = pathlib.Path(self.folder.name, "api.json")
        file.write_text(json.dumps(document), "utf-8")
        command = [pathlib.Path(sys.executable).with_name("schemathesis"), "--config-file", "schemathesis.toml", "run", file]
        command += ["--url", self.simulator.url + base, "--seed", "1", "--max-examples", EXAMPLES, "--phases", "fuzzing"]
        command += ["--checks", "not_a_server_error,response_schema_conformance", "--generation-database", "none"]
        command += ["--suppress-health-check", "all", "--no-color", "--mode", "positive"]
        for name, value in self.simulator.headers.items():
            command += ["--header", f"{name}: {value}"]
        run = subprocess.run(command, cwd=self.folder.name, capture_output=True, text=True)
        self.assertEqual(run.returncode, 0, run.stdout[-3000:] + run.stderr[-1000:])


if __name__ == "__main__":
    unittest.main()
