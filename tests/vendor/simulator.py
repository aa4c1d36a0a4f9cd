"""The simulator of the program under test, and one sensible call for each readable endpoint."""

import json
import os
import re
import subprocess
import urllib.error
import urllib.parse
import urllib.request

import specs

PROGRAM = os.environ["STSYNC_PROGRAM"]
DAY = ("2026-01-05T00:00:00Z", "2026-01-06T00:00:00Z")
# What a call needs beyond its path, where the specification says no more than that it is needed.
NEEDED = {
    "fromUtc": DAY[0],
    "toUtc": DAY[1],
    "from": DAY[0],
    "to": DAY[1],
    "sessionCreatedOnOrAfter": DAY[0],
    "sessionCreatedBefore": DAY[1],
    "performanceSegmentationType": "Campaign",
    "includeTotal": "true",
    "activeOnly": "false",
    "descending": "false",
    "path": "images/some.png",
}


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


class Simulator:
    def __init__(self, *arguments):
        command = [PROGRAM, "sim", "--plain", "--rate", "0", *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        said = json.loads(self.process.stdout.readline())
        self.url = said["url"]
        app = said["apps"][0]
        self.tenant = app["tenants"][0]
        form = {"grant_type": "client_credentials"} | {k: self.tenant[k] for k in ("client_id", "client_secret")}
        request = urllib.request.Request(said["token_url"], urllib.parse.urlencode(form).encode(), method="POST")
        with urllib.request.urlopen(request) as response:
            token = json.load(response)["access_token"]
        self.headers = {"Authorization": "Bearer " + token, "ST-App-Key": app["app_key"]}
        self.opener = urllib.request.build_opener(_NoRedirect)
        self.rows = {}

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()

    def call(self, method, path, query=None, body=None):
        """Status and body."""
        url = self.url + path.replace("{tenant}", str(self.tenant["id"]))
        if query:
            url += "?" + urllib.parse.urlencode(query)
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, self.headers | {"Content-Type": "application/json"}, method=method)
        try:
            with self.opener.open(request) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def answer(self, resource, endpoint):
        """(status, body) of one call that should be answered; None where the data has no row to ask for."""
        request = self.request(resource, endpoint)
        return None if request is None else self.call(endpoint["method"], *request)

    def request(self, resource, endpoint):
        path, query, body = endpoint["path"], self.needed(endpoint), None
        places = re.findall(r"\{(\w+)\}", path.split("{tenant}")[1])
        if endpoint["role"] == "children":
            values = self.bound(resource, endpoint)
        elif endpoint["role"] == "report":
            values = self.bound_report()
        elif endpoint["role"] == "get" and places:
            values = self.named(resource, endpoint, places)
        else:
            values = {}
        if values is None:
            return None
        for name, value in values.items():
            if name in places:
                path = path.replace("{" + name + "}", urllib.parse.quote(str(value), safe=""))
            else:
                query[name] = value
        if "ids" in query and query["ids"] is None:
            query["ids"] = self.referred(resource["resource"])
        if endpoint["method"] == "POST":
            body = self.body(endpoint)
        return path, query, body

    def needed(self, endpoint):
        operation, _ = specs.operation(endpoint["method"], endpoint["path"])
        out = {}
        for p in (operation or {}).get("parameters", []):
            if p["in"] == "query" and p.get("required"):
                out[p["name"]] = NEEDED.get(p["name"], {"page": endpoint.get("first_page", 1), "pageSize": 50}.get(p["name"]))
        if endpoint["shape"] == "binary" and "{" not in endpoint["path"].split("{tenant}")[1]:
            out["path"] = NEEDED["path"]
        return out

    def body(self, endpoint):
        if endpoint["role"] == "report":
            return {"parameters": [{"name": "From", "value": "2026-01-01"}, {"name": "To", "value": "2026-01-31"}]}
        if "body" not in endpoint:
            return None
        if "{ids}" in endpoint["body"]:
            return {"contactNumbers": [self.row_of("telecom.opt-outs")["contactNumber"]]}
        return json.loads(endpoint["body"].replace("{begin}", DAY[0]).replace("{end}", DAY[1]))

    def resource(self, name):
        return next(r for r in specs.catalogue(PROGRAM) if r["resource"] == name)

    def referred(self, name):
        """The id of a row that only other resources' rows name."""
        assert name == "memberships.invoice-templates", name
        memberships = self.resource("memberships.memberships")
        rows = rows_of(self.answer(memberships, memberships["endpoints"][0])[1])
        return next(row["billingTemplateId"] for row in rows if row["billingTemplateId"] is not None)

    def row_of(self, name):
        """A row of a resource as its list, its feed or its parents' children have it."""
        if name not in self.rows:
            resource = self.resource(name)
            roles = {e["role"]: e for e in resource["endpoints"]}
            self.rows[name] = None
            for role in ("list", "children", "export"):
                if role not in roles:
                    continue
                status, body = self.answer(resource, roles[role]) or (0, b"")
                rows = rows_of(body) if status == 200 else []
                if rows:
                    self.rows[name] = rows[0]
                    break
        return self.rows[name]

    def bound(self, resource, endpoint):
        """The parameters that a parent's row gives: of a parent that has children, if any has."""
        parents = self.parents_of(endpoint)
        for values in parents:
            path = endpoint["path"]
            query = self.needed(endpoint)
            for name, value in values.items():
                if "{" + name + "}" in path:
                    path = path.replace("{" + name + "}", urllib.parse.quote(str(value), safe=""))
                else:
                    query[name] = value
            status, body = self.call(endpoint["method"], path, query)
            if status == 200 and (endpoint["shape"] in ("object", "scalar", "binary") or rows_of(body)):
                return values
        return None

    def parents_of(self, endpoint):
        parent = self.resource(endpoint["parent"])
        roles = {e["role"]: e for e in parent["endpoints"]}
        if "list" in roles:
            status, body = self.answer(parent, roles["list"])
            assert status == 200, (parent["resource"], status, body)
            outer, rows = {}, rows_of(body)
        elif "children" in roles:
            for outer in self.parents_of(roles["children"]):
                yield from self.children_as_parents(endpoint, roles["children"], outer)
            return
        else:
            outer, rows = {}, rows_of(self.answer(parent, roles["export"])[1])
        for row in rows:
            yield bind(endpoint, row, outer)

    def children_as_parents(self, endpoint, children, outer):
        path = children["path"]
        for name, value in outer.items():
            path = path.replace("{" + name + "}", urllib.parse.quote(str(value), safe=""))
        status, body = self.call("GET", path)
        assert status == 200, (path, status, body)
        for row in rows_of(body):
            yield bind(endpoint, row, outer)

    def bound_report(self):
        definition = self.resource("reporting.report-definitions")
        return self.bound(definition, definition["endpoints"][0])

    def named(self, resource, endpoint, places):
        if resource["resource"] == "reporting.dynamic-value-sets":
            return {"dynamicSetId": "business-units"}
        if resource["resource"] == "crm.bookings-of-provider":
            return {"booking_provider": self.row_of("crm.bookings")["bookingProviderId"]}
        roles = {e["role"]: e for e in resource["endpoints"]}
        if len(places) > 1 and "children" in roles:
            values = self.bound(resource, roles["children"])
            status, body = self.call("GET", fill(roles["children"]["path"], values))
            row = rows_of(body)[0]
            return values | {places[-1]: row.get("id", row.get("name"))}
        if len(places) > 1:
            row = self.row_of("crm.bookings")
            return {places[0]: row["bookingProviderId"], places[1]: row["id"]}
        row = self.row_of(resource["resource"])
        if row is None:
            return {places[0]: 4711}
        name = places[0]
        return {name: row["email"] if name == "email" else row.get("leadCall", row)["id"]}


def fill(path, values):
    for name, value in values.items():
        path = path.replace("{" + name + "}", urllib.parse.quote(str(value), safe=""))
    return path


def bind(endpoint, row, outer):
    out = {}
    for parameter, field in endpoint["bind"].items():
        value = row
        if field.startswith("$"):
            value = outer[field[1:]]
        else:
            for part in field.split("."):
                value = value[part]
        out[parameter] = value
    return out


def rows_of(body):
    document = json.loads(body)
    rows = document.get("data", []) if isinstance(document, dict) else document
    return rows if isinstance(rows, list) else []
