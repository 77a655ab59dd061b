"""Writes the components of an executable, as CycloneDX 1.5.

usage: go version -m -json FILE | sbom.py VERSION PYTHON static|shared|none SECONDS >FILE.cdx.json

Go has stored the modules and their versions in the executable. SECONDS is the time of the description, in seconds since
1970. The description depends only on the executable and these arguments, so it is reproducible.
"""

import json
import sys
import time

version, python, linked, seconds = sys.argv[1:]
built = json.load(sys.stdin)


def component(name, number, kind="golang", **more):
    purl = "pkg:%s/%s@%s" % (kind, name, number)
    return {"type": "library", "name": name, "version": number, "purl": purl, "bom-ref": purl, **more}


libraries = [component("std", built["GoVersion"].lstrip("go"))]
libraries += [component(m["Path"], m["Version"]) for m in (m.get("Replace", m) for m in built["Deps"])]
if linked != "none":
    libraries += [component("python", python, "generic", properties=[{"name": "fapws:linked", "value": linked}])]
whole = component("fapws", version, "generic", type="application", licenses=[{"license": {"id": "BSD-3-Clause"}}])
made = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(int(seconds)))
bom = {
    "bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
    "metadata": {"timestamp": made, "component": whole},
    "components": libraries,
    "dependencies": [{"ref": whole["bom-ref"], "dependsOn": [library["bom-ref"] for library in libraries]}],
}
json.dump(bom, sys.stdout, indent=1)
print()
