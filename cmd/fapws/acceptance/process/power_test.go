package process_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// powerApp stores a password and files, which must be on the disk when the client has the response.
const powerApp = `
import fapws
from fapws import users


def password(environ, start_response):
    users.set("users", "bob", environ["QUERY_STRING"])
    return "stored"


def check(environ, start_response):
    return str(users.check("users", "bob", environ["QUERY_STRING"]))


PATHS = [("/password", password), ("/check", check), ("/files", fapws.upload("files")), ("/", lambda e, s: "hello")]
`

// A device is a directory that outlives its server.
type device struct {
	dir string
	cut func() // loses the writes that were not synced; nil if only the server is killed

	mu       sync.Mutex
	password []string          // passwords that the file of users may have: "" or the last confirmed one, and later ones
	files    map[string]string // confirmed uploads
	ended    string            // confirmed end of a session: its cookie
	tus      string            // location of a resumable upload
	offset   int               // confirmed bytes of this upload
}

// newDevice makes the directory. If power is true, the directory is a file system of its own that can lose power.
func newDevice(t *testing.T, power bool) *device {
	t.Helper()
	d := &device{dir: t.TempDir(), files: map[string]string{}, password: []string{""}}
	if power {
		image := filepath.Join(t.TempDir(), "image")
		mount := func() error { return exec.Command("mount", "-o", "loop", image, d.dir).Run() }
		fapwstest.Write(t, image, "")
		err := os.Truncate(image, 64<<20)
		if err == nil {
			err = exec.Command("mkfs.ext4", "-q", "-F", image).Run()
		}
		if err == nil {
			err = mount()
		}
		if err != nil {
			t.Logf("this machine cannot mount a file system that loses power: %v; the server is only killed", err)
		} else {
			t.Cleanup(func() { fapwstest.Must(t, unix.Unmount(d.dir, unix.MNT_DETACH)) })
			d.cut = func() {
				t.Helper()
				fapwstest.Must(t, unix.Unmount(d.dir, 0))
				fapwstest.Must(t, mount())
			}
		}
	}
	fapwstest.Write(t, d.dir+"/app.py", powerApp)
	fapwstest.Must(t, os.MkdirAll(d.dir+"/files", 0o755))
	addUser(t, d.dir+"/users")
	unix.Sync()
	return d
}

// addUser adds the user of session.logIn to a file of users.
func addUser(t *testing.T, file string) {
	t.Helper()
	cmd := exec.Command(fapwstest.Binary(t), "user", "-f", file, "add", "ann")
	cmd.Env, cmd.Stdin = fapwstest.CleanEnviron(), strings.NewReader("correct horse\n")
	fapwstest.Must(t, cmd.Run())
}

// losePower makes the file system reject writes from now on, and forget those that were not synced
// (FS_IOC_SHUTDOWN, without a flush of the journal).
func (d *device) losePower(t *testing.T) {
	t.Helper()
	const shutdown, withoutFlush = 0x8004587d, 2
	f := fapwstest.Try(os.Open(d.dir)).Must(t)
	defer f.Close()
	fapwstest.Must(t, unix.IoctlSetPointerInt(int(f.Fd()), shutdown, withoutFlush))
}

// A session is a client of the server with cookies. Its requests fail when the server is killed.
type session struct {
	url    string
	client http.Client
}

func newSession(url string) *session {
	jar, _ := cookiejar.New(nil)
	return &session{url, http.Client{Jar: jar, Timeout: fapwstest.Patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

func (c *session) ask(method, path, body string, fields ...string) (r *http.Response, text string) {
	q, _ := http.NewRequest(method, c.url+path, strings.NewReader(body))
	q.Header.Set("Origin", c.url)
	for i := 0; i < len(fields); i += 2 {
		q.Header.Set(fields[i], fields[i+1])
	}
	r, err := c.client.Do(q)
	if err != nil {
		return &http.Response{}, ""
	}
	defer r.Body.Close()
	all, err := io.ReadAll(r.Body)
	if err != nil {
		return &http.Response{}, ""
	}
	return r, string(all)
}

const formType = "application/x-www-form-urlencoded"

var formToken = regexp.MustCompile(`name="token" value="([^"]+)"`)

func (c *session) logIn() bool {
	_, form := c.ask("GET", "/_fapws/login", "", "Accept", "text/html")
	token := formToken.FindStringSubmatch(form)
	if token == nil {
		return false
	}
	r, _ := c.ask("POST", "/_fapws/login", url.Values{"token": {token[1]}, "name": {"ann"}, "password": {"correct horse"},
		"next": {"/"}}.Encode(), "Content-Type", formType, "Accept", "text/html")
	return r.StatusCode == 303
}

func (c *session) cookie() string {
	at, _ := url.Parse(c.url)
	var all []string
	for _, k := range c.client.Jar.Cookies(at) {
		all = append(all, k.Name+"="+k.Value)
	}
	return strings.Join(all, "; ")
}

// work calls each activity again and again until the server is killed.
func (d *device) work(s *fapwstest.Server, ann *session, n int) (wait func()) {
	activities := []func(i int) bool{
		func(int) bool { r, _ := ann.ask("GET", "/", ""); return r.StatusCode == 200 },
		func(i int) bool {
			word := fmt.Sprintf("password-%d-%d", n, i)
			d.mu.Lock()
			d.password = append(d.password, word)
			d.mu.Unlock()
			r, _ := ann.ask("GET", "/password?"+word, "")
			d.mu.Lock()
			defer d.mu.Unlock()
			if r.StatusCode == 200 {
				d.password = []string{word}
			}
			return r.StatusCode == 200
		},
		func(i int) bool {
			name, text := fmt.Sprintf("%d-%d", n, i), strings.Repeat(fmt.Sprintf("%08d", i), 4000)
			r, _ := ann.ask("PUT", "/files/"+name, text)
			d.mu.Lock()
			defer d.mu.Unlock()
			if r.StatusCode == 201 {
				d.files[name] = text
			}
			return r.StatusCode == 201
		},
		func(i int) bool {
			if i == 0 {
				r, _ := ann.ask("POST", "/files", "", "Tus-Resumable", "1.0.0", "Upload-Length", "100000000",
					"Upload-Metadata", "filename dHVz")
				d.mu.Lock()
				defer d.mu.Unlock()
				d.tus, d.offset = r.Header.Get("Location"), 0
				return r.StatusCode == 201
			}
			r, _ := ann.ask("PATCH", d.tus, strings.Repeat("x", 20000), "Tus-Resumable", "1.0.0", "Upload-Offset",
				fmt.Sprint(d.offset), "Content-Type", "application/offset+octet-stream")
			d.mu.Lock()
			defer d.mu.Unlock()
			if r.StatusCode == 204 {
				d.offset += 20000
			}
			return r.StatusCode == 204
		},
		func(int) bool {
			c := newSession(ann.url)
			if !c.logIn() {
				return false
			}
			cookie := c.cookie()
			r, _ := c.ask("POST", "/_fapws/logout", "", "Content-Type", formType, "Accept", "text/html")
			d.mu.Lock()
			defer d.mu.Unlock()
			if r.StatusCode == 303 && r.Header.Get("Location") == "/_fapws/login?out" {
				d.ended = cookie
			}
			return r.StatusCode == 303
		},
		func(int) bool { time.Sleep(50 * time.Millisecond); return s.Cmd.Process.Signal(syscall.SIGHUP) == nil },
	}
	return fapwstest.InBackground(len(activities), func(k int) {
		for i := 0; activities[k](i); i++ {
		}
	})
}

// check compares the files with what the server has confirmed.
func (d *device) check(t *testing.T, ann *session) {
	t.Helper()
	for name, want := range d.files {
		got, err := os.ReadFile(filepath.Join(d.dir, "files", name))
		fapwstest.Truef(t, err == nil && string(got) == want, "the upload %s was lost: %d bytes, %v", name, len(got), err)
	}
	known := slices.IndexFunc(d.password, func(word string) bool {
		_, text := ann.ask("GET", "/check?"+word, "")
		return text == "True" || word == "" && !strings.Contains(fapwstest.Read(t, d.dir+"/users"), "bob:")
	})
	fapwstest.Needf(t, known >= 0, "the password is none of %v", d.password)
	if d.ended != "" {
		r, _ := newSession(ann.url).ask("GET", "/", "", "Cookie", d.ended)
		fapwstest.Equalf(t, r.StatusCode, 401, "request of an ended session")
	}
	if d.tus != "" {
		r, _ := ann.ask("HEAD", d.tus, "", "Tus-Resumable", "1.0.0")
		offset := 0
		_, _ = fmt.Sscan(r.Header.Get("Upload-Offset"), &offset)
		if d.cut == nil {
			fapwstest.Truef(t, r.StatusCode == 200 && offset >= d.offset, "resumable upload: %d, %d of %d bytes", r.StatusCode,
				offset, d.offset)
		} else { // pieces are not synced
			fapwstest.Truef(t, r.StatusCode == 200 || r.StatusCode == 404, "resumable upload: %d", r.StatusCode)
		}
		ann.ask("DELETE", d.tus, "", "Tus-Resumable", "1.0.0")
	}
	d.password, d.files, d.ended, d.tus = d.password[known:known+1], map[string]string{}, "", ""
}

// With FAPWS_SMALL set, ./build.sh small kills the server 200 times.
func TestPowerFailureLosesNothingThatWasConfirmed(t *testing.T) {
	for _, tt := range []struct {
		name   string
		power  bool
		rounds int
	}{{"killed", false, 3}, {"without power", true, 3}} {
		if os.Getenv("FAPWS_SMALL") != "" {
			tt.rounds = 200
		}
		t.Run(tt.name, func(t *testing.T) {
			d := newDevice(t, tt.power)
			start := func() (*fapwstest.Server, *session) {
				s := fapwstest.Command{Script: d.dir + "/app.py", Dir: d.dir, Crashes: true, Complains: true, Flags: []string{
					"--workers", "1", "--login", d.dir + "/users", "--state-dir", d.dir + "/state", "--access-log",
					d.dir + "/access.log", "--error-log", d.dir + "/error.log"}}.Serve(t, fapwstest.Mode{})
				ann := newSession(s.URL)
				fapwstest.Needf(t, ann.logIn(), "ann cannot log in")
				return s, ann
			}
			s, ann := start()
			for n := range tt.rounds {
				wait := d.work(s, ann, n)
				time.Sleep(time.Duration(rand.IntN(1000)) * time.Millisecond)
				if d.cut != nil {
					d.losePower(t)
				}
				family := s.Family()
				for _, pid := range family {
					_ = syscall.Kill(pid, syscall.SIGKILL)
				}
				fapwstest.HaveEnded(t, "the server", family...)
				s.Ended()
				wait()
				if d.cut != nil {
					d.cut()
				}
				s, ann = start()
				d.check(t, ann)
			}
			for _, name := range []string{"", "state", "state/login"} {
				left := fapwstest.Try(filepath.Glob(filepath.Join(d.dir, name, ".*"))).Must(t)
				fapwstest.Truef(t, len(left) <= 2, "hidden files are left: %v", left)
			}
		})
	}
}

// A browser trusts the CA of a device after its user has installed it, so the CA must not change.
func TestPowerFailureAfterTheFirstStartKeepsTheCertificates(t *testing.T) {
	d := newDevice(t, true)
	s := fapwstest.Command{Script: d.dir + "/app.py", Dir: d.dir, Crashes: true, Complains: true, Flags: []string{
		"--tls", "auto", "--bind", "https://127.0.0.1:0", "--state-dir", d.dir + "/state"}}.Start(t)
	s.Says(`(?m)^  https://`)
	before := map[string]string{}
	for _, name := range []string{"ca.pem", "ca-key.pem", "cert.pem", "key.pem"} {
		before[name] = fapwstest.Read(t, d.dir+"/state/tls/"+name)
	}
	if d.cut != nil {
		d.losePower(t)
	}
	fapwstest.Must(t, s.Cmd.Process.Kill())
	s.Ended()
	if d.cut != nil {
		d.cut()
	}
	for name, text := range before {
		after, err := os.ReadFile(d.dir + "/state/tls/" + name)
		fapwstest.Truef(t, err == nil && string(after) == text, "%s: %d bytes, %v", name, len(after), err)
	}
}
