"""Adds the parts of the wheel that hatchling cannot determine: the version, README.md in the form for a package index,
the library, and the command fapws (pyproject.toml).

build.sh builds the library, either before it calls hatchling, or when this module calls build.sh because pip, uv or
another frontend has called hatchling.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.metadata.plugin.interface import MetadataHookInterface

ROOT = pathlib.Path(__file__).resolve().parent.parent

# scripts/package.sh sets these variables: the path of the library, and the tag of its wheel without the platform, such
# as cp311-cp311.
LIBRARY, TAG = "FAPWS_WHEEL_LIBRARY", "FAPWS_WHEEL_TAG"

# The libraries that a wheel may link with (manylinux), because every glibc contains them. All other libraries must come
# with Python.
LIBRARIES = {"libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1", "libresolv.so.2"}
OLDEST_GLIBC = (2, 17)
MUSL = "libc.so"  # the name of musl
MACHINES = {"Advanced Micro Devices X86-64": "x86_64", "AArch64": "aarch64", "ARM": "armv7l", "Intel 80386": "i686"}


def platform_tag(library):
    """Returns the platform of a wheel with that library: manylinux with the newest version of glibc that a symbol of
    the library needs (PEP 600), or musllinux (PEP 656)."""
    command = ["readelf", "-W", "--file-header", "--dynamic", "--dyn-syms", str(library)]
    elf = subprocess.run(command, check=True, stdout=subprocess.PIPE, universal_newlines=True).stdout
    needed = set(re.findall(r"\(NEEDED\).*\[(.*)\]", elf))
    strange = sorted(name for name in needed - LIBRARIES - {MUSL} if not name.startswith("ld-linux"))
    if strange:
        sys.exit("%s needs %s, which not every system has" % (library, ", ".join(strange)))
    versions = {tuple(map(int, v.split("."))) for v in re.findall(r"@GLIBC_([0-9.]+)", elf)}
    newest = max(versions | {OLDEST_GLIBC})[:2]
    machine = re.search(r"Machine:\s+(.*)", elf).group(1).strip()
    if machine not in MACHINES:
        sys.exit("%s is for %s, for which no wheel has a name" % (library, machine))
    if MUSL in needed:
        return "musllinux_1_2_%s" % MACHINES[machine]
    tag = "manylinux_%d_%d_%s" % (*newest, MACHINES[machine])
    # pip before 20.3 knows only the older name (PEP 599).
    return "manylinux2014_%s.%s" % (MACHINES[machine], tag) if newest == OLDEST_GLIBC else tag


def ask_build(function, *arguments):
    """Returns the output of a function of build.sh."""
    command = ["bash", "-c", 'source "$1"; shift; "$@"', "wheel.py", str(ROOT / "build.sh"), function, *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, universal_newlines=True)
    if done.returncode:
        sys.exit("fapws: build.sh has failed; its messages are above")
    return done.stdout.splitlines()


def source_version():
    """Returns the version of this source, as the server prints it."""
    return ask_build("version_text")[-1]


def built():
    """Builds the library for this Python. This needs a C compiler, and Go, which build.sh downloads if it is not
    installed."""
    return ask_build("library_of", sys.executable)[-2:]


def home(version):
    """Returns the URL of the project, or "" if it is unknown, and the tag or the commit of the version."""
    release, _, commit = version.partition("+")
    return "".join(ask_build("home_url")), commit.split(".")[0] or "v" + release


# A link to a file: the target does not begin with a scheme, "#" or "/".
FILE = r"(?![a-z]+:|[#/])([^)\"\s]+)"


def description(text, version):
    """Returns README.md for a package index. Links to files lead to the project's URL, or become text if this URL is
    unknown."""
    url, revision = home(version)

    def absolute(match):
        kind = "raw" if re.search(r"\.(gif|jpg|png|svg|webp)$", match.group(2)) else "blob"
        return "%s%s/%s/%s/%s" % (match.group(1), url, kind, revision, match.group(2))

    parts = re.split(r"(^```.*?^```$)", text, flags=re.M | re.S)
    for at, part in enumerate(parts[::2]):
        part = re.sub(r"</?picture>|<source\b[^>]*>", "", part)  # PyPI shows these tags as text
        if url:
            part = re.sub(r"(\]\(|\b(?:href|src)=\")" + FILE, absolute, part)
        else:
            part = re.sub(r"!\[[^\]]*\]\(" + FILE + r"\)|<img [^>]*\bsrc=\"" + FILE + "\"[^>]*>", "", part)
            part = re.sub(
                r"\[([^\]]*)\]\(" + FILE + r"\)|<a [^>]*\bhref=\"" + FILE + r"\"[^>]*>(.*?)</a>", _text_of, part,
                flags=re.S,
            )
        parts[2 * at] = part
    return "".join(parts)


def _text_of(link):
    return link.group(1) or link.group(4) or ""


def pages(version):
    """Returns the URLs of the project by their names on a package index, or an empty dict if the project's URL is
    unknown."""
    url, revision = home(version)
    places = {
        "Homepage": "",
        "Documentation": "/tree/%s/docs" % revision,
        "Changelog": "/blob/%s/CHANGELOG.md" % revision,
        "Source": "/tree/" + revision,
        "Issues": "/issues",
        "Security": "/security/advisories/new",
    }
    return {name: url + place for name, place in places.items()} if url else {}


class Metadata(MetadataHookInterface):
    """Sets the fields that pyproject.toml declares as dynamic."""

    def update(self, metadata):
        version = metadata["version"] = source_version()
        metadata["urls"] = pages(version)
        metadata["readme"] = {
            "content-type": "text/markdown", "text": description((ROOT / "README.md").read_text("utf-8"), version),
        }


def write_launcher(path, tag):
    """Writes the command fapws of a wheel with that tag to path."""
    number = tag.split("-")[1][len("cp3"):]
    text = (ROOT / "contrib" / "launcher.sh").read_text("utf-8").replace("@PYTHON@", "python3." + number)
    pathlib.Path(path).write_text(text, "utf-8")
    os.chmod(path, 0o755)


class Library(BuildHookInterface):
    """Adds the library and the command fapws to a wheel. For an editable installation, copies the library to the
    directory of the Python files."""

    def initialize(self, version, build_data):
        library, tag = (os.environ[LIBRARY], os.environ[TAG]) if LIBRARY in os.environ else built()
        bom = os.path.splitext(library)[0] + ".cdx.json"
        build_data["pure_python"] = False
        build_data["tag"] = "%s-%s" % (tag, platform_tag(library))
        launcher = os.path.splitext(library)[0] + ".sh"
        write_launcher(launcher, tag)
        build_data["shared_scripts"][launcher] = "fapws"
        if version == "editable":
            shutil.copy(library, str(ROOT / "contrib" / "fapws"))
        else:
            build_data["force_include"][library] = "fapws/libfapws.so"
        sboms = "fapws-%s.dist-info/sboms/fapws.cdx.json" % self.metadata.version  # PEP 770
        build_data["force_include_editable" if version == "editable" else "force_include"][bom] = sboms
