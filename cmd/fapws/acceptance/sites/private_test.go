package sites_test

import (
	"os"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// The folder of an application may be served: files that the configuration names are not served, by
// any name, and neither are sources, backups and databases, unless a setting allows it.
func TestPrivateFilesOfApplications(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, top, app string }{
		{"root", "root = \".\"\n", "def application(e, s): s('404 Not Found', []); return [b'app']\n"},
		{"static", "static = \"/=.\"\n", "def application(e, s): s('404 Not Found', []); return [b'app']\n"},
		{"Staticfile", "", "from fapws.contrib.views import Staticfile\nPATHS = [('/', Staticfile('.', listing=True))]\n"},
		{"handler", "", "from fapws.contrib.views import Staticfile\nfiles = Staticfile('.', listing=True)\nPATHS = [('/', lambda e, s: files(e, s))]\n"},
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
				"BLOG.DB", "Old.Bak", "HELPER.PY", "helper.py.1", "blog.db.gz", "blog.sql", "blog.sql.gz", "blog.bak2", "blog.bak.gz", "data.dump", "blog.db.2026-01-01.zst", "stubs.pyi",
				"error.log.1.gz", "access.log.2.gz", "run.pid.old", "sub/other.py"}
			public := []string{"page.html", "log.txt", "mysql.html", "db.txt", "intro.sql.html", "sub/page.html", "app.css"}
			for _, name := range append(public, secret...) {
				fapwstest.Write(t, dir+"/"+name, "text of "+name)
			}
			fapwstest.Write(t, dir+"/settings.txt", "SECRET=x\n")
			fapwstest.Write(t, dir+"/shown.db", "asked for")
			secret = append(secret, "app.py", "fapws.toml", "access.log", "error.log", "run.pid", "settings.txt")
			for from, to := range map[string]string{"link.txt": "app.py", "source.txt": "helper.py", "config.txt": "fapws.toml", "base.txt": "blog.db"} {
				if err := os.Symlink(to, dir+"/"+from); err != nil {
					t.Fatal(err)
				}
				secret = append(secret, from)
			}
			if err := os.Link(dir+"/fapws.toml", dir+"/hard.txt"); err != nil {
				t.Fatal(err)
			}
			secret = append(secret, "hard.txt")
			flags := []string{"--bind", "127.0.0.1:0", "-c", dir + "/fapws.toml"}
			s := fapwstest.Command{Flags: flags, Dir: dir, Complains: true}.Start(t)
			s.Address = s.Stderr.Await(t, fapwstest.BannerURL)[1]
			for _, name := range public {
				s.Ask(fapwstest.Get("/"+name)).Want(t, 200).Is(t, "text of "+name)
			}
			if c.name != "Staticfile" && c.name != "handler" {
				s.Ask(fapwstest.Get("/shown.db")).Want(t, 200).Is(t, "asked for")
			}
			for _, name := range secret {
				if a := s.Ask(fapwstest.Get("/" + name)); a.StatusCode != 404 {
					t.Errorf("%s: %d %.100q", name, a.StatusCode, a.Text)
				}
			}
			if a := s.Ask(fapwstest.Get("/")); a.StatusCode == 200 {
				for _, name := range secret {
					if !strings.Contains(name, "/") && strings.Contains(a.Text, ">"+name+"<") {
						t.Errorf("%s is listed", name)
					}
				}
				if !strings.Contains(a.Text, ">page.html<") {
					t.Errorf("page.html is not listed: %s", a.Text)
				}
			} else if c.name != "root" {
				t.Errorf("no listing: %d", a.StatusCode)
			}
		})
	}
}
