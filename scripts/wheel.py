"""Makes the wheel of fapws, and is the build backend of pyproject.toml (PEP 517): `pip install .` calls it.

As a program: wheel.py LIBRARY FOLDER VERSION TAG, where TAG is that of the file's name without the platform, such as
cp311-cp311. It puts the package of contrib and the library into a wheel in FOLDER, which holds the same bytes whenever it is made
of the same files, and prints its name. The platform follows from the library: see platform_tag.
"""

import base64
import calendar
import gzip
import hashlib
import io
import os
import re
import subprocess
import sys
import tarfile
import time
import zipfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# What every glibc has: the policy of manylinux, as far as the library goes. Python brings the others.
LIBRARIES = {"libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1", "libresolv.so.2"}
OLDEST_GLIBC = (2, 17)
MACHINES = {"Advanced Micro Devices X86-64": "x86_64", "AArch64": "aarch64", "ARM": "armv7l", "Intel 80386": "i686"}

# --- the platform -----------------------------------------------------------


def read_elf(library, *options):
    return subprocess.run(["readelf", "-W", *options, library], check=True, stdout=subprocess.PIPE, universal_newlines=True).stdout


def platform_tag(library):
    """The platform of a wheel with that library: manylinux with the newest glibc that one of its symbols needs (PEP 600)."""
    needed = set(re.findall(r"\(NEEDED\).*\[(.*)\]", read_elf(library, "-d")))
    strange = sorted(name for name in needed - LIBRARIES if not name.startswith("ld-linux"))
    if strange:
        sys.exit("%s needs %s, which not every system has" % (library, ", ".join(strange)))
    versions = {tuple(map(int, v.split("."))) for v in re.findall(r"@GLIBC_([0-9.]+)", read_elf(library, "--dyn-syms"))}
    newest = max(versions | {OLDEST_GLIBC})[:2]
    machine = re.search(r"Machine:\s+(.*)", read_elf(library, "-h")).group(1).strip()
    if machine not in MACHINES:
        sys.exit("%s is for %s, for which no wheel has a name" % (library, machine))
    return "manylinux_%d_%d_%s" % (*newest, MACHINES[machine])


# --- what a wheel says of itself --------------------------------------------


def project():
    """The table [project] of pyproject.toml."""
    try:
        import tomllib
    except ImportError:  # before Python 3.11; pip brings it
        from pip._vendor import tomli as tomllib
    with open(os.path.join(ROOT, "pyproject.toml"), "rb") as f:
        return tomllib.load(f)["project"]


def home(version):
    """The project's page, and the name of that version there: its tag, or its commit. The page is "" where FAPWS_HOME_URL is not set.

    A release sets it to its repository, which is shaped as those of GitHub: no file has an address that a fork would have to change.
    """
    release, _, commit = version.partition("+")
    return os.environ.get("FAPWS_HOME_URL", "").rstrip("/"), commit.split(".")[0] or "v" + release


def project_urls(version):
    """Pairs of a name, as PyPI knows it, and an address."""
    url, revision = home(version)
    pages = [
        ("Homepage", ""),
        ("Documentation", "/tree/%s/docs" % revision),
        ("Changelog", "/blob/%s/CHANGELOG.md" % revision),
        ("Source", "/tree/" + revision),
        ("Security", "/security/advisories/new"),
    ]
    return [(name, url + page) for name, page in pages if url]


# What follows these begins with the path of a file: neither a scheme, nor a fragment, nor a path of a server.
FILE = r"(?![a-z]+:|[#/])"
IMAGE = r"<img\b[^>]*>|!\[[^\]]*\]\([^)]*\)"


def description(text, version):
    """README.md as it reads elsewhere: links to files lead to the project's page, and are only their text without one."""
    url, revision = home(version)

    def absolute(match):
        kind = "raw" if re.search(r"\.(gif|jpg|png|svg|webp)$", match.group(2)) else "blob"
        return "%s%s/%s/%s/%s" % (match.group(1), url, kind, revision, match.group(2))

    def prose(part):
        part = re.sub(r"</?picture>|<source\b[^>]*>", "", part)  # PyPI shows these tags as text
        if url:
            return re.sub(r"(\]\(|\b(?:href|src)=\")%s([^)\"\s]+)" % FILE, absolute, part)
        part = re.sub(IMAGE, lambda m: "" if re.search(r"(\]\(|\bsrc=\")" + FILE, m.group()) else m.group(), part)
        part = re.sub(r"\[([^\[\]]*)\]\(%s[^)]*\)" % FILE, r"\1", part)
        return re.sub(r"<a href=\"%s[^>]*>(.*?)</a>" % FILE, r"\1", part, flags=re.S)

    parts = re.split(r"(^```.*?^```$)", text, flags=re.M | re.S)
    return "".join(part if part.startswith("```") else prose(part) for part in parts)


def metadata(version):
    """METADATA (core metadata 2.1), with README.md as description."""
    p = project()
    fields = [("Metadata-Version", "2.1"), ("Name", p["name"]), ("Version", version), ("Summary", p["description"])]
    fields += [("License", p["license"]["text"]), ("Requires-Python", p["requires-python"]), ("Keywords", ",".join(p["keywords"]))]
    fields += [("Classifier", c) for c in p["classifiers"]]
    fields += [("Project-URL", "%s, %s" % pair) for pair in project_urls(version)]
    fields += [("Description-Content-Type", "text/markdown")]
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as f:
        return "".join("%s: %s\n" % field for field in fields) + "\n" + description(f.read(), version)


def entry_points():
    return "[console_scripts]\n" + "".join("%s = %s\n" % pair for pair in project()["scripts"].items())


# --- files ------------------------------------------------------------------


def package_files():
    """Pairs of the name in the wheel and the path of all files of the packages."""
    for package in ("fapws", "fapws4"):
        top = os.path.join(ROOT, "contrib", package)
        for folder, folders, names in os.walk(top):
            folders[:] = sorted(name for name in folders if name != "__pycache__")
            for name in sorted(names):
                if not name.endswith(".pyc"):
                    path = os.path.join(folder, name)
                    yield os.path.relpath(path, os.path.dirname(top)), path


def read(path):
    with open(path, "rb") as f:
        return f.read()


def now():
    """The time of all files, a date that a zip archive can hold."""
    seconds = int(os.environ.get("SOURCE_DATE_EPOCH") or os.stat(os.path.join(ROOT, "CHANGELOG.md")).st_mtime)
    return time.gmtime(max(seconds, 315532800))  # 1980


def write_wheel(library, folder, version, tag):
    tag = "%s-%s" % (tag, platform_tag(library))
    info = "fapws-%s.dist-info/" % version
    files = [(name, read(path)) for name, path in package_files()]
    files += [("fapws/libfapws.so", read(library))]
    files += [(info + "METADATA", metadata(version).encode()), (info + "entry_points.txt", entry_points().encode())]
    files += [(info + "WHEEL", ("Wheel-Version: 1.0\nGenerator: fapws\nRoot-Is-Purelib: false\nTag: %s\n" % tag).encode())]
    files += [(info + "licenses/LICENSE", read(os.path.join(ROOT, "LICENSE")))]
    files += [(info + "sboms/fapws.cdx.json", read(os.path.splitext(library)[0] + ".cdx.json"))]  # PEP 770
    record = ""
    for name, data in files:
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        record += "%s,sha256=%s,%d\n" % (name, digest, len(data))
    files += [(info + "RECORD", (record + info + "RECORD,,\n").encode())]
    name = "fapws-%s-%s.whl" % (version, tag)
    path = os.path.join(folder, name)
    with zipfile.ZipFile(path + ".new", "w", zipfile.ZIP_DEFLATED) as wheel:
        for file, data in files:
            entry = zipfile.ZipInfo(file, now()[:6])
            entry.external_attr = (0o100755 if file.endswith(".so") else 0o100644) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            wheel.writestr(entry, data, compresslevel=9)
    os.rename(path + ".new", path)
    return name


# --- the build backend ------------------------------------------------------


def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    """PEP 517: the metadata of build_wheel, for which nothing is compiled."""
    script = 'source "$1" && version_text'
    told = subprocess.run(["bash", "-c", script, "-", os.path.join(ROOT, "build.sh")], check=True, stdout=subprocess.PIPE, universal_newlines=True)
    version = told.stdout.strip()
    info = "fapws-%s.dist-info" % version
    os.mkdir(os.path.join(metadata_directory, info))
    for name, text in ("METADATA", metadata(version)), ("entry_points.txt", entry_points()):
        with open(os.path.join(metadata_directory, info, name), "w", encoding="utf-8") as f:
            f.write(text)
    return info


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    """PEP 517. It needs a C compiler, and Go, which build.sh downloads unless it is there."""
    made = subprocess.run(
        [os.path.join(ROOT, "build.sh"), "--python", sys.executable, "wheel", "--into", os.path.abspath(wheel_directory)],
        stdout=subprocess.PIPE, universal_newlines=True,
    )
    if made.returncode:
        sys.exit("fapws: build.sh wheel has failed; its messages are above")
    return made.stdout.split()[-1]


def source_files():
    """The files of the source: as the repository has them, or all of an unpacked sdist, which has no repository."""
    if os.path.exists(os.path.join(ROOT, ".git")):
        listed = subprocess.run(["git", "-c", "safe.directory=*", "-C", ROOT, "ls-files", "-z"], check=True, stdout=subprocess.PIPE).stdout
        return sorted(listed.decode().split("\0")[:-1])
    files = []
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if name != "__pycache__" and os.path.join(folder, name) != os.path.join(ROOT, "build")]
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        files += [os.path.relpath(os.path.join(folder, name), ROOT) for name in names + links]
    return sorted(name for name in files if name != "PKG-INFO")


def build_sdist(sdist_directory, config_settings=None):
    """PEP 517. The same bytes whenever the source is the same."""
    version = project_version()
    name, mtime = "fapws-" + version, calendar.timegm(now())

    def neutral(entry):
        entry.mtime, entry.uid, entry.gid, entry.uname, entry.gname = mtime, 0, 0, "", ""
        entry.mode = 0o755 if entry.mode & 0o100 else 0o644
        return entry

    path = os.path.join(sdist_directory, name + ".tar.gz")
    with open(path, "wb") as f, gzip.GzipFile("", "wb", fileobj=f, mtime=mtime) as packed, tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for file in source_files():
            archive.add(os.path.join(ROOT, file), name + "/" + file, recursive=False, filter=neutral)
        info, data = tarfile.TarInfo(name + "/PKG-INFO"), metadata(version).encode()
        info.size = len(data)
        archive.addfile(neutral(info), io.BytesIO(data))
    return os.path.basename(path)


def project_version():
    """The newest version of CHANGELOG.md."""
    with open(os.path.join(ROOT, "CHANGELOG.md"), encoding="utf-8") as f:
        return re.search(r"^## *\[?v?([0-9][0-9A-Za-z.-]*)", f.read(), re.M).group(1)


if __name__ == "__main__":
    print(write_wheel(*sys.argv[1:]))
