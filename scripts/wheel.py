"""Makes the wheel of fapws, and is the build backend of pyproject.toml (PEP 517): `pip install .` calls it.

As a program: wheel.py LIBRARY FOLDER VERSION TAG. TAG is that of the file's name without the platform, such as cp311-cp311.
It writes contrib's packages and the library into a wheel in FOLDER, and prints its name. The same files give the same bytes.
"""

import base64
import hashlib
import os
import pathlib
import re
import subprocess
import sys
import time
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent

# Libraries of every glibc, which manylinux allows. Python brings the others.
LIBRARIES = {"libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1", "libresolv.so.2"}
OLDEST_GLIBC = (2, 17)
MACHINES = {"Advanced Micro Devices X86-64": "x86_64", "AArch64": "aarch64", "ARM": "armv7l", "Intel 80386": "i686"}

def platform_tag(library):
    """The platform of a wheel with that library: manylinux with the newest glibc that one of its symbols needs (PEP 600)."""
    command = ["readelf", "-W", "--file-header", "--dynamic", "--dyn-syms", str(library)]
    elf = subprocess.run(command, check=True, stdout=subprocess.PIPE, universal_newlines=True).stdout
    strange = sorted(name for name in set(re.findall(r"\(NEEDED\).*\[(.*)\]", elf)) - LIBRARIES if not name.startswith("ld-linux"))
    if strange:
        sys.exit("%s needs %s, which not every system has" % (library, ", ".join(strange)))
    versions = {tuple(map(int, v.split("."))) for v in re.findall(r"@GLIBC_([0-9.]+)", elf)}
    newest = max(versions | {OLDEST_GLIBC})[:2]
    machine = re.search(r"Machine:\s+(.*)", elf).group(1).strip()
    if machine not in MACHINES:
        sys.exit("%s is for %s, for which no wheel has a name" % (library, machine))
    return "manylinux_%d_%d_%s" % (*newest, MACHINES[machine])


def project():
    """The table [project] of pyproject.toml."""
    try:
        import tomllib
    except ImportError:  # before Python 3.11; pip brings it
        from pip._vendor import tomli as tomllib
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def home(version):
    """The project's page, "" unless FAPWS_HOME_URL is set, and the name of that version there: its tag, or its commit.

    A release sets FAPWS_HOME_URL to its repository, with paths as on GitHub: no file has an address that a fork must change.
    """
    release, _, commit = version.partition("+")
    return os.environ.get("FAPWS_HOME_URL", "").rstrip("/"), commit.split(".")[0] or "v" + release




def description(text, version):
    """README.md as PyPI shows it: links to files lead to the project's page, if that is known."""
    url, revision = home(version)
    if not url:
        return text

    def absolute(match):
        kind = "raw" if re.search(r"\.(gif|jpg|png|svg|webp)$", match.group(2)) else "blob"
        return "%s%s/%s/%s/%s" % (match.group(1), url, kind, revision, match.group(2))

    parts = re.split(r"(^```.*?^```$)", text, flags=re.M | re.S)
    for at, part in enumerate(parts[::2]):
        part = re.sub(r"</?picture>|<source\b[^>]*>", "", part)  # PyPI shows these tags as text
        # Paths of files: neither a scheme, nor a fragment, nor a path of a server.
        parts[2 * at] = re.sub(r"(\]\(|\b(?:href|src)=\")(?![a-z]+:|[#/])([^)\"\s]+)", absolute, part)
    return "".join(parts)


def metadata(version):
    """METADATA (core metadata 2.1), with README.md as description."""
    p = project()
    url, revision = home(version)
    fields = [("Metadata-Version", "2.1"), ("Name", p["name"]), ("Version", version), ("Summary", p["description"])]
    fields += [("License", p["license"]["text"]), ("Requires-Python", p["requires-python"]), ("Keywords", ",".join(p["keywords"]))]
    fields += [("Classifier", c) for c in p["classifiers"]]
    if url:
        pages = {
            "Homepage": "",
            "Documentation": "/tree/%s/docs" % revision,
            "Changelog": "/blob/%s/CHANGELOG.md" % revision,
            "Source": "/tree/" + revision,
            "Security": "/security/advisories/new",
        }
        fields += [("Project-URL", "%s, %s%s" % (name, url, page)) for name, page in pages.items()]
    fields += [("Description-Content-Type", "text/markdown")]
    text = description((ROOT / "README.md").read_text("utf-8"), version)
    return "".join("%s: %s\n" % field for field in fields) + "\n" + text


def package_files():
    """Returns the content of all files of the packages by their name in the wheel."""
    contrib = ROOT / "contrib"
    paths = sorted(path for package in ("fapws", "fapws4") for path in contrib.glob(package + "/**/*"))
    return {str(path.relative_to(contrib)): path.read_bytes() for path in paths if path.is_file() and path.suffix != ".pyc"}


def write_wheel(library, folder, version, tag):
    tag = "%s-%s" % (tag, platform_tag(library))
    info = "fapws-%s.dist-info/" % version
    commands = "".join("%s = %s\n" % pair for pair in project()["scripts"].items())
    library = pathlib.Path(library)
    files = package_files()
    files["fapws/libfapws.so"] = library.read_bytes()
    files[info + "METADATA"] = metadata(version).encode()
    files[info + "entry_points.txt"] = ("[console_scripts]\n" + commands).encode()
    files[info + "WHEEL"] = ("Wheel-Version: 1.0\nGenerator: fapws\nRoot-Is-Purelib: false\nTag: %s\n" % tag).encode()
    files[info + "licenses/LICENSE"] = (ROOT / "LICENSE").read_bytes()
    files[info + "sboms/fapws.cdx.json"] = library.with_suffix(".cdx.json").read_bytes()  # PEP 770
    record = ""
    for name, data in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        record += "%s,sha256=%s,%d\n" % (name, digest, len(data))
    files[info + "RECORD"] = (record + info + "RECORD,,\n").encode()
    made = time.gmtime(max(int(os.environ["SOURCE_DATE_EPOCH"]), 315532800))  # 1980, the first year of a zip archive
    name = "fapws-%s-%s.whl" % (version, tag)
    path = os.path.join(folder, name)
    with zipfile.ZipFile(path + ".new", "w") as wheel:
        for file, data in files.items():
            entry = zipfile.ZipInfo(file, made[:6])
            entry.external_attr = (0o100755 if file.endswith(".so") else 0o100644) << 16
            wheel.writestr(entry, data, zipfile.ZIP_DEFLATED, 9)
    os.rename(path + ".new", path)
    return name


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    """PEP 517. It needs a C compiler, and Go, which build.sh downloads unless it is there."""
    made = subprocess.run(
        [str(ROOT / "build.sh"), "--python", sys.executable, "wheel", "--into", os.path.abspath(wheel_directory)],
        stdout=subprocess.PIPE, universal_newlines=True,
    )
    if made.returncode:
        sys.exit("fapws: build.sh wheel has failed; its messages are above")
    return made.stdout.split()[-1]


def build_sdist(sdist_directory, config_settings=None):
    """PEP 517. The files of the last commit, in the same bytes whenever it is the same."""
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    version = re.search(r"^## *\[?v?([0-9][0-9A-Za-z.-]*)", changelog, re.M).group(1)
    name = "fapws-" + version
    path = os.path.abspath(os.path.join(sdist_directory, name + ".tar.gz"))
    info = "%s/PKG-INFO:%s" % (name, metadata(version))
    subprocess.run(["git", "-c", "safe.directory=*", "-C", str(ROOT), "archive", "-9", "-o", path, "--prefix", name + "/",
                    "--add-virtual-file", info, "HEAD"], check=True)
    return os.path.basename(path)


if __name__ == "__main__":
    print(write_wheel(*sys.argv[1:]))
