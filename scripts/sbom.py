"""Writes what an executable is made of, as CycloneDX 1.5.

usage: go version -m FILE | sbom.py VERSION PYTHON static|shared|none SECONDS >FILE.cdx.json

The modules and their versions are those that Go has stored in the executable. The result depends on nothing else, so equal
executables have equal descriptions.
"""

import datetime
import json
import sys


def components(lines):
    """Yields (name, version) of Go and of each module in the lines of `go version -m`."""
    for line in lines:
        fields = line.split()
        if fields[:1] == ["dep"]:
            name, version = fields[1:3]
        elif fields[:1] == ["=>"]:  # what replaces the module before
            name, version = fields[1:3]
        elif len(fields) == 2 and fields[1].startswith("go1."):
            name, version = "std", fields[1][2:]
        else:
            continue
        yield name, version


def bom(lines, version, python, linked, seconds):
    """Returns the description as a dict; seconds since 1970 are its time."""
    made = datetime.datetime.fromtimestamp(int(seconds), datetime.timezone.utc)
    libraries = [
        {"type": "library", "name": name, "version": number, "purl": "pkg:golang/%s@%s" % (name, number),
         "bom-ref": "pkg:golang/%s@%s" % (name, number)}
        for name, number in components(lines)
    ]
    if linked != "none":
        purl = "pkg:generic/python@" + python
        libraries.append({"type": "library", "name": "libpython", "version": python, "purl": purl, "bom-ref": purl,
                          "properties": [{"name": "fapws:linked", "value": linked}]})
    whole = "pkg:generic/fapws@" + version
    return {
        "bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
        "metadata": {
            "timestamp": made.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": {"type": "application", "name": "fapws", "version": version, "purl": whole, "bom-ref": whole,
                          "licenses": [{"license": {"id": "BSD-3-Clause"}}]},
        },
        "components": libraries,
        "dependencies": [{"ref": whole, "dependsOn": [library["bom-ref"] for library in libraries]}],
    }


if __name__ == "__main__":
    json.dump(bom(sys.stdin, *sys.argv[1:]), sys.stdout, indent=1)
    print()
