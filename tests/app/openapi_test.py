#!/usr/bin/env python3
"""docs/reference/openapi.json against a running node: every route, method, parameter and field of
the one exists in the other.

Usage: openapi_test.py QUDAG OPENAPI REQUEST_CC PAGES_CC
"""

import contextlib
import json
import re
import sys
import unittest

from live_node import Connection, live_node

METHODS = ("get", "post", "put", "delete", "patch")
GOOD = {"to": None, "priority": "low", "ttl": "1s", "relays": "0", "isolation": "7", "channel": "7",
        "sign": "true", "progress": "false", "format": "json", "count": "1", "acknowledge": "true",
        "token": "0" * 32, "answer": "again", "delay": "1s", "grace": "1s", "if_away": "wait", "listen": "127.0.0.1:0",
        "name": "x", "text": "a" * 52, "hidden": "true", "keepers": "1"}
SERVICE = {"/v1/services": "x=127.0.0.1:1", "/v1/forwards": "x", "/v1/pipes": "x", "/v1/pipes/stream": "x"}


class OpenApi(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with open(OPENAPI) as file:
            cls.document = json.load(file)
        cls.running = live_node(PROGRAM)
        cls.node = cls.running.__enter__()
        cls.to = {"/v1/messages": "a" * 52, "/v1/replies": "0" * 32, "/v1/pipes": "a" * 52,
                  "/v1/pipes/stream": "a" * 52, "/v1/forwards": "a" * 52}  # well-formed, of nobody

    @classmethod
    def tearDownClass(cls):
        cls.running.__exit__(None, None, None)

    def operations(self):
        for path, methods in self.document["paths"].items():
            for method, operation in methods.items():
                yield path, method, operation

    def at(self, path):
        """A path with a well-formed id, of nobody."""
        return path.replace("{id}", "0" * 32).replace("{name}", "nobody")

    def query(self, path, operation, leave_out=()):
        pairs = []
        for parameter in operation.get("parameters", []):
            name = parameter["name"]
            if name not in leave_out and parameter["in"] == "query":
                given = {"to": self.to, "service": SERVICE}.get(name)
                pairs.append(f"{name}={given[path] if given else GOOD[name]}")
        return "?" + "&".join(pairs) if pairs else ""

    def fields(self, value, schema, where):
        """Every field of the answer is in the schema, and every required one of it in the answer."""
        if "$ref" in schema:
            schema = self.document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
        if isinstance(value, dict) and "properties" in schema:
            self.assertLessEqual(set(value), set(schema["properties"]), where)
            self.assertLessEqual(set(schema["required"]), set(value), where)
            for name, inner in value.items():
                self.fields(inner, schema["properties"][name], f"{where}.{name}")
        elif isinstance(value, list):
            for inner in value:
                self.fields(inner, schema["items"], where)
        else:
            types = {"string": str, "integer": int, "number": (int, float), "boolean": bool,
                     "null": type(None), "object": dict}
            wanted = schema.get("type", "object")
            wanted = wanted if isinstance(wanted, list) else [wanted]
            self.assertTrue(any(isinstance(value, types[name]) for name in wanted), f"{where}: {value!r}")
            if "pattern" in schema and value is not None:
                self.assertRegex(value, schema["pattern"], where)
            if "enum" in schema:
                self.assertIn(value, schema["enum"], where)

    def test_every_route_has_exactly_its_methods(self):
        for path, methods in self.document["paths"].items():
            for method in METHODS:
                if method in methods and method == "get" and path == "/v1/messages":
                    continue  # would wait for a message; its parameters are tested below
                if methods.get(method, {}).get("x-ends-the-node"):
                    continue
                status, _, text = self.node.ask(method.upper(), self.at(path), body=b"" if method != "get" else None)
                if method in methods:
                    self.assertNotEqual(status, 405, f"{method} {path}: {text}")
                    self.assertNotIn("no such route", text, f"{method} {path}")
                else:
                    self.assertEqual(status, 405, f"{method} {path}: {text}")

    def test_pages_have_the_fields(self):
        for path, method, operation in self.operations():
            content = operation["responses"].get("200", {}).get("content", {})
            if method != "get" or "parameters" in operation or "application/json" not in content:
                continue
            status, kind, text = self.node.ask("GET", path)
            self.assertEqual((status, kind.split(";")[0]), (200, "application/json"), path)
            self.fields(json.loads(text), content["application/json"]["schema"], path)

    def test_every_parameter_is_taken(self):
        for path, method, operation in self.operations():
            if method != "post" or operation.get("x-lasting") or operation.get("x-ends-the-node"):
                continue
            # What is not understood has no outcome, and is no thing that there is not.
            body = b"x" if "requestBody" in operation else b""
            status, _, text = self.node.ask("POST", path + self.query(path, operation), body=body)
            if "204" in operation["responses"] and "404" not in operation["responses"]:
                self.assertEqual((status, text), (204, ""), path)
                continue
            good = operation["responses"].get("200", {"content": {}})["content"].get("application/json")
            schema = good["schema"]["$ref"].rsplit("/", 1)[1] if good else "ErrorAnswer"
            self.fields(json.loads(text), {"$ref": f"#/components/schemas/{schema}"}, path)
            if schema == "ErrorAnswer":
                self.assertEqual(status, 404, text)

    def test_progress_is_lines_of_their_kinds(self):
        for path, method, operation in self.operations():
            content = operation["responses"].get("200", {}).get("content", {})
            if method != "post" or "application/x-ndjson" not in content or operation.get("x-lasting"):
                continue
            query = self.query(path, operation).replace("progress=false", "progress=true")
            status, kind, text = self.node.ask("POST", path + query, body=b"x")
            self.assertEqual((status, kind), (200, "application/x-ndjson"), path)
            kinds = [one["$ref"].rsplit("/", 1)[1] for one in content["application/x-ndjson"]["schema"]["oneOf"]]
            lines = [json.loads(line) for line in text.splitlines()]
            for line in lines:
                name = "Outcome" if "outcome" in line else "Progress" if "progress" in line else "Accepted"
                self.assertIn(name, kinds)
                self.fields(line, {"$ref": f"#/components/schemas/{name}"}, path)
            self.assertIn("outcome", lines[-1])

    def test_what_lasts_says_what_it_is(self):
        for path, method, operation in self.operations():
            lines = operation["responses"].get("200", {}).get("content", {}).get("application/x-ndjson")
            if not operation.get("x-lasting") or lines is None:
                continue
            with contextlib.closing(Connection(self.node.path)) as connection:
                connection.request(method.upper(), path + self.query(path, operation))
                answer = connection.getresponse()
                self.assertEqual(answer.status, 200, path)
                self.fields(json.loads(answer.readline()), lines["schema"], path)

    def test_no_other_parameter_is_taken(self):
        for path, method, operation in self.operations():
            query = self.query(path, operation)
            status, _, text = self.node.ask(method.upper(), f"{self.at(path)}{query}{'&' if query else '?'}other=1",
                                            body=b"" if method == "post" else None)
            self.assertEqual(status, 400, f"{method} {path}: {text}")
            self.fields(json.loads(text), {"$ref": "#/components/schemas/ErrorAnswer"}, path)

    def test_required_parameters_are_required(self):
        for path, method, operation in self.operations():
            for parameter in operation.get("parameters", []):
                if parameter["required"] and parameter["in"] == "query":
                    query = self.query(path, operation, leave_out=(parameter["name"],))
                    status = self.node.ask(method.upper(), path + query, body=b"")[0]
                    self.assertEqual(status, 400, f"{path} without {parameter['name']}")

    def test_bounds_of_numbers_are_those_of_the_server(self):
        for path, method, operation in self.operations():
            for parameter in operation.get("parameters", []):
                schema = parameter["schema"]
                wrong = [schema[key] + by for key, by in (("minimum", -1), ("maximum", 1)) if key in schema]
                if "enum" in schema:
                    wrong.append("other")
                for value in wrong:
                    query = self.query(path, operation, leave_out=(parameter["name"],))
                    target = f"{path}{query}{'&' if query else '?'}{parameter['name']}={value}"
                    status = self.node.ask(method.upper(), target, body=b"" if method == "post" else None)[0]
                    self.assertEqual(status, 400, target)

    def test_ids_in_paths(self):
        for path, method, operation in self.operations():
            if "{id}" not in path:
                continue
            status, _, text = self.node.ask(method.upper(), self.at(path))
            self.assertEqual(status, 404, text)
            self.fields(json.loads(text), {"$ref": "#/components/schemas/ErrorAnswer"}, path)
            self.assertEqual(self.node.ask(method.upper(), path.replace("{id}", "0" * 31))[0], 400)

    def test_metrics_and_stream(self):
        status, kind, _ = self.node.ask("GET", "/metrics")
        self.assertEqual((status, kind.split(";")[0]), (200, "text/plain"))
        for target in ("/v1/stream", "/v1/stream?format=json", f"/v1/pipes/stream?to={'a' * 52}&service=x"):
            self.assertEqual(self.node.ask("GET", target)[0], 426)

    def test_no_route_is_missing(self):
        """The server's own tables of routes and pages, and its answer to none of them."""
        self.assertEqual(self.node.ask("GET", "/v1/nothing")[0], 404)
        with open(REQUEST_SOURCE) as file:
            routes = re.findall(r'{"([A-Z]+)", "(/[\w/{}]+)"', file.read())
        with open(PAGES_SOURCE) as file:
            pages = re.findall(r'{"(/[\w/]+)", "', file.read())
        self.assertTrue(pages)
        routes += [("GET", path) for path in pages]
        self.assertEqual(sorted((method.lower(), path) for method, path in routes),
                         sorted((method, path) for path, method, _ in self.operations()))


if __name__ == "__main__":
    PROGRAM, OPENAPI, REQUEST_SOURCE, PAGES_SOURCE = sys.argv[1:5]
    del sys.argv[1:]
    unittest.main()
