"""Compares config/catalogue/ with the vendor's list of endpoints and every parameter with the specifications."""

import os
import re
import unittest

import specs

PROGRAM = os.environ["STSYNC_PROGRAM"]
PAGING = {"page", "pageSize", "includeTotal"}
# What the specifications say of these is known to be wrong or missing (facts: spec gaps, 2026-07 only).
NOT_DESCRIBED = {
    "/service-agreements/v2/tenant/{tenant}/service-agreements/custom-fields",
    "/reporting/v2/tenant/{tenant}/report-category/{report_category}/reports/{reportId}/data/query",
    "/reporting/v2/tenant/{tenant}/data-queries/{token}",
}


def catalogue_endpoints():
    for resource in specs.catalogue(PROGRAM):
        for endpoint in resource["endpoints"]:
            yield resource, endpoint


class CatalogueTest(unittest.TestCase):
    maxDiff = None

    def test_every_readable_endpoint_belongs_to_a_resource(self):
        ours = {e[k] for _, e in catalogue_endpoints() for k in ("path", "async_path", "result_path") if k in e}
        theirs = {row["full_path_template"] for row in specs.endpoints()}
        self.assertEqual(theirs - ours, set(), "missing")
        self.assertEqual(ours - theirs, set(), "invented")
        self.assertEqual(len(theirs), 331)

    def test_every_parameter_is_one_of_the_specification(self):
        for resource, endpoint in catalogue_endpoints():
            operation, _ = specs.operation(endpoint["method"], endpoint["path"])
            if operation is None:
                self.assertIn(endpoint["path"], NOT_DESCRIBED)
                continue
            described = {p["name"] for p in operation.get("parameters", []) if p["in"] == "query"}
            with self.subTest(resource=resource["resource"], role=endpoint["role"]):
                self.assertEqual(self.sent(endpoint) - described, set(), "not described")
                if endpoint["role"] in ("list", "children"):
                    known = self.sent(endpoint) | set(endpoint.get("filters", [])) | PAGING | {"sort", "ids"}
                    known |= {"modifiedOnOrAfter", "modifiedBefore", "createdOnOrAfter", "createdBefore", *endpoint.get("bind", {})}
                    period = set(endpoint.get("period", []))
                    self.assertEqual(described - known - period, set(), "the catalogue does not know")

    def sent(self, endpoint):
        names = set(endpoint.get("query", {})) | set(endpoint.get("filters", []))
        names |= {n for n in endpoint.get("bind", {}) if "{" + n + "}" not in endpoint["path"]}
        names |= set(endpoint.get("period", []))
        if "vary" in endpoint:
            names.add(endpoint["vary"])
        if endpoint.get("page_size"):
            names |= {"page", "pageSize"}
        if endpoint.get("unique_sort"):
            names.add("sort")
        if endpoint.get("modified_filter"):
            names |= {"modifiedOnOrAfter", "modifiedBefore"}
        if endpoint.get("created_filter"):
            names |= {"createdOnOrAfter", "createdBefore"}
        if endpoint.get("ids_filter"):
            names.add("ids")
        if endpoint["role"] == "export":
            names.add("from")
        # The schema of these endpoints lacks parameters that the vendor's text has.
        return names if endpoint["path"] not in NOT_DESCRIBED else set()

    def test_required_parameters_are_sent(self):
        for resource, endpoint in catalogue_endpoints():
            operation, _ = specs.operation(endpoint["method"], endpoint["path"])
            for parameter in (operation or {}).get("parameters", []):
                if not parameter.get("required") or parameter["in"] != "query" or parameter["name"] in PAGING:
                    continue
                with self.subTest(resource=resource["resource"], parameter=parameter["name"]):
                    only_with_ids = endpoint.get("ids_filter") and parameter["name"] == "ids"
                    self.assertTrue(parameter["name"] in self.sent(endpoint) - set(endpoint.get("filters", [])) or only_with_ids)

    def test_every_windowed_list_is_read_by_its_window(self):
        by_path = {e["path"]: e for _, e in catalogue_endpoints()}
        for row in specs.endpoints():
            if row["kind"] in ("list", "parent-child"):
                with self.subTest(path=row["full_path_template"]):
                    endpoint = by_path[row["full_path_template"]]
                    self.assertEqual(bool(endpoint.get("modified_filter")), row["supports_modifiedOnOrAfter"] == "y")

    def test_documented_sorts(self):
        for resource, endpoint in catalogue_endpoints():
            operation, _ = specs.operation(endpoint["method"], endpoint["path"])
            for parameter in (operation or {}).get("parameters", []):
                if parameter["name"] != "sort" or not endpoint.get("sorts"):
                    continue
                text = re.sub(r"\s+", " ", parameter.get("description", ""))
                with self.subTest(resource=resource["resource"]):
                    for field in endpoint["sorts"]:
                        self.assertRegex(text, rf"\b{field}\b")
                    if endpoint.get("unique_sort"):
                        self.assertIn(endpoint["unique_sort"][1:], endpoint["sorts"])

    def test_scopes(self):
        for resource, endpoint in catalogue_endpoints():
            operation, _ = specs.operation(endpoint["method"], endpoint["path"])
            scopes = [s for entry in (operation or {}).get("security", []) for s in entry.get("oauth", [])]
            if scopes:
                with self.subTest(resource=resource["resource"]):
                    self.assertIn(endpoint.get("scope"), scopes)

    def test_page_limits(self):
        by_path = {e["path"]: e for _, e in catalogue_endpoints()}
        for row in specs.endpoints():
            endpoint = by_path.get(row["full_path_template"])
            limit = re.match(r"\d+", row["max_page_size"])
            if endpoint and limit and row["kind"] == "list" and "max_page_size" in endpoint:
                with self.subTest(path=row["full_path_template"]):
                    self.assertLessEqual(endpoint["max_page_size"], int(limit.group()))

    def test_fields_of_keys_exist(self):
        for resource, endpoint in catalogue_endpoints():
            operation, document = specs.operation(endpoint["method"], endpoint["path"])
            row = self.row_schema(operation, document, endpoint)
            if row is None:
                continue
            for part in endpoint.get("key", resource["key"]).split("+"):
                if part[0] in "$#=":
                    continue
                with self.subTest(resource=resource["resource"], role=endpoint["role"], key=part):
                    schema = row
                    for name in part.split("."):
                        self.assertIn(name, schema.get("properties", {}))
                        schema = schema["properties"][name]
                        schema = specs.resolve(next((s for s in schema.get("oneOf", [schema]) if s.get("type") != "null"), schema), document)

    def row_schema(self, operation, document, endpoint):
        if operation is None or endpoint["shape"] not in ("page", "envelope", "array"):
            return None
        schema = operation["responses"].get("200", {}).get("content", {}).get("application/json", {}).get("schema")
        if schema is None:
            return None
        schema = specs.resolve(schema, document)
        if schema.get("type") != "array":
            schema = schema["properties"]["data"]
        row = specs.resolve(schema.get("items", {}), document)
        return row if "properties" in row else None


if __name__ == "__main__":
    unittest.main()
