"""What the chart renders, where it matters. Run by scripts/test, with the Python that scripts/setup --test made; takes seconds."""

import copy
import functools
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHART = ROOT / "helm/stsync"
HELM = pathlib.Path(sys.prefix) / "bin/helm"
PROGRAM = ROOT / "build/dev/bin/stsync"
CASES = {"default": None} | {file.stem: file for file in sorted((CHART / "ci").glob("*.yaml"))}
SECRETS = "/run/secrets/"
AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"


class StrictLoader(yaml.SafeLoader):
    """Refuses a key that stands twice, as Kubernetes does."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        if len(keys) != len(set(map(str, keys))):
            raise yaml.constructor.ConstructorError(None, None, f"a key stands twice in {keys}", node.start_mark)
        return super().construct_mapping(node, deep)


def template(*arguments, values=None, chart=CHART):
    """helm template: the finished process."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(values or {}, file)
        file.flush()
        command = [HELM, "template", "check", chart, "--namespace", "etl", "--kube-version", "1.31.0", *arguments, "--values", file.name]
        return subprocess.run(command, capture_output=True, text=True, check=False)


def objects_of(done):
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    return [object for object in yaml.load_all(done.stdout, Loader=StrictLoader) if object]


@functools.cache
def rendered(case):
    return objects_of(template(*(["--values", CASES[case]] if CASES[case] else [])))


def render(case):
    """The objects of a case of ci/."""
    return copy.deepcopy(rendered(case))


def of_each_case(test):
    """The test with the name and the objects of every case."""

    @functools.wraps(test)
    def run(self):
        for case in CASES:
            with self.subTest(case):
                test(self, case, render(case))

    return run


def of_kind(objects, *kinds):
    return [object for object in objects if object["kind"] in kinds]


def named(objects, kind, name):
    return next(object for object in of_kind(objects, kind) if object["metadata"]["name"] == name)


def labels_of(workload):
    return workload["spec"]["template"]["metadata"]["labels"]


def pod_of(workload):
    return workload["spec"]["template"]["spec"]


def selects(selector, labels):
    """A selector of a Service, or matchLabels and matchExpressions."""
    if not any(key in selector for key in ("matchLabels", "matchExpressions")):
        selector = {"matchLabels": selector}
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items()) and all(
        e["operator"] == "In" and labels.get(e["key"]) in e["values"] for e in selector.get("matchExpressions", [])
    )


def selectors_of(object):
    spec = object["spec"]
    yield spec["selector"]
    if "template" in spec:
        for constraint in pod_of(object)["topologySpreadConstraints"]:
            yield constraint["labelSelector"]


def texts_in(value, path=""):
    """Every text of a tree with the names that lead to it."""
    if isinstance(value, dict):
        for key, member in value.items():
            yield from texts_in(member, f"{path}.{key}")
    elif isinstance(value, list):
        for member in value:
            yield from texts_in(member, path)
    else:
        yield path, str(value)


class Rendered(unittest.TestCase):
    """What holds of every case of ci/, and of the defaults."""

    @of_each_case
    def test_what_selects_pods_selects_those_of_its_own_component(self, _, objects):
        workloads = of_kind(objects, "StatefulSet", "Deployment")
        for object in of_kind(objects, "StatefulSet", "Deployment", "Service", "PodDisruptionBudget"):
            component = object["metadata"]["labels"]["app.kubernetes.io/component"]
            for selector in selectors_of(object):
                found = [labels_of(w)["app.kubernetes.io/component"] for w in workloads if selects(selector, labels_of(w))]
                self.assertEqual(found, [component], object["metadata"]["name"])

    @of_each_case
    def test_ports_that_are_named_exist(self, _, objects):
        for service in of_kind(objects, "Service"):
            workload = next(w for w in of_kind(objects, "StatefulSet", "Deployment") if selects(service["spec"]["selector"], labels_of(w)))
            names = [port["name"] for port in pod_of(workload)["containers"][0]["ports"]]
            for port in service["spec"]["ports"]:
                self.assertIn(port["targetPort"], names)
        for ingress in of_kind(objects, "Ingress"):
            for rule in ingress["spec"]["rules"]:
                backend = rule["http"]["paths"][0]["backend"]["service"]
                service = named(objects, "Service", backend["name"])
                self.assertIn(backend["port"]["name"], [port["name"] for port in service["spec"]["ports"]])

    @of_each_case
    def test_probes_ask_the_port_where_the_configuration_serves_them(self, _, objects):
        config = yaml.safe_load(of_kind(objects, "ConfigMap")[0]["data"]["stsync.yaml"])
        for workload in of_kind(objects, "StatefulSet", "Deployment"):
            container = pod_of(workload)["containers"][0]
            ports = {port["name"]: port["containerPort"] for port in container["ports"]}
            self.assertEqual(config["telemetry"]["listen"], f"0.0.0.0:{ports['telemetry']}")
            if "webhook" in ports:
                self.assertEqual(config["webhook"]["listen"], f"0.0.0.0:{ports['webhook']}")
            for probe, path in (("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")):
                self.assertEqual(container[probe]["httpGet"], {"path": path, "port": "telemetry"})

    @of_each_case
    def test_pods_are_restricted_and_keep_nothing(self, _, objects):
        for workload in of_kind(objects, "StatefulSet", "Deployment"):
            self.assertNotIn("volumeClaimTemplates", workload["spec"])
            pod = pod_of(workload)
            self.assertIs(pod["automountServiceAccountToken"], False)
            self.assertIs(pod["securityContext"]["runAsNonRoot"], True)
            self.assertEqual(pod["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"})
            (container,) = pod["containers"]
            self.assertEqual(
                container["securityContext"],
                {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}},
            )
            self.assertIn("memory", container["resources"]["limits"])
            self.assertEqual({v["name"] for v in pod["volumes"]}, {m["name"] for m in container["volumeMounts"]})
            self.assertFalse([v for v in pod["volumes"] if "persistentVolumeClaim" in v])

    @of_each_case
    def test_the_configuration_names_files_of_secrets_and_holds_none(self, _, objects):
        secret = re.compile(r"\.(app_key|client_id|client_secret|hash_key|[a-z._]*password|.*secret)$")
        self.assertFalse(of_kind(objects, "Secret"))
        config = yaml.safe_load(of_kind(objects, "ConfigMap")[0]["data"]["stsync.yaml"])
        self.assertEqual([path for path, _ in texts_in(config) if secret.search(path)], [])

    @of_each_case
    def test_the_program_takes_the_configuration_with_the_files_that_each_pod_mounts(self, case, objects):
        if case == "default":
            return  # it has no app
        for workload in of_kind(objects, "StatefulSet", "Deployment"):
            done = check_config(objects, workload)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("1 apps, 1 tenants", done.stderr)

    def test_the_program_misses_a_file_that_a_pod_does_not_mount(self):
        for case in ("full-values", "webhook-values"):
            objects = render(case)
            for workload in of_kind(objects, "StatefulSet", "Deployment"):
                mounts = pod_of(workload)["containers"][0]["volumeMounts"]
                mounts[:] = [mount for mount in mounts if not mount["mountPath"].startswith(SECRETS)]
                done = check_config(objects, workload)
                self.assertEqual(done.returncode, 78)
                self.assertIn("cannot read", done.stderr)

    @of_each_case
    def test_every_pod_is_scraped_once_and_the_public_service_never(self, _, objects):
        for monitor in of_kind(objects, "ServiceMonitor"):
            (endpoint,) = monitor["spec"]["endpoints"]
            services = [s for s in of_kind(objects, "Service") if selects(monitor["spec"]["selector"], s["metadata"]["labels"])]
            scraped = [s for s in services if endpoint["port"] in [port["name"] for port in s["spec"]["ports"]]]
            for workload in of_kind(objects, "StatefulSet", "Deployment"):
                self.assertEqual(len([s for s in scraped if selects(s["spec"]["selector"], labels_of(workload))]), 1)
            self.assertEqual({s["spec"]["clusterIP"] for s in scraped}, {"None"})


def check_config(objects, workload):
    """`stsync check` as in the container: its variables, and a file for each that it names under a mount of a Secret or ConfigMap."""
    container = pod_of(workload)["containers"][0]
    text = of_kind(objects, "ConfigMap")[0]["data"]["stsync.yaml"]
    env = {v["name"]: v["value"] for v in container.get("env", []) if "value" in v}
    with tempfile.TemporaryDirectory() as folder:
        folders = [m["mountPath"] for m in container["volumeMounts"] if m["name"] not in ("config", "spool")]
        for i, file in enumerate(sorted(set(re.findall(r"/(?:run/secrets|etc/stsync)/[\w./-]+", "\n".join([text, *env.values()]))))):
            if any(file.startswith(f + "/") for f in folders):
                path = pathlib.Path(folder + file)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(pathlib.Path(AUTHORITIES).read_text() if path.name == "ca.crt" else f"invented {i}\n")

        def moved(value):
            return re.sub(r"(?<![\w/])/(run/secrets|etc/stsync)/", lambda m: f"{folder}/{m.group(1)}/", value)

        config = pathlib.Path(folder) / "stsync.yaml"
        config.write_text(moved(text))
        env = {"PATH": os.environ["PATH"], **{name: moved(value) for name, value in env.items()}}
        return subprocess.run([PROGRAM, "check", "--config", config], env=env, capture_output=True, text=True, check=False)


class Webhook(unittest.TestCase):
    def test_the_ingress_is_not_there_unless_asked_for(self):
        for case in ("default", "full-values"):
            names = [object["metadata"]["name"] for object in render(case)]
            self.assertEqual([name for name in names if "webhook" in name], [])

    def test_an_update_takes_no_pod_away_before_another_serves(self):
        (deployment,) = of_kind(render("webhook-values"), "Deployment")
        self.assertEqual(deployment["spec"]["replicas"], 3)
        self.assertEqual(deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"], 0)
        self.assertEqual(pod_of(deployment)["containers"][0]["args"][0], "webhook")
        self.assertEqual(pod_of(deployment)["containers"][0]["lifecycle"], {"preStop": {"sleep": {"seconds": 5}}})

    def test_an_older_kubernetes_sleeps_by_a_command(self):
        objects = objects_of(template("--values", CASES["webhook-values"], "--kube-version", "1.29.0"))
        (deployment,) = of_kind(objects, "Deployment")
        self.assertEqual(pod_of(deployment)["containers"][0]["lifecycle"], {"preStop": {"exec": {"command": ["sleep", "5"]}}})

    def test_the_certificate_is_mounted_in_pods_of_the_ingress_alone(self):
        objects = render("webhook-values")
        (deployment,) = of_kind(objects, "Deployment")
        (workers,) = of_kind(objects, "StatefulSet")
        mount = {"name": "tls", "mountPath": "/run/secrets/stsync-webhook-tls", "readOnly": True}
        self.assertIn(mount, pod_of(deployment)["containers"][0]["volumeMounts"])
        env = {v["name"]: v["value"] for v in pod_of(deployment)["containers"][0]["env"]}
        self.assertEqual(env["STSYNC_WEBHOOK__TLS__CERTIFICATE_FILE"], mount["mountPath"] + "/tls.crt")
        self.assertEqual(env["STSYNC_WEBHOOK__TLS__KEY_FILE"], mount["mountPath"] + "/tls.key")
        self.assertNotIn("tls", str(pod_of(workers)))

    def test_the_service_speaks_what_the_pods_speak(self):
        service = named(render("webhook-values"), "Service", "check-stsync-webhook")
        self.assertEqual(service["spec"]["ports"], [{"name": "https", "port": 443, "targetPort": "webhook"}])
        service = named(objects_of(template("--values", CASES["webhook-values"], values=PLAIN)), "Service", "check-stsync-webhook")
        self.assertEqual(service["spec"]["ports"], [{"name": "http", "port": 80, "targetPort": "webhook"}])
        service = named(render("webhook-public-values"), "Service", "check-stsync-webhook")
        self.assertEqual((service["spec"]["type"], service["spec"]["externalTrafficPolicy"]), ("LoadBalancer", "Local"))

    def test_a_long_name_still_fits(self):
        for object in objects_of(template("--values", CASES["webhook-values"], values={"fullnameOverride": "n" * 60})):
            self.assertLessEqual(len(object["metadata"]["name"]), 63)


PLAIN = {"webhook": {"tls": {"secretName": ""}, "ingress": {"backendProtocol": "HTTP", "annotations": None}}}
NO_SECRET_FILES = {"config": {"apps": [{"name": "acme", "app_key_file": "/run/secrets/stsync/acme/app_key", "tenants": []}]}}
REFUSED = {  # further values beside ci/webhook-values.yaml, and what the message names
    "no app has a secret": (NO_SECRET_FILES, "no app in config.apps has webhook_secret_files"),
    "two certificates": ({"config": {"webhook": {"tls": {"certificate_file": "a", "key_file": "b"}}}}, "both name a certificate"),
    "a controller that speaks HTTP to TLS": ({"webhook": {"ingress": {"backendProtocol": "HTTP"}}}, "backendProtocol: HTTPS"),
    "a controller that speaks TLS to HTTP": ({"webhook": {"tls": {"secretName": ""}}}, "the pods speak HTTP"),
    "an Ingress without a host": ({"webhook": {"ingress": {"hosts": [], "tls": []}}}, "webhook.ingress.hosts"),
    "a certificate of another host": ({"webhook": {"ingress": {"hosts": ["b.example.com"]}}}, "is not one of webhook.ingress.hosts"),
    "an Ingress to nothing": ({"webhook": {"enabled": False}}, "set webhook.enabled too"),
    "one port for both": ({"telemetry": {"port": 9443}}, "is telemetry.port too"),
    "killed while draining": ({"webhook": {"terminationGracePeriodSeconds": 35}}, "webhook.terminationGracePeriodSeconds: 35"),
    "workers killed while draining": ({"config": {"worker": {"drain_timeout": "2m"}}}, "would kill workers that end orderly"),
    "a policy that a ClusterIP has not": ({"webhook": {"service": {"externalTrafficPolicy": "Local"}}}, "type ClusterIP has none"),
    "a key in the ConfigMap": ({"config": {"apps": [{"name": "acme", "app_key": "k"}]}}, "config.apps[].app_key"),
    "a client in the ConfigMap": (
        {"config": {"apps": [{"name": "acme", "tenants": [{"id": 1, "client_secret": "k"}]}]}},
        "config.apps[].tenants[].client_id and client_secret",
    ),
    "a password in the ConfigMap": ({"config": {"kafka": {"sasl": {"password": "k"}}}}, "config.kafka.sasl.password"),
    "a password among properties": ({"config": {"kafka": {"properties": {"ssl.key.password": "k"}}}}, "config.kafka.properties.ssl.key"),
    "a password of Redis in the ConfigMap": ({"config": {"limits": {"password": "k"}}}, "config.limits.password"),
    "a hash key in the ConfigMap": ({"config": {"catalogue": {"hash_key": "k"}}}, "config.catalogue.hash_key"),
    "a listener that is the chart's": ({"config": {"webhook": {"listen": "0.0.0.0:1"}}}, "config.webhook.listen"),
    "labels that selectors go by": ({"podLabels": {"app.kubernetes.io/component": "worker"}}, "podLabels"),
    "an alert that there is not": ({"prometheusRule": {"disabled": ["StsyncNothing"]}}, "there is no alert StsyncNothing"),
    "a mistyped value": ({"webhook": {"replica": 2}}, "replica"),
    "a host that is a URL": ({"webhook": {"ingress": {"hosts": ["https://hooks.example.com"]}}}, "webhook.ingress.hosts.0"),
}


class Refused(unittest.TestCase):
    def test_what_could_not_work_fails_the_template_and_names_the_value(self):
        for name, (values, message) in REFUSED.items():
            with self.subTest(name):
                done = template("--values", CASES["webhook-values"], values=values)
                self.assertNotEqual(done.returncode, 0)
                self.assertIn(message, done.stderr)
                self.assertEqual(done.stdout, "")


class Alerts(unittest.TestCase):
    rules = [rule for group in yaml.safe_load((CHART / "files/alerts/stsync.yaml").read_text())["groups"] for rule in group["rules"]]

    def test_each_says_what_to_do_and_where_to_read_on(self):
        self.assertEqual(len({rule["alert"] for rule in self.rules}), len(self.rules))
        for rule in self.rules:
            with self.subTest(rule["alert"]):
                self.assertIn(rule["labels"]["severity"], ("warning", "critical"))
                self.assertEqual(set(rule["annotations"]), {"summary", "description", "runbook"})
                self.assertTrue((ROOT / rule["annotations"]["runbook"]).is_file())
                self.assertGreater(len(rule["annotations"]["description"]), 100)

    def test_each_has_a_test_that_it_fires(self):
        tests = yaml.safe_load((ROOT / "tests/deploy/alerts_test.yaml").read_text())["tests"]
        fire = {t["expr"] for test in tests for t in test["promql_expr_test"] if t["exp_samples"]}
        for rule in self.rules:
            self.assertTrue([e for e in fire if f'alertname="{rule["alert"]}",alertstate="firing"' in e], rule["alert"])

    def test_a_label_that_a_text_shows_is_one_that_the_alert_has(self):
        for rule in self.rules:
            with self.subTest(rule["alert"]):
                shown = re.findall(r"\$labels\.(\w+)", str(rule["annotations"]))
                grouped = re.findall(r"\bby \(([^)]*)\)", rule["expr"])
                have = {name.strip() for names in grouped for name in names.split(",")} if grouped else {"job", "instance", "namespace", "pod"}
                self.assertLessEqual(set(shown), have)

    def test_the_chart_installs_all_but_those_that_are_left_out(self):
        (rule,) = of_kind(render("webhook-values"), "PrometheusRule")
        self.assertEqual(rule["metadata"]["labels"]["release"], "prometheus")
        installed = [r for group in rule["spec"]["groups"] for r in group["rules"]]
        self.assertEqual(installed, [r for r in self.rules if r["alert"] != "StsyncLimitStoreAway"])
        self.assertFalse(of_kind(render("default"), "PrometheusRule"))

    def test_the_monitor_gives_jobs_the_names_that_alerts_go_by(self):
        (monitor,) = of_kind(render("webhook-values"), "ServiceMonitor")
        (relabeling,) = monitor["spec"]["endpoints"][0]["relabelings"]
        self.assertEqual((relabeling["targetLabel"], relabeling["replacement"]), ("job", "stsync-$1"))
        jobs = {name for rule in self.rules for names in re.findall(r'job=~?"([^"]+)"', rule["expr"]) for name in names.split("|")}
        self.assertEqual(jobs, {"stsync-(worker", "webhook)", "stsync-worker", "stsync-webhook"})


class Dashboards(unittest.TestCase):
    files = {file.name: json.loads(file.read_text()) for file in sorted((CHART / "files/dashboards").glob("*.json"))}

    def panels(self):
        for name, dashboard in self.files.items():
            for panel in dashboard["panels"]:
                if panel["type"] != "row":
                    yield f"{name}: {panel['title']}", panel

    def test_each_has_a_name_of_its_own_and_the_variables_that_it_uses(self):
        self.assertEqual(len({d["uid"] for d in self.files.values()}), len(self.files))
        for name, dashboard in self.files.items():
            with self.subTest(name):
                self.assertEqual(len({p["id"] for p in dashboard["panels"]}), len(dashboard["panels"]))
                titles = [p["title"] for p in dashboard["panels"]]
                self.assertEqual(len(set(titles)), len(titles))
                variables = {v["name"] for v in dashboard["templating"]["list"]}
                used = set(re.findall(r"\$\{?([a-z]\w*)", json.dumps(dashboard["panels"])))
                self.assertEqual(used, variables)

    def test_each_panel_is_described_and_has_a_unit(self):
        for name, panel in self.panels():
            with self.subTest(name):
                self.assertTrue(panel["description"])
                self.assertTrue(panel["fieldConfig"]["defaults"]["unit"])
                for target in panel["targets"]:
                    self.assertEqual(target["datasource"], {"type": "prometheus", "uid": "${datasource}"})

    def test_panels_lie_beside_each_other(self):
        for name, dashboard in self.files.items():
            taken = set()
            for panel in dashboard["panels"]:
                at = panel["gridPos"]
                cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
                self.assertFalse(cells & taken, f"{name}: {panel['title']}")
                self.assertLessEqual(at["x"] + at["w"], 24)
                taken |= cells

    def test_every_expression_is_one(self):
        rules = []
        for _, panel in self.panels():
            for target in panel["targets"]:
                expression = target["expr"].replace("$app", ".*").replace("$__rate_interval", "1m").replace("$__range", "1h")
                rules.append({"record": f"panel:{len(rules)}", "expr": expression})
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}, file)
            file.flush()
            done = subprocess.run(["promtool", "check", "rules", "--lint=none", file.name], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(f"{len(rules)} rules found", done.stdout)

    def test_the_chart_installs_them_as_they_are(self):
        for case in ("full-values", "webhook-values"):
            data = named(render(case), "ConfigMap", "check-stsync-dashboards")["data"]
            self.assertEqual({name: json.loads(text) for name, text in data.items()}, {"stsync-" + n: d for n, d in self.files.items()})


if __name__ == "__main__":
    unittest.main()
