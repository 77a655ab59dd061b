package python_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

const bundledApp = `import os, sys
from helpers import page

HERE = os.path.dirname(os.path.abspath(__file__))

def text(environ, start_response):
    with open(os.path.join(HERE, "templates", "page.txt")) as file:
        return page(file.read())

def late(environ, start_response):
    import no_such_module

def lazy(environ, start_response):
    import importlib
    return importlib.import_module("lazy_" + "words").WORD

def write(environ, start_response):
    written = []
    for path in os.path.realpath(sys.executable), __file__, HERE + "/new", os.path.dirname(os.path.dirname(HERE)) + "/new":
        try:
            open(path, "ab").close()
            written.append(path)
        except OSError:
            pass
    return " ".join(written) or "nothing"

PATHS = [("/late", late), ("/lazy", lazy), ("/write", write), ("/", text)]
`

const bundledChildren = `import multiprocessing, subprocess, sys
import helpers

if __name__ == "__main__":
    for method in "fork", "spawn", "forkserver":
        with multiprocessing.get_context(method).Pool(1) as pool:
            print(method, pool.map(helpers.double, [21]))
    print(subprocess.run([sys.executable, "-c", "import helpers; print(helpers.double(4))"], stdout=-1).stdout)
`

// writeBundle writes a bundle of a small application, and returns its path and the directory of the application.
func writeBundle(t *testing.T) (name, site string) {
	t.Helper()
	if fapwstest.IsWheel(t) {
		fapwstest.Command{Flags: []string{"bundle", "app.py", "-o", t.TempDir() + "/x"}}.Fails(t, 2, "is a library of its Python")
		t.Skip("a wheel writes no bundle")
	}
	dir := t.TempDir()
	site = filepath.Join(dir, "site")
	for file, text := range map[string]string{"app.py": bundledApp, "children.py": bundledChildren, "templates/page.txt": "hello",
		"users/__init__.py": "", "users/secrets.py": "def upper(text):\n    return text.upper()\n", "secrets.json": "{}",
		"helpers.py": "from users.secrets import upper as page\n\n\ndef double(n):\n    return 2 * n\n",
		".env":       "KEY=1\n", "server.key": "secret\n", "shop.sqlite3": "data"} {
		fapwstest.Must(t, os.MkdirAll(filepath.Dir(filepath.Join(site, file)), 0o755))
		fapwstest.Write(t, filepath.Join(site, file), text)
	}
	name = filepath.Join(dir, "shop")
	out := fapwstest.Command{Flags: []string{"bundle", filepath.Join(site, "app.py"), "-o", name}}.Succeeds(t)
	for _, file := range []string{".env", "secrets.json", "server.key", "shop.sqlite3"} {
		fapwstest.Truef(t, strings.Contains(out, "left out: "+file+" "), "no %s in %q", file, out)
	}
	return name, site
}

// ofBundle returns a command that runs a bundle, with a cache directory of its own.
func ofBundle(t *testing.T, name string, flags ...string) fapwstest.Command {
	t.Helper()
	return fapwstest.Command{Program: name, Flags: flags, Dir: t.TempDir(), Env: []string{"FAPWS_CACHE_DIR=" + t.TempDir(),
		"PYTHONHOME=/nonexistent"}}
}

func TestBundle(t *testing.T) {
	t.Parallel()
	name, site := writeBundle(t)
	t.Run("serves without the files of its source", func(t *testing.T) {
		moved := site + ".moved"
		fapwstest.Must(t, os.Rename(site, moved))
		defer os.Rename(moved, site)
		for _, m := range fapwstest.Modes {
			c := ofBundle(t, name)
			c.Complains = true
			s := c.Serve(t, m)
			s.Get("/", 200).Is(t, "HELLO")
			s.GetLogs("/late", 500, "ModuleNotFoundError: No module named 'no_such_module'\n"+
				"this bundle has no module no_such_module: write it again with --include no_such_module")
			s.GetLogs("/lazy", 500, "ModuleNotFoundError: No module named 'lazy_words'")
			s.Stop()
		}
		out := ofBundle(t, name, "check").Succeeds(t)
		fapwstest.Truef(t, strings.Contains(out, "is fine: 4 paths"), "%q", out)
	})
	t.Run("needs nothing of the system except its libraries", func(t *testing.T) { alone(t, name) })
	t.Run("is Python for its children", func(t *testing.T) {
		out := ofBundle(t, name, "python", filepath.Join(site, "children.py")).Succeeds(t)
		for _, line := range []string{"fork [42]", "spawn [42]", "forkserver [42]", `b'8\n'`} {
			fapwstest.Truef(t, strings.Contains(out, line), "no %s in %q", line, out)
		}
		code, _, stderr := ofBundle(t, name, "python", "-c", "import nothing").Run(t)
		fapwstest.Truef(t, code == 1 && strings.Contains(stderr, "No module named 'nothing'"), "%d, %s", code, stderr)
	})
	t.Run("is refused if it is damaged", func(t *testing.T) {
		text := fapwstest.Try(os.ReadFile(name)).Must(t)
		text[len(text)-100_000] ^= 1
		changed := filepath.Join(t.TempDir(), "changed")
		fapwstest.Must(t, os.WriteFile(changed, text, 0o755))
		ofBundle(t, changed, "-b", "127.0.0.1:0").Fails(t, 3, "it is truncated or damaged; copy it again")
		unpacked := ofBundle(t, name, "check")
		unpacked.Succeeds(t)
		modules := bytes.LastIndex(text, []byte("fapws 2\x00"))
		text[modules] ^= 1 // a later start does not read the whole file
		fapwstest.Must(t, os.WriteFile(changed, text, 0o755))
		unpacked.Program = changed
		unpacked.Fails(t, 3, changed+": its modules are damaged; copy it again")
		c := fapwstest.Command{Flags: []string{"bundle", "--check", changed}}
		c.Fails(t, 3, "it is truncated or damaged; copy it again")
		fapwstest.Must(t, os.Truncate(changed, int64(len(text)-1000)))
		missing := fmt.Sprintf("%s: it has %d bytes instead of %d; it is truncated or damaged; copy it again", changed, len(text)-1000, len(text))
		ofBundle(t, changed, "-b", "127.0.0.1:0").Fails(t, 3, missing)
		ofBundle(t, changed, "--version").Fails(t, 3, missing)
		c.Fails(t, 3, missing)
		c.Flags[2] = "/etc/passwd"
		c.Fails(t, 3, "/etc/passwd is no bundle")
		ofBundle(t, name, "-b", "127.0.0.1:0", "--cache-dir", "/proc/cache").Fails(t, 2, "name another directory with --cache-dir")
	})
	t.Run("never half starts without a place for its files", func(t *testing.T) { withoutPlace(t, name) })
	t.Run("takes no module for another processor", func(t *testing.T) {
		suffix := strings.TrimSpace(string(fapwstest.Try(exec.Command(fapwstest.Python, "-c",
			"import importlib.machinery as m; print(m.EXTENSION_SUFFIXES[0])").Output()).Must(t)))
		foreign := filepath.Join(site, "native"+suffix)
		fapwstest.Write(t, foreign, "\x7fELF\x07\x01"+strings.Repeat("\x00", 100))
		defer os.Remove(foreign)
		fapwstest.Command{Flags: []string{"bundle", filepath.Join(site, "app.py"), "-o", t.TempDir() + "/x"}}.Fails(t, 2,
			foreign+" is an extension module for another processor or C library; ")
	})
	t.Run("contains modules that handlers import at a visit or that are named", func(t *testing.T) {
		path, visited := t.TempDir(), filepath.Join(t.TempDir(), "visited")
		fapwstest.Write(t, filepath.Join(path, "lazy_words.py"), "WORD = 'lazy'\n")
		c := fapwstest.Command{Flags: []string{"--pythonpath", path, "bundle", filepath.Join(site, "app.py"), "-o", visited, "--visit", "/",
			"--visit", "/lazy", "--include", "pdb"}}
		c.Succeeds(t)
		s := ofBundle(t, visited, "-b", "127.0.0.1:0").Started(t)
		s.Get("/lazy", 200).Is(t, "lazy")
		s.Stop()
		ofBundle(t, visited, "python", "-c", "import pdb").Succeeds(t)
		c.Flags = append(c.Flags, "--visit", "/late")
		code, _, stderr := c.Run(t)
		fapwstest.Truef(t, code == 1 && strings.HasSuffix(stderr, "\nfapws: GET /late was answered with status 500\n"), "%d, %s", code, stderr)
	})
	t.Run("has the same bytes again, and lists them", func(t *testing.T) {
		other := filepath.Join(site, "shop")
		defer os.Remove(other)
		again := fapwstest.Command{Flags: []string{"bundle", filepath.Join(site, "app.py"), "-o", other}}
		again.Succeeds(t)
		out := again.Succeeds(t)
		fapwstest.Truef(t, strings.Contains(out, "left out: shop (it is a bundle; --include takes it)"), "%q", out)
		text := fapwstest.Try(os.ReadFile(name)).Must(t)
		fapwstest.Truef(t, bytes.Equal(text, fapwstest.Try(os.ReadFile(other)).Must(t)), "the bundles differ")
		fapwstest.Truef(t, !bytes.Contains(text, []byte(site)), "the bundle contains %s", site)
		fapwstest.Command{Flags: []string{"bundle", filepath.Join(site, "app.py"), "-o", other, "--no-source", "--stdlib", "full", "--include", "shop.*",
			"--exclude", "children.py,helpers"}}.Succeeds(t)
		code, _, stderr := ofBundle(t, other, "check").Run(t)
		fapwstest.Truef(t, code == 3 && strings.HasSuffix(stderr, "app.py:2: ModuleNotFoundError: No module named 'helpers'; "+
			"this bundle has no module helpers: write it again with --include helpers\n"), "%d, %s", code, stderr)
		out = fapwstest.Command{Flags: []string{"bundle", "--list", other}}.Succeeds(t)
		for _, text := range []string{"shop: fapws ", "app/templates/page.txt", "app/shop.sqlite3"} {
			fapwstest.Truef(t, strings.Contains(out, text), "no %s in %s", text, out)
		}
		fapwstest.Truef(t, !strings.Contains(out, "server.key"), "%s", out)
		out = fapwstest.Command{Flags: []string{"bundle", "--check", name}}.Succeeds(t)
		fapwstest.Truef(t, strings.Contains(out, " is sound; it needs "), "%q", out)
	})
	t.Run("cannot be changed by its workers", func(t *testing.T) { confined(t, name, site) })
	t.Run("is replaced by a new version", func(t *testing.T) { upgrade(t, name, site) })
	t.Run("is configured from outside", func(t *testing.T) { configure(t, name) })
}

func TestBundleNeedsAnApplicationAndAName(t *testing.T) {
	fapwstest.Command{Flags: []string{"bundle", "nothing.py", "-o", t.TempDir() + "/x"}}.Fails(t, 2, "nothing.py: no such file")
	dir := t.TempDir()
	fapwstest.Write(t, dir+"/app.py", "PATHS = [('/', print)]\n")
	for _, option := range []string{"--include", "--exclude"} {
		c := fapwstest.Command{Flags: []string{"bundle", dir + "/app.py", "-o", dir + "/x", option, "nothing"}}
		c.Fails(t, 2, option+" nothing: no file of "+dir+" and no ")
	}
	fapwstest.Command{Flags: []string{"bundle", "nothing.py"}}.Fails(t, 2, "name the executable to write: -o FILE")
}

// alone runs a bundle in a root directory with only the bundle and the libraries of its program.
func alone(t *testing.T, name string) {
	if os.Geteuid() != 0 {
		t.Skip("chroot needs root")
	}
	root := t.TempDir()
	copyTo := func(from, to string) {
		fapwstest.Must(t, os.MkdirAll(filepath.Join(root, filepath.Dir(to)), 0o755))
		fapwstest.Must(t, os.WriteFile(filepath.Join(root, to), fapwstest.Try(os.ReadFile(from)).Must(t), 0o755))
	}
	copyTo(name, "shop")
	libraries, _ := exec.Command("ldd", name).Output() // fails for a static program
	for word := range strings.FieldsSeq(string(libraries)) {
		if strings.HasPrefix(word, "/") {
			copyTo(word, word)
		}
	}
	for _, dir := range []string{"proc", "dev", "tmp"} {
		fapwstest.Must(t, os.Mkdir(filepath.Join(root, dir), 0o755))
	}
	run := exec.Command("unshare", "--mount", "sh", "-c", `mount -t proc proc "$0/proc" && FAPWS_CACHE_DIR=/cache `+
		`exec chroot "$0" /shop python -c 'import helpers, json, asyncio; print(helpers.double(21))'`, root)
	out, err := run.CombinedOutput()
	fapwstest.Truef(t, err == nil && string(out) == "42\n", "%v, %s", err, out)
}

// withoutPlace starts a bundle with cache directories that cannot take its files.
func withoutPlace(t *testing.T, name string) {
	if os.Geteuid() != 0 {
		t.Skip("mount needs root")
	}
	for options, cause := range map[string]string{
		"noexec": "mounted noexec, and Python could not load extension modules", "ro": "read-only file system", "size=64k": "no space left on device",
	} {
		cache := t.TempDir()
		run := exec.Command("unshare", "--mount", "sh", "-c", `mount -t tmpfs -o "$2" none "$0" && "$1" check --cache-dir "$0"; `+
			`code=$?; ls -A "$0"; exit $code`, cache, name, options)
		out, err := run.CombinedOutput()
		fapwstest.Truef(t, err != nil && strings.Contains(string(out), "cannot unpack ") && strings.Contains(string(out), cause+"; name "),
			"%s: %v, %s", options, err, out)
		fapwstest.Truef(t, strings.Count(string(out), "\n") == 1, "%s: %s", options, out)
	}
	for _, shm := range []string{"rw", "ro"} {
		run := exec.Command("unshare", "--mount", "sh", "-c", `mount -t tmpfs -o ro none "$0" && mount -t tmpfs -o "$2" none /dev/shm && `+
			`CACHE_DIRECTORY=$0 TMPDIR=$0 "$1" check -b 127.0.0.1:0`, t.TempDir(), name, shm)
		out, err := run.CombinedOutput()
		pattern := "/dev/shm/fapws-0/"
		if shm == "ro" {
			pattern = "^fapws: cannot unpack .*: read-only file system; name another directory with --cache-dir\n$"
		}
		fapwstest.Truef(t, (err == nil) == (shm == "rw") && regexp.MustCompile(pattern).Match(out),
			"read-only disks, /dev/shm %s: %v, %s", shm, err, out)
	}
}

// confined starts a bundle whose workers try to write to its executable and to its unpacked files.
func confined(t *testing.T, name, site string) {
	folder := fapwstest.PublicFolder(t)
	program := filepath.Join(folder, "shop")
	fapwstest.Must(t, os.WriteFile(program, fapwstest.Try(os.ReadFile(name)).Must(t), 0o755))
	all := [][]string{{"--user", "daemon"}, {"--user", "daemon", "--sandbox", "--chroot", folder}}
	if os.Geteuid() != 0 {
		all = nil
	}
	if _, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION); errno == 0 {
		all = append(all, []string{"--sandbox", "--allow-root"})
	}
	for _, flags := range all {
		s := fapwstest.Command{Program: program, Dir: folder, Flags: append([]string{"-b", "127.0.0.1:0"}, flags...),
			Env: []string{"FAPWS_CACHE_DIR=" + filepath.Join(folder, "cache")}}.Started(t)
		s.Get("/write", 200).Is(t, "nothing")
		s.Reload()
		s.Get("/", 200).Is(t, "HELLO")
		s.Get("/write", 200).Is(t, "nothing")
		s.Stop()
	}
	if os.Geteuid() == 0 { // the user of an upgrade cannot write to the cache directory of root
		tmp := filepath.Join(folder, "temporary")
		fapwstest.Must(t, os.Mkdir(tmp, 0o700))
		fapwstest.Must(t, os.Chmod(tmp, 0o777|os.ModeSticky))
		next := filepath.Join(folder, "next")
		fapwstest.Command{Flags: []string{"bundle", filepath.Join(site, "app.py"), "-o", next, "--no-source"}}.Succeeds(t)
		s := fapwstest.Command{Program: program, Dir: folder, Flags: []string{"-b", "127.0.0.1:0", "--user", "daemon"},
			Env: []string{"CACHE_DIRECTORY=" + filepath.Join(folder, "var"), "TMPDIR=" + tmp}}.Started(t)
		fapwstest.Must(t, os.Rename(next, program))
		s.Upgrade()
		s.Get("/", 200).Is(t, "HELLO")
		s.Stop()
	}
}

const bundledSite = `workers = 1
timeout = 20
app = "app.py"
access-log = "access.log"
static = ["/inside=templates"]
headers = { X-One = "inside", X-Two = "inside" }

[[host]]
name = "inside.example"
[[host.route]]
prefix = "/"
status = 200
text = "inside"
`

// upgrade replaces the file of a running bundle by a second version, which USR2 starts, and then by files that cannot
// start. Another server continues with the first version.
func upgrade(t *testing.T, name, site string) {
	fapwstest.Write(t, filepath.Join(site, "fapws.toml"), bundledSite)
	bundle := func() {
		t.Helper()
		fapwstest.Command{Flags: []string{"bundle", site, "-o", name}}.Succeeds(t)
	}
	bundle()
	c := ofBundle(t, name, "-b", "127.0.0.1:0")
	s := c.Started(t)
	s.Get("/", 200).Is(t, "HELLO")
	other := c
	other.Program = filepath.Join(t.TempDir(), "shop")
	fapwstest.Must(t, os.Link(name, other.Program))
	first := other.Started(t)
	fapwstest.Write(t, filepath.Join(site, "templates", "page.txt"), "second")
	bundle()
	s.Reload()
	s.Get("/", 200).Is(t, "HELLO")
	s.Upgrade()
	s.Get("/", 200).Is(t, "SECOND")
	whole := fapwstest.Try(os.ReadFile(name)).Must(t)
	install := func(text []byte) {
		fapwstest.Must(t, os.WriteFile(name+".new", text, 0o755))
		fapwstest.Must(t, os.Rename(name+".new", name))
	}
	for _, text := range [][]byte{whole[:len(whole)-1000], append(whole[:len(whole):len(whole)], whole...)} {
		install(text)
		s.Signaled(syscall.SIGUSR2, "upgrade failed; the old workers keep serving")
		s.Get("/", 200).Is(t, "SECOND")
	}
	install(whole)
	s.Upgrade()
	s.Get("/", 200).Is(t, "SECOND")
	first.Reload()
	first.Get("/", 200).Is(t, "HELLO")
	for _, one := range []*fapwstest.Server{s, first} {
		fapwstest.Command{Program: name, Flags: []string{"ctl", "--pid", fmt.Sprint(one.Cmd.Process.Pid), "status"}}.Succeeds(t)
		one.Stop()
	}
	_, err := os.Stat(filepath.Join(c.Dir, "access.log"))
	fapwstest.Mustf(t, err, "logs are beside the process")
}

const outsideFile = `threads = 2
access-logfile = "outside.log"
static = ["/outside=data"]
headers = { X-Two = "outside" }

[[host]]
name = "outside.example"
root = "data"
`

// configure starts a bundle with a file that overrides a part of bundledSite.
func configure(t *testing.T, name string) {
	etc := t.TempDir()
	outside := fapwstest.Write(t, filepath.Join(etc, "shop.toml"), outsideFile)
	fapwstest.Must(t, os.Mkdir(filepath.Join(etc, "data"), 0o755))
	fapwstest.Write(t, filepath.Join(etc, "data", "index.html"), "data")
	c := ofBundle(t, name, "-c", outside, "-b", "127.0.0.1:0")
	s := c.Started(t)
	of := func(host string) *fapwstest.Answer {
		return s.Ask("GET / HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n")
	}
	s.Get("/", 200).Field(t, "X-One", "inside", "X-Two", "outside").Is(t, "SECOND")
	s.Get("/inside/page.txt", 200).Is(t, "SECOND") // arrays are replaced
	s.Get("/outside/index.html", 200).Is(t, "data")
	of("outside.example").Is(t, "data")
	of("inside.example").Is(t, "SECOND") // and arrays of tables
	fapwstest.Replace(t, outside, strings.ReplaceAll(outsideFile, `"outside" }`, `"later" }`))
	s.Reload()
	s.Get("/", 200).Field(t, "X-One", "inside", "X-Two", "later")
	s.Stop()
	fapwstest.Truef(t, fapwstest.Exists(filepath.Join(etc, "outside.log")), "relative paths do not start at the file that has them")

	data := t.TempDir()
	c.Flags = []string{"--chdir", data, "-b", "127.0.0.1:0"}
	s = c.Started(t)
	s.Get("/", 200).Is(t, "SECOND")
	s.Stop()
	fapwstest.Truef(t, fapwstest.Exists(filepath.Join(data, "access.log")), "relative paths inside do not start at --chdir")

	c.Flags = []string{"-c", outside, "--timeout", "10", "--print-config"}
	config := c.Succeeds(t)
	for _, pattern := range []string{`(?m)^timeout +10s +flag --timeout$`, `(?m)^threads +2 +file \S+/shop.toml:1$`,
		`(?m)^access-log +\S+/outside.log\s+file \S+/shop.toml:2$`} {
		fapwstest.Truef(t, regexp.MustCompile(pattern).MatchString(config), "no %s in %s", pattern, config)
	}
	c.Flags = []string{"-c", outside, "--print-config"}
	config = c.Succeeds(t)
	fapwstest.Truef(t, regexp.MustCompile(`(?m)^timeout +20s +file \S+/app/fapws.toml:2$`).MatchString(config), "%s", config)
	fapwstest.Write(t, outside, "thraeds = 2\n")
	c.Fails(t, 2, "unknown key thraeds, did you mean threads?")
	c.Flags = []string{"-c", fapwstest.Write(t, filepath.Join(etc, "gunicorn.conf.py"), "workers = 2\n")}
	c.Fails(t, 2, "gunicorn.conf.py: an application in one file does not read the settings of gunicorn; write those to change into "+
		"fapws.toml, and type -c fapws.toml")
}

// bundledParts serves samples of frameworks, and uses what depends on files, libraries and children.
const bundledParts = `import asyncio, ctypes, datetime, multiprocessing, os, ssl, subprocess, sys, zoneinfo
import certifi, uvloop
from bottle_sample.app import app as bottle
from fastapi_sample.app import application
from app import app as flask
from helpers import double

@application.get("/parts")
def parts():
    done = [ssl.create_default_context(cafile=certifi.where()).cert_store_stats()["x509_ca"] > 50]
    done.append(str(datetime.datetime(2026, 1, 1, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin")).utcoffset()))
    done.append(ctypes.CDLL(None).getpid() == os.getpid())
    for method in "spawn", "fork":
        with multiprocessing.get_context(method).Pool(1) as pool:
            done += pool.map(double, [21])
    words = [sys.executable, "-c", "import certifi, helpers; print(helpers.double(4))"]
    return done + [subprocess.run(words, stdout=subprocess.PIPE).stdout.decode()]

@application.get("/loop")
async def loop():
    return isinstance(asyncio.get_running_loop(), uvloop.Loop)

PATHS = [("/flask", flask), ("/bottle", bottle), ("/", application)]
`

func TestBundlesOfFrameworksServe(t *testing.T) {
	venv, samples, extra := fapwstest.Today(t), "../../../../samples/", t.TempDir()
	for _, module := range []string{"bottle", "uvloop"} { // packages of the system
		fapwstest.NeedModule(t, module)
		file := strings.TrimSpace(string(fapwstest.Try(exec.Command(fapwstest.Python, "-c",
			"import "+module+" as m; print(m.__file__)").Output()).Must(t)))
		file = strings.TrimSuffix(file, "/__init__.py")
		fapwstest.Must(t, os.Symlink(file, filepath.Join(extra, filepath.Base(file))))
	}
	bundle := func(t *testing.T, site, script string, flags ...string) string {
		name := filepath.Join(t.TempDir(), "shop")
		c := fapwstest.Command{Flags: []string{"--venv", venv, "--pythonpath", extra, "bundle", filepath.Join(site, script), "-o", name}}
		c.Flags = append(c.Flags, flags...)
		c.Succeeds(t)
		fapwstest.Must(t, os.RemoveAll(site))
		return name
	}
	t.Run("Flask, Bottle and FastAPI with uvloop", func(t *testing.T) {
		site := t.TempDir()
		for sample, folder := range map[string]string{"flask": "", "bottle": "bottle_sample", "fastapi": "fastapi_sample"} {
			fapwstest.Must(t, os.CopyFS(filepath.Join(site, folder), os.DirFS(samples+sample)))
		}
		fapwstest.Write(t, site+"/main.py", bundledParts)
		fapwstest.Write(t, site+"/helpers.py", "def double(n):\n    return 2 * n\n")
		name := bundle(t, site, "main.py", "--visit", "/loop")
		s := ofBundle(t, name, "-b", "127.0.0.1:0").Started(t)
		for _, path := range []string{"/flask/", "/flask/static/style.css", "/bottle/", "/tasks", "/openapi.json"} {
			s.Get(path, 200)
		}
		s.Get("/loop", 200).Is(t, "true")
		s.Get("/parts", 200).Is(t, `[true,"1:00:00",true,42,42,"8\n"]`)
		s.Stop()
	})
	t.Run("Flask and Bottle, also without extension modules", func(t *testing.T) {
		site := t.TempDir()
		fapwstest.Must(t, os.CopyFS(site, os.DirFS(samples+"flask")))
		fapwstest.Must(t, os.CopyFS(filepath.Join(site, "bottle_sample"), os.DirFS(samples+"bottle")))
		fapwstest.Write(t, site+"/main.py", "from bottle_sample.app import app as bottle\nfrom app import app as flask\n"+
			"PATHS = [('/bottle', bottle), ('/', flask)]\n")
		s := ofBundle(t, bundle(t, site, "main.py"), "-b", "127.0.0.1:0").Started(t)
		for _, path := range []string{"/", "/static/style.css", "/bottle/"} {
			s.Get(path, 200)
		}
		s.Stop()
	})
	t.Run("Django", func(t *testing.T) {
		site := t.TempDir()
		fapwstest.Must(t, os.CopyFS(site, os.DirFS(samples+"django")))
		const own = "locale/fr/LC_MESSAGES/own.mo"
		fapwstest.Must(t, os.MkdirAll(filepath.Dir(filepath.Join(site, own)), 0o755))
		fapwstest.Write(t, filepath.Join(site, own), "")
		name := bundle(t, site, "wsgi.py", "--languages", "pt-br")
		out := fapwstest.Command{Flags: []string{"bundle", "--list", name}}.Succeeds(t)
		fapwstest.Truef(t, strings.Contains(out, "app/"+own+"\n") && strings.Contains(out, "/locale/pt_BR/LC_MESSAGES/django.mo\n") &&
			!strings.Contains(out, "/locale/fr/LC_MESSAGES/django.mo\n"), "%s", out)
		s := ofBundle(t, name, "-b", "127.0.0.1:0").Started(t)
		for _, path := range []string{"/", "/admin/login/", "/static/admin/css/base.css"} {
			s.Get(path, 200)
		}
		s.Stop()
	})
}
