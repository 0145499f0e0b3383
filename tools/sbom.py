#!/usr/bin/env python3
"""What the packages say of what is inside them.

  spdx BUILD PACKAGE VERSION   an SPDX 2.3 document: what is linked statically into the package's
                               file, what the compiler took from headers, what it needs beside it
  egg-info PYPROJECT           the metadata by which pip knows the client for Python

Usage: sbom.py spdx|egg-info ...     the text on standard output
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import time
import tomllib

FILES = {"qudag": "apps/qudag/qudag", "libqudag1": "lib/libqudag.so"}
# Debian packages of which templates and inline functions are in the file: licence, and whether the
# program alone has them.
HEADERS = {"libboost1.81-dev": ("BSL-1.0", False), "libcli11-dev": ("BSD-3-Clause", True),
           "libtomlplusplus-dev": ("MIT", False), "libfmt-dev": ("MIT", False)}
STATIC = {"openssl": "Apache-2.0", "ngtcp2": "MIT", "ipsec-mb": "BSD-3-Clause"}
# What Debian calls it, where that is not the name in .complete.
DEBIAN_SOURCE = {"ipsec-mb": "intel-ipsec-mb"}


def output(*command):
    return subprocess.run(command, check=True, text=True, capture_output=True).stdout


def cached(build, key):
    """A value of the build's CMake cache."""
    text = (build / "CMakeCache.txt").read_text()
    return re.search(rf"^{key}:\w+=(.*)$", text, re.M)[1]


def static_parts(build):
    """(name, version, licence, how) of what tools/setup_deps.sh built."""
    prefix = cached(build, "QUDAG_DEPS_PREFIX")
    if prefix in ("", "system"):
        return
    for line in (pathlib.Path(prefix) / ".complete").read_text().splitlines():
        name, _, version = line.partition(" ")
        if name in STATIC and version != "none":
            yield DEBIAN_SOURCE.get(name, name), version, STATIC[name], "STATIC_LINK"


def header_parts(package):
    for name, (licence, program_only) in HEADERS.items():
        if program_only and package != "qudag":
            continue
        source, version = output("dpkg-query", "-W", "-f=${source:Package} ${Version}", name).split()
        yield source, version, licence, "CONTAINS"


def needed_parts(file):
    """The packages of the libraries that the file is linked with."""
    seen = set()
    for line in output("ldd", file).splitlines():
        found = re.match(r"\s*(\S+) => (/\S+)", line)
        names = [found[2], os.path.realpath(found[2])] if found else []
        # Debian 12 packs below /usr/lib or /lib what both paths reach.
        names += [name.removeprefix("/usr") for name in names if name.startswith("/usr/")]
        owner = subprocess.run(["dpkg-query", "-S", *names], text=True, capture_output=True).stdout
        package = owner.split(":")[0] if owner else ""
        if package and package not in seen:
            seen.add(package)
            version = output("dpkg-query", "-W", "-f=${Version}\n", package).splitlines()[0]
            yield package, version, "NOASSERTION", "DYNAMIC_LINK"


def entry(name, version, licence):
    return {"SPDXID": "SPDXRef-" + re.sub(r"[^A-Za-z0-9.-]", "-", name), "name": name,
            "versionInfo": version, "downloadLocation": "NOASSERTION", "filesAnalyzed": False,
            "licenseConcluded": licence, "licenseDeclared": licence,
            "copyrightText": "NOASSERTION",
            "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl",
                              "referenceLocator": f"pkg:deb/debian/{name}@{version}"}]}


def spdx(build, package, version):
    file = build / FILES[package]
    parts = [*static_parts(build), *header_parts(package), *sorted(needed_parts(file))]
    own = entry(package, version, "Apache-2.0")
    made = int(os.environ.get("SOURCE_DATE_EPOCH", time.time()))
    relations = [("SPDXRef-DOCUMENT", "DESCRIBES", own["SPDXID"])]
    entries = {own["SPDXID"]: own}
    for name, its_version, licence, how in parts:
        one = entry(name, its_version, licence)
        entries.setdefault(one["SPDXID"], one)
        relations.append((own["SPDXID"], how, one["SPDXID"]))
    return {"spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT",
            "name": f"{package}-{version}",
            "documentNamespace": f"urn:qudag:sbom:{package}:{version}",
            "creationInfo": {"created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(made)),
                             "creators": ["Tool: tools/sbom.py"]},
            "packages": list(entries.values()),
            "relationships": [{"spdxElementId": a, "relationshipType": how, "relatedSpdxElement": b}
                              for a, how, b in relations]}


def egg_info(pyproject):
    project = tomllib.loads(pathlib.Path(pyproject).read_text())["project"]
    return (f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
            f"Summary: {project['description']}\nRequires-Python: {project['requires-python']}\n"
            f"License: {project['license']['text']}\n")


def main():
    if sys.argv[1:2] == ["egg-info"] and len(sys.argv) == 3:
        print(egg_info(sys.argv[2]), end="")
    elif sys.argv[1:2] == ["spdx"] and len(sys.argv) == 5:
        document = spdx(pathlib.Path(sys.argv[2]), sys.argv[3], sys.argv[4])
        print(json.dumps(document, indent=1))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
