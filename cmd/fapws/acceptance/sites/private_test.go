package sites_test

import (
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// The server serves the directory of an application, but hides the files that the configuration names. Links to these
// files, with any name, are hidden, too. The server also hides source files, backups and databases, unless a setting
// allows them.
func TestPrivateFilesOfAnApplicationAreHidden(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, top, app string }{
		{"root", "root = \".\"\n", "def application(e, s): s('404 Not Found', []); return [b'app']\n"},
		{"static", "static = \"/=.\"\n", "def application(e, s): s('404 Not Found', []); return [b'app']\n"},
		{"Staticfile", "", "from fapws.contrib.views import Staticfile\nPATHS = [('/', Staticfile('.', listing=True))]\n"},
		{"handler", "", "from fapws.contrib.views import Staticfile\nfiles = Staticfile('.', listing=True)\nPATHS = " +
			"[('/', lambda e, s: files(e, s))]\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			fapwstest.Write(t, dir+"/app.py", c.app)
			fapwstest.Write(t, dir+"/fapws.toml", c.top+`app = "app.py"
access-log = "access.log"
error-log = "error.log"
pid = "run.pid"
env-file = "settings.txt"
autoindex = true
expose = ["shown.db"]
`)
			secret := []string{"helper.py", "app.py~", "app.py.bak", "notes.bak", "data.sqlite3", "data.sqlite3-wal", "blog.db",
				"BLOG.DB", "Old.Bak", "HELPER.PY", "helper.py.1", "blog.db.gz", "blog.sql", "blog.sql.gz", "blog.bak2",
				"blog.bak.gz", "data.dump", "blog.db.2026-01-01.zst", "stubs.pyi", "error.log.1.gz", "access.log.2.gz",
				"run.pid.old", "sub/other.py"}
			public := map[string]string{}
			for _, name := range []string{"page.html", "log.txt", "mysql.html", "db.txt", "intro.sql.html",
				"sub/page.html", "app.css"} {
				public[name] = fapwstest.Read(t, fapwstest.Write(t, dir+"/"+name, "text of "+name))
			}
			for _, name := range secret {
				fapwstest.Write(t, dir+"/"+name, "text of "+name)
			}
			fapwstest.Write(t, dir+"/settings.txt", "SECRET=x\n")
			fapwstest.Write(t, dir+"/shown.db", "asked for")
			secret = append(secret, "app.py", "fapws.toml", "access.log", "error.log", "run.pid", "settings.txt")
			for from, to := range map[string]string{"link.txt": "app.py", "source.txt": "helper.py",
				"config.txt": "fapws.toml", "base.txt": "blog.db"} {
				fapwstest.Must(t, os.Symlink(to, dir+"/"+from))
				secret = append(secret, from)
			}
			fapwstest.Must(t, os.Link(dir+"/fapws.toml", dir+"/hard.txt"))
			secret = append(secret, "hard.txt")
			flags := []string{"--bind", "127.0.0.1:0", "-c", dir + "/fapws.toml"}
			s := fapwstest.Command{Flags: flags, Dir: dir, Complains: true}.Started(t)
			if c.name == "root" || c.name == "static" {
				public["shown.db"] = "asked for"
			}
			if c.name != "root" {
				s.Get("/", 200)
			}
			hidesFiles(t, s, secret, public)
		})
	}
}

// A configuration file that this server does not read is hidden, too: another server may read it.
func TestConfigurationThatIsNotReadIsHidden(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fapwstest.Write(t, dir+"/fapws.toml", "threads = 1\n")
	fapwstest.Write(t, dir+"/page.html", "text of page.html")
	s := fapwstest.Command{Flags: []string{"-c", "off", "--autoindex", "-b", "127.0.0.1:0", dir}, Dir: dir}.Started(t)
	hidesFiles(t, s, []string{"fapws.toml"}, map[string]string{"page.html": "text of page.html"})
}

// hidesFiles checks that no request gets a secret file. If there is a listing, it must have the public files only.
func hidesFiles(t *testing.T, s *fapwstest.Server, secret []string, public map[string]string) {
	t.Helper()
	list := s.Ask(fapwstest.Get("/"))
	lists := func(name string) bool { return strings.Contains(list.Text, ">"+name+"<") }
	for _, name := range secret {
		for _, request := range []string{
			fapwstest.Get("/" + name), fapwstest.Get("/"+name, "Range: bytes=0-1"),
			fapwstest.Get("/"+name, "Accept-Encoding: gzip, zstd"),
			fapwstest.Get("/"+name, "If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT"),
			fapwstest.Request("HEAD", "/"+name, ""), fapwstest.Request("OPTIONS", "/"+name, ""),
		} {
			a := s.Ask(request)
			options := strings.HasPrefix(request, "OPTIONS") && (a.StatusCode == 405 || a.StatusCode == 204)
			fapwstest.Truef(t, a.StatusCode == 404 || options, "%q: %d %.100q", request, a.StatusCode, a.Text)
		}
		fapwstest.Truef(t, !lists(name), "%s is listed", name)
	}
	for name, text := range public {
		s.Ask(fapwstest.Get("/"+name)).Want(t, 200).Is(t, text)
		fapwstest.Truef(t, list.StatusCode != 200 || strings.Contains(name, "/") || lists(name), "%s is not listed", name)
	}
}

// Key files are also hidden under the names of links, and for any kind of request.
func TestProjectDirectoryWithoutItsApplicationHidesSources(t *testing.T) {
	t.Parallel()
	const key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
	dir := t.TempDir()
	secret := map[string]string{
		"manage.py": "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'mysite.settings')\n", "mysite/wsgi.py": "",
		"mysite/settings.py":    "SECRET_KEY = 1\n",
		"mysite/settings.py.gz": "gz", "db.sqlite3": "x", "mail.secret": "x", "server.key": key,
		"both.pem": "certificate\n" + key, "id_rsa": "x", "id_work": key, "ssh_host_rsa_key": key,
		"server.key.gz": "gz", "server.key.br": "br", "both.pem.gz": "gz", "both.pem.br": "br", "both.pem.zst": "zst",
		"id_rsa.gz": "gz", "id_work.br": "br", "ssh_host_rsa_key.zst": "zst",
	}
	public := map[string]string{
		"page.html": "page", "app.js": "js",
		"chain.pem": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "id_rsa.pub": "ssh-rsa AAAA",
		"id_list.html": "ids", "press_key": "any",
		"id_list.html.gz": "page", "twice.txt": "of two names",
	}
	for _, files := range []map[string]string{secret, public} {
		for name, text := range files {
			fapwstest.Write(t, dir+"/"+name, text)
		}
	}
	for from, to := range map[string]string{"hard.txt": "mysite/settings.py", "again.txt": "twice.txt",
		"notes.txt": "both.pem"} {
		fapwstest.Must(t, os.Link(dir+"/"+to, dir+"/"+from))
	}
	fapwstest.Must(t, os.Symlink("id_work", dir+"/soft.txt"))
	secret["hard.txt"], secret["soft.txt"], secret["notes.txt"] = "", "", ""
	public["again.txt"] = public["twice.txt"]
	elsewhere := t.TempDir()
	fapwstest.Write(t, elsewhere+"/app.py", "from fapws.contrib.views import Staticfile\nPATHS = [('/', Staticfile("+
		strconv.Quote(dir)+", listing=True))]\n")
	fapwstest.Write(t, elsewhere+"/fapws.toml", "autoindex = true\n[[host]]\nroot = "+strconv.Quote(elsewhere)+
		"\n[[host.route]]\nprefix = \"/\"\nfiles = "+strconv.Quote(dir)+"\n")
	for name, flags := range map[string][]string{
		"directory": {dir}, "table": {"-c", elsewhere + "/fapws.toml"},
		"Staticfile": {"-c", "off", elsewhere + "/app.py"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := fapwstest.Command{Flags: append([]string{"--bind", "127.0.0.1:0"}, flags...), Complains: true}.Started(t)
			if hint := "looks like a project (manage.py)"; name == "Staticfile" {
				fapwstest.Lacks(t, s.Stderr.String(), hint)
			} else {
				fapwstest.Has(t, s.Stderr.String(), hint, "type fapws -C "+dir+" mysite.wsgi\n")
			}
			s.Get("/", 200)
			hidesFiles(t, s, slices.Collect(maps.Keys(secret)), public)
		})
	}
	t.Run("exposed", func(t *testing.T) {
		t.Parallel()
		s := fapwstest.Command{Flags: []string{"--bind", "127.0.0.1:0", "--expose", "*.py,*.key,*.pem", dir},
			Complains: true}.Started(t)
		for _, name := range []string{"mysite/settings.py", "server.key", "both.pem", "hard.txt"} {
			s.Ask(fapwstest.Get("/"+name)).Want(t, 200)
		}
	})
}
