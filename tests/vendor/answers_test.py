"""Validates what the simulator answers to every readable endpoint against the vendor's specifications of both dates."""

import collections
import json
import unittest

import jsonschema
import specs
from simulator import PROGRAM, Simulator

# The simulator answers as the later specification says. What the earlier one does not know of that: members and values.
NEW_SINCE_THE_EARLIER = {
    "activeIngredients",
    "aiModeEnabled",
    "allocatedOtherCosts",
    "allocatedShipping",
    "allocatedTax",
    "appointmentSummaries",
    "billingSchedule=Custom",
    "billingScheduleType=Custom",
    "certifiedSentriconSpecialistCode",
    "createdById",
    "createdOn",
    "customFieldTypeIds",
    "customFields",
    "data.*.businessUnit type object, not None",
    "data.*.jobNumber type string, not None",
    "data.*.leadCall.agent type object, not None",
    "data.*.leadCall.campaign type object, not None",
    "data.*.leadCall.createdBy type object, not None",
    "data.*.leadCall.customer type object, not None",
    "data.*.leadCall.reason type object, not None",
    "data.*.leadCall.recordingUrl type string, not None",
    "data.*.leadCall.voiceMailUrl type string, not None",
    "data.*.type type object, not None",
    "dateReconciled",
    "defaultEstimateSoldAction",
    "depositAmount",
    "depositPercent",
    "epaNumber",
    "equipmentIds",
    "fullyLandedUnitCost",
    "includeTaxInFullyLandedCost",
    "invoiceNotification",
    "isAutoDispatched",
    "isChemical",
    "isCostLocked",
    "isDiscretionary",
    "isPriceLocked",
    "landedCostMethod",
    "linearNavigationEnabled",
    "manufacturedOn",
    "modifiedOn",
    "otherAmount",
    "previousSessionId",
    "reason",
    "requireDepositOnSignature",
    "returnTypeId",
    "statementNotification",
    "summaryOfWork",
    "usedSchedulingTool=Routing",
}


def schema_of(operation, document, date):
    """The JSON Schema of a 200; None when there is none."""
    content = operation.get("responses", {}).get("200", {}).get("content", {})
    schema = content.get("application/json", content.get("text/json", {})).get("schema")
    if schema is None:
        return None
    return {"components": components(date, id(document), document)} | modern(schema)


def components(date, key, document):
    cache = components.cache
    if (date, key) not in cache:
        cache[date, key] = modern(document["components"])
    return cache[date, key]


components.cache = {}


def modern(schema):
    """OpenAPI 3.0's `nullable` as JSON Schema has it."""
    if isinstance(schema, list):
        return [modern(s) for s in schema]
    if not isinstance(schema, dict):
        return schema
    out = {k: modern(v) for k, v in schema.items()}
    if out.pop("nullable", False) is True:
        if "enum" in out and None not in out["enum"]:
            out["enum"] = out["enum"] + [None]
        return {"anyOf": [out, {"type": "null"}]}
    return out


class AnswersTest(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.simulator = Simulator("--records", "150", "--seed", "3")

    @classmethod
    def tearDownClass(cls):
        cls.simulator.stop()

    def test_every_answer_is_what_the_vendor_specifies(self):
        problems = collections.defaultdict(set)
        self.new = set()
        validated = set()
        for resource in specs.catalogue(PROGRAM):
            for endpoint in resource["endpoints"]:
                name = f"{resource['resource']} {endpoint['role']}"
                answer = self.simulator.answer(resource, endpoint)
                if answer is None:
                    problems[name].add("no row to ask for")
                    continue
                status, body = answer
                if status != (302 if endpoint["shape"] == "binary" and endpoint["role"] == "get" else 200):
                    problems[name].add(f"{status} {body[:200]}")
                    continue
                if endpoint["shape"] == "binary":
                    validated.add(endpoint["path"])
                    continue
                document = json.loads(body)
                if isinstance(document, dict) and document.get("data") == []:
                    problems[name].add("no rows")
                for date in specs.DATES:
                    self.validate(date, endpoint, document, problems[name])
                validated.add(endpoint["path"])
        found = {name: sorted(texts) for name, texts in problems.items() if texts}
        self.assertEqual(found, {})
        self.assertEqual(self.new, NEW_SINCE_THE_EARLIER)
        self.assertGreaterEqual(len(validated), 329)

    def validate(self, date, endpoint, document, problems):
        operation, specification = specs.operations(date).get((endpoint["method"], endpoint["path"]), (None, None))
        schema = schema_of(operation, specification, date) if operation else None
        if schema is None:
            return
        for error in jsonschema.Draft202012Validator(schema).iter_errors(document):
            if date != specs.DATES[-1] and specs.operation(endpoint["method"], endpoint["path"])[1] is not specification:
                self.new |= set(news(error))
            else:
                problems.add(f"{date} {told(error)}")


def news(error):
    """The names of what the later specification brought, or the whole story where it is no such thing."""
    if error.validator in ("anyOf", "oneOf") and error.context:
        return news(max(error.context, key=lambda inner: (len(inner.absolute_path), inner.validator != "type")))
    if error.validator == "additionalProperties":
        return set(error.instance) - set(error.schema.get("properties", {}))
    if error.validator == "enum":
        return {f"{error.absolute_path[-1]}={error.instance}"}
    return {told(error)}


def told(error):
    """Where, and what: without the data, and of alternatives the one that fits best."""
    if error.validator in ("anyOf", "oneOf") and error.context:
        return told(max(error.context, key=lambda inner: (len(inner.absolute_path), inner.validator != "type")))
    place = ".".join("*" if isinstance(p, int) else p for p in error.absolute_path)
    if error.validator == "additionalProperties":
        known = set(error.schema.get("properties", {}))
        return f"{place} has {sorted(set(error.instance) - known)}"
    if error.validator == "required":
        return f"{place} lacks {sorted(set(error.validator_value) - set(error.instance))}"
    return f"{place} {error.validator} {error.validator_value}, not {str(error.instance)[:60]}"


if __name__ == "__main__":
    unittest.main()
