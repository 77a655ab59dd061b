"""Fetches a Go toolchain as the module golang.org/toolchain.

    fetch_go.py VERSION FOLDER ARCHITECTURE=SHA256...

The module's zip comes from GOPROXY, as the go command would read it: see
https://go.dev/ref/mod#environment-variables and https://go.dev/ref/mod#goproxy-protocol.
Nothing is unpacked unless the zip has the SHA-256 given for this architecture.
"""

import base64
import errno
import hashlib
import http.client
import netrc
import os
import re
import shutil
import struct
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request
import zipfile

DEFAULT_PROXY = "https://proxy.golang.org,direct"  # Go's own
DIRECT = "https://go.dev/dl/mod"  # the origin that golang.org/toolchain?go-get=1 names
TIMEOUT = 60.0  # seconds without data


NO_ROOM = 28  # exit status if the disk is full, for go.sh


class Failure(Exception):
    """A sentence for the user."""


class Missing(Failure):
    """The proxy does not have the version: the next one in the list is asked."""


def is_full(error):
    """Returns whether a file could not be written because the disk is full."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def architecture():
    """Returns the GOARCH of this Python, which is embedded into what is built.

    A 32-bit Python may run on a 64-bit kernel."""
    wide = struct.calcsize("P") == 8
    machine = os.uname().machine
    if machine in ("x86_64", "i386", "i486", "i586", "i686"):
        return "amd64" if wide else "386"
    if machine.startswith(("aarch64", "arm")):
        return "arm64" if wide else "arm"
    return machine


def configured_proxy():
    """Returns GOPROXY: the variable, the user's file of `go env -w`, or Go's default."""
    value = os.environ.get("GOPROXY")
    if value:
        return value
    config = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    name = os.environ.get("GOENV") or os.path.join(config, "go", "env")
    try:
        with open(name, encoding="utf-8") as file:
            for line in file:
                key, _, value = line.strip().partition("=")
                if key == "GOPROXY" and value:
                    return value
    except OSError:
        pass  # GOENV=off, or never written
    return DEFAULT_PROXY


def places(proxies):
    """Yields (address, any_error) for each entry of a GOPROXY list.

    any_error tells whether any error leads to the next entry (a pipe follows)
    or only a missing version (a comma follows)."""
    entries = re.split("([,|])", proxies)
    for entry, separator in zip(entries[::2], entries[1::2] + [","]):
        entry = entry.strip()
        if entry:
            yield entry, separator == "|"


def request_for(url):
    """Returns the request for url. Its user and password, or those of ~/.netrc
    (as for the go command), go into a field instead of the address."""
    parts = urllib.parse.urlsplit(url)
    user, password = parts.username, parts.password
    host = parts.netloc.rpartition("@")[2]
    if user is None and parts.hostname:
        try:
            found = netrc.netrc(os.environ.get("NETRC")).authenticators(parts.hostname)
            user, password = (found[0], found[2]) if found else (None, None)
        except (OSError, netrc.NetrcParseError):
            pass
    request = urllib.request.Request(parts._replace(netloc=host).geturl())
    if user is not None:
        pair = f"{urllib.parse.unquote(user)}:{urllib.parse.unquote(password or '')}"
        request.add_unredirected_header("Authorization", "Basic " + base64.b64encode(pair.encode()).decode())
    return request


def download(url, out):
    """Copies what url holds into the file out and returns its SHA-256."""
    request = request_for(url)
    digest = hashlib.sha256()
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
            while True:
                block = response.read(1 << 18)
                if not block:
                    return digest.hexdigest()
                digest.update(block)
                out.write(block)
    except urllib.error.HTTPError as error:
        error.close()
        kind = Missing if error.code in (404, 410) else Failure
        raise kind(f"{request.full_url}: {error.code} {error.reason}") from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        if is_full(error):
            raise
        reason = getattr(error, "reason", error)
        kind = Missing if request.type == "file" and not os.path.exists(request.selector) else Failure
        raise kind(f"{request.full_url}: {reason}") from None


def fetch(proxies, path, out):
    """Downloads path from the first place of the GOPROXY list that has it; returns its SHA-256."""
    failures = []
    for place, any_error in places(proxies):
        if place == "off":
            failures.append("GOPROXY=off forbids downloads")
            break
        base = DIRECT if place == "direct" else place.rstrip("/")
        if not base.startswith(("https://", "http://", "file://")):
            failures.append(f"GOPROXY: {base!r} is not a URL")
            break
        try:
            out.seek(0)
            out.truncate()
            return download(f"{base}/{path}", out)
        except Failure as failure:
            failures.append(str(failure))
            if not any_error and not isinstance(failure, Missing):
                break
    raise Failure("; ".join(failures) or "GOPROXY lists no proxy")


def unpack(archive, prefix, folder):
    """Unpacks the toolchain's zip into folder, as the go command does on first use:
    the zip carries no modes, and go.mod files are called _go.mod in it."""
    with zipfile.ZipFile(archive) as files:
        for item in files.infolist():
            if not item.filename.startswith(prefix):
                raise Failure(f"{item.filename!r} does not belong into the module's zip")
            name = item.filename[len(prefix):]
            path = os.path.join(folder, os.path.dirname(name), re.sub("^_go.mod$", "go.mod", os.path.basename(name)))
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with files.open(item) as source, open(path, "wb") as copy:
                shutil.copyfileobj(source, copy)
            if name.startswith(("bin/", "pkg/tool/")):
                os.chmod(path, 0o755)
    # Nothing below is a package of the module around it.
    with open(os.path.join(folder, "go.mod"), "a", encoding="utf-8"):
        pass


def main(version, folder, *checksums):
    """Fetches Go version into folder, which appears only when it is complete."""
    known = dict(pair.split("=") for pair in checksums)
    arch = architecture()
    if arch not in known:
        raise Failure(f"no checksum is known for the Go of this processor ({arch})")
    module = f"v0.0.1-go{version}.linux-{arch}"
    parent = os.path.dirname(os.path.abspath(folder))
    os.makedirs(parent, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent) as scratch:
        with open(os.path.join(scratch, "zip"), "w+b") as archive:
            found = fetch(configured_proxy(), f"golang.org/toolchain/@v/{module}.zip", archive)
            if found != known[arch]:
                raise Failure(f"{module}.zip has the SHA-256 {found} instead of {known[arch]}; it is not used")
            new = os.path.join(scratch, "go")
            unpack(archive, f"golang.org/toolchain@{module}/", new)
        shutil.rmtree(folder, ignore_errors=True)
        os.rename(new, folder)


def run(arguments):
    """Returns the exit status, after a message if it is not 0."""
    try:
        main(*arguments)
    except (Failure, OSError) as failure:
        if is_full(failure):
            print(f"fetching Go failed: the disk of {arguments[1]} is full: Go needs 400 MB there for a moment; make room, and try again", file=sys.stderr)
            return NO_ROOM
        print(f"fetching Go failed: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
