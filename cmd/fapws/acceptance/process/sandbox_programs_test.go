package process_test

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// The programs run in the same sandbox as the application.
func TestSandboxAllowsTheSourcesOfAConfigurationFile(t *testing.T) {
	t.Parallel()
	upstream := fapwstest.Upstream(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "upstream") })
	folder, outside := fapwstest.PublicFolder(t), fapwstest.PublicFolder(t)
	secret := fapwstest.Write(t, outside+"/secret", "secret")
	fapwstest.Write(t, folder+"/site/page.txt", "page")
	fapwstest.Write(t, folder+"/site/page.shtml", `<!--#include virtual="/page.txt" -->`)
	fapwstest.Write(t, folder+"/users", "anna:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\n")
	fapwstest.Write(t, folder+"/site/a.php", "<?php echo PHP_MAJOR_VERSION > 6, '|', @file_get_contents('"+secret+
		"'), '|', dirname(tempnam('', 'x'));")
	script := fapwstest.Write(t, folder+"/programs/a.sh", "#!/bin/sh\necho 'Content-Type: text/plain'\necho\ncat "+
		secret+" 2>/dev/null\necho x >"+folder+"/site/new 2>/dev/null && echo written\ndate +%Y | tr 0-9 d\nmktemp\n")
	hangs := fapwstest.Write(t, folder+"/programs/hangs.sh",
		"#!/bin/sh\necho 'Content-Type: text/plain'\necho\necho begun\nsleep 300\n")
	fapwstest.Write(t, folder+"/app/app.py", fapwstest.Source(t, "attacker.py"))
	for path, mode := range map[string]os.FileMode{script: 0o755, hangs: 0o755, folder + "/site": 0o777, outside: 0o755} {
		fapwstest.Must(t, os.Chmod(path, mode))
	}
	config := fapwstest.Write(t, folder+"/fapws.toml", `sandbox = true
max-cgi = 1
app = "app/app.py"
reload-check = "http://files.lan/page.txt" # which asks clients for a password
[[host]]
name = "files.lan"
root = "site"
ssi = true
route = [
  { prefix = "/programs/", cgi = "programs" },
  { match = "*.php", php = true },
  { prefix = "/upstream", proxy = "`+upstream.URL+`" },
  { match = "page.txt", auth = { users = "users", realm = "x" } },
]
`)
	c := fapwstest.Command{Flags: []string{"-c", config}, Env: []string{"TMPDIR=/tmp"}, Complains: true}
	s := unprivileged(t, c).Serve(t, fapwstest.Mode{})
	seen, written := "", ""
	if landlock() == 0 {
		s.Says("cannot restrict files")
		seen, written = "secret", "written\n"
	}
	get := func(path string) string {
		t.Helper()
		return s.Ask(fmt.Sprintf("GET %s HTTP/1.1\r\nHost: files.lan\r\nAuthorization: Basic "+
			"YW5uYTpwYXNzd29yZA==\r\nConnection: close\r\n\r\n", path)).Want(t, 200).Text
	}
	check := func() {
		t.Helper()
		for path, want := range map[string]string{
			"/page.txt":      "page",
			"/page.shtml":    "page",
			"/upstream":      "upstream",
			"/a.php":         `1\|` + seen + `\|/tmp/fapws-sandbox-\d+`,
			"/programs/a.sh": seen + written + `dddd\n/tmp/fapws-sandbox-\d+/tmp\.\w+\n`,
		} {
			got := get(path)
			fapwstest.Truef(t, regexp.MustCompile("^"+want+"$").MatchString(got), "%s: %q, want %q", path, got, want)
		}
		// A program is killed when its client disconnects, so that the next program can start.
		w := s.DialSend("GET /programs/hangs.sh HTTP/1.1\r\nHost: files.lan\r\n\r\n")
		w.Head("GET")
		w.Conn.Close()
		get("/programs/a.sh")
		s.Get("/attack?exec,/bin/true", 200).Is(t, "done: ") // the program runs in the sandbox, too
	}
	check()
	s.Reload()
	check()
	fapwstest.Change(t, config, "sandbox = true", "sandbox = false")
	s.SignalLogs(syscall.SIGHUP, "changes of sandbox take effect after a restart")
	check()
	left, _ := filepath.Glob(folder + "/site/new")
	fapwstest.Truef(t, landlock() == 0 || len(left) == 0, "a program has made %s", left)
}

func TestSandboxedApplicationCannotRedirectUploads(t *testing.T) {
	t.Parallel()
	x := newSandboxed(t, fapwstest.Threads)
	victim, stored := filepath.Dir(x.secret), fapwstest.PublicFolder(t)
	fapwstest.Must(t, os.Chmod(stored, 0o777))
	x.c.Script = ""
	x.c.Flags = append(x.c.Flags, "-c", fapwstest.Write(t, filepath.Dir(filepath.Dir(x.app))+"/fapws.toml",
		`app = "app/app.py"
[[host]]
name = "files.lan"
route = [{ prefix = "/firmware", upload = { to = "`+stored+`/image" } }]
`))
	s := x.c.Serve(t, fapwstest.Mode{})
	put := func(status int) {
		t.Helper()
		s.Ask("PUT /firmware HTTP/1.1\r\nHost: files.lan\r\nContent-Length: 3\r\nConnection: close\r\n\r\nnew").Want(t,
			status)
	}
	put(201)
	s.Get("/attack?replace,"+stored+"/image,"+victim, 200).Is(t, "done: None")
	s.ReloadFails("leads through a symbolic link that the application can have made")
	s.Get("/attack?create,"+victim+"/new", 200).Is(t, "refused: EACCES")
	put(201)
	if entries, _ := os.ReadDir(victim); len(entries) != 1 || fapwstest.TextOf(t, x.secret) != "secret" {
		t.Errorf("files in the directory that the link leads to: %v", entries)
	}
	fapwstest.Equal(t, fapwstest.TextOf(t, stored+"/image"), "new")
}

func TestSandboxedApplicationThatWakesLoadsOutside(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Threads, fapwstest.Forks}, func(t *testing.T, m fapwstest.Mode) {
		served := fapwstest.PublicFolder(t)
		fapwstest.Write(t, served+"/page.txt", "page")
		x := newSandboxed(t, m, "--idle-stop", "50ms", "--static", "/files="+served)
		x.c.Args = []string{x.secret}
		s := x.c.Serve(t, m)
		x.attacks(t, s, m, landlock())
		for range 2 {
			sleeps(s)
			s.Get("/attack?status", 200).Is(t, "done: 12")
			s.Get("/attack?memory", 200).Is(t, "refused: EACCES")
			if !m.Forks() {
				s.Get("/attack?read,"+served+"/page.txt", 200).Is(t, "done: 4")
			}
			s.Get("/files/page.txt", 200).Is(t, "page")
			if landlock() >= files {
				s.Get("/attack?read,"+x.secret, 200).Is(t, "refused: EACCES")
				s.Get("/attack?own", 200).Is(t, "refused: EACCES")
			}
		}
		for _, pid := range s.Workers() {
			everyThreadIsFiltered(t, append(slices.Collect(maps.Keys(fapwstest.ChildrenOf(t, pid))), pid)...)
		}
	})
}

func TestSandboxAppliesWhileTheApplicationSleepsOrWakes(t *testing.T) {
	for _, mode := range []string{"on", "strict"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			if landlock() < files || mode == "strict" && landlock() < scopes {
				t.Skip("this kernel cannot restrict files")
			}
			x := newSandboxed(t, fapwstest.Threads, "--sandbox="+mode, "--idle-stop", "50ms", "--health", "/healthz")
			fapwstest.Write(t, x.app, fapwstest.Source(t, "confused.py")+"PATHS.pop()\n")
			x.c.Args = []string{x.secret, x.data}
			x.c.Flags = append(x.c.Flags, "--static", "/data="+x.data)
			s := x.c.Serve(t, fapwstest.Threads)
			s.Get("/link", 200).Is(t, "linked")
			for _, asleep := range []bool{false, true} {
				for _, path := range []string{"/file/secret", "/program", "/data/link/secret"} {
					if asleep {
						sleeps(s)
					}
					a := s.Ask(fapwstest.Get(path))
					fapwstest.Truef(t, !strings.Contains(a.Text, "secret") && !strings.Contains(a.Text, "it ran") &&
						a.StatusCode >= 400, "%s: %d, %q", path, a.StatusCode, a.Text)
				}
			}
			sleeps(s)
			s.Get("/healthz/ready", 200).Is(t, "ready\n")
			fapwstest.Equal(t, countStates(s, "asleep"), 1)
		})
	}
}

// The loader is the process that loads the application and forks a child for each request. If the loader dies, a new
// loader replaces it, and its children are in the sandbox, too.
func TestSandboxOfForksDoesNotReadFilesThroughTheServer(t *testing.T) {
	for _, mode := range [][]string{nil, {"--sandbox=strict"}, {"--idle-stop=10m"}} {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			x := newSandboxed(t, fapwstest.Forks, append(mode, "--x-sendfile", "/", "--x-accel", "/x=/")...)
			fapwstest.Write(t, x.app, fapwstest.Source(t, "confused.py"))
			x.c.Args = []string{x.secret, x.data}
			s := x.c.Serve(t, fapwstest.Forks)
			for _, path := range []string{"/file/secret", "/program", "/header?X-Sendfile", "/header?X-Accel-Redirect",
				"/raw?X-Sendfile=", "/raw?Status=200%0D%0AX-Accel-Redirect=/x", "/raw?Location=/private/../private"} {
				a := s.Ask(fapwstest.Get(path))
				fapwstest.Truef(t, a.Text != "secret" && !regexp.MustCompile("it ran").MatchString(a.Text) && a.StatusCode != 404,
					"%s: %d, %q", path, a.StatusCode, a.Text)
			}
			old := s.Get("/who", 200).Number(t)
			fapwstest.Kill(t, syscall.SIGKILL, old)
			s.Says(`replacing worker \d+: the loader of --fork was killed by signal 9`)
			fapwstest.Eventually(t, "another process answers", func() bool {
				a := s.Ask(fapwstest.Get("/who"))
				return a.StatusCode == 200 && a.Text != strconv.Itoa(old)
			})
			everyThreadIsFiltered(t, s.Family()[1:]...)
		})
	}
}

// takenOver is a server with an application in a sandbox (testdata/hostile.py). An attacker controls the application
// and sends forged messages to the supervisor.
type takenOver struct {
	*fapwstest.Server
	// directory for the files named in forged messages; only the supervisor may write there
	place string
}

// serveTakenOver starts a server with a hostile application. While the application loads, it sends messages of the
// kinds that the parameter kinds lists.
func serveTakenOver(t *testing.T, m fapwstest.Mode, kinds string, flags ...string) *takenOver {
	t.Helper()
	folder := fapwstest.PublicFolder(t)
	x := &takenOver{place: folder + "/place"}
	fapwstest.Must(t, os.Mkdir(x.place, 0o777), os.Chmod(x.place, 0o777))
	x.says(kinds)
	text := fapwstest.Source(t, "hostile.py")
	if m.Forks() {
		text = strings.Replace(text, "async def app", "async def other", 1) + wsgi
	}
	app := fapwstest.Write(t, folder+"/app/hostile.py", text)
	c := fapwstest.Command{Script: app, Args: []string{x.place}, Complains: true, Flags: flags}
	x.Server = unprivileged(t, c).Serve(t, m)
	return x
}

func (x *takenOver) says(kinds string) { _ = os.WriteFile(x.place+"/say", []byte(kinds), 0o644) }

func (x *takenOver) isUnharmed(when string) {
	x.T.Helper()
	fapwstest.Equalf(x.T, len(fapwstest.Try(os.ReadDir(x.place)).Must(x.T)), 1, "%s: the supervisor has made", when)
	if status := x.Control("status"); strings.Contains(status, x.place) || strings.Contains(status, "forged") {
		x.T.Errorf("%s: the supervisor believes %s", when, status)
	}
}

const wsgi = `

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(say(environ["QUERY_STRING"])).encode()]
`

// harmless lists the kinds of messages that an application in a sandbox may send, and a kind that does not exist. fatal
// lists the kinds for which the supervisor kills the sender.
var (
	harmless = strings.Split("loaded,started,failing,checked,unused,recycle,join,publish,counts,last "+
		"words,ask,answer,purge,listen,retire,depart,stop,quit,reopen,check,notice,events,give,take,piece,read,new", ",")
	fatal = []string{"configured", "confined", "certificates", "closed"}
)

// Messages from inside the sandbox must not make the supervisor write a file or bind an address.
func TestForgedSettingsNameNoFileOrAddress(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Workers, fapwstest.Asleep}, func(t *testing.T, m fapwstest.Mode) {
		x := serveTakenOver(t, m, "loaded,unused", "--sandbox")
		x.isUnharmed("start")
		if m.Name == fapwstest.Asleep.Name {
			for range 2 {
				sleeps(x.Server)
				x.Get("/", 200).Is(t, "hello")
				x.isUnharmed("wake")
			}
			x.says("configured")
			sleeps(x.Server)
			_, _ = x.Dial().Tries(fapwstest.Get("/"))
			x.Says(`sent the message "configured" while it was waking and was killed`)
			x.says("loaded")
			x.HasWorkers(1)
		}
		x.Reload()
		x.isUnharmed("reload")
		x.Upgrade()
		x.isUnharmed("upgrade")
		x.Get("/", 200).Is(t, "hello")
	})
}

func TestForgedMessageEndsAtMostItsSender(t *testing.T) {
	t.Parallel()
	x := serveTakenOver(t, fapwstest.Threads, strings.Join(harmless, ","), "--sandbox")
	x.isUnharmed("start")
	for _, kind := range fatal {
		x.says(kind)
		x.ReloadFails(`sent the message "` + kind + `" while it was entering and was killed`)
		x.isUnharmed(kind + " before loaded")
	}
	x.says("")
	x.Reload()
	for _, kind := range append([]string{strings.Join(harmless, ",")}, fatal...) {
		killed := func() int { return strings.Count(x.Stderr.String(), `sent the message "`+kind+`"`) }
		before := killed()
		_, _ = x.Dial().Tries(fapwstest.Get("/?" + strings.ReplaceAll(kind, " ", "+")))
		fapwstest.Eventually(t, "the sender of "+kind+" has been judged, and the server answers", func() bool {
			a, err := x.Dial().Tries(fapwstest.Get("/"))
			return err == nil && a.Text == "hello" && (killed() > before) == slices.Contains(fatal, kind)
		})
		x.isUnharmed(kind)
	}
}

func TestForkedHandlerHasNoChannelToTheSupervisor(t *testing.T) {
	t.Parallel()
	x := serveTakenOver(t, fapwstest.Forks, "", "--sandbox", "--workers", "2")
	x.Get("/?configured", 200).Is(t, "0")
	x.isUnharmed("fork")
}
