package samples

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"mime/multipart"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// withFramework copies the directory of script, so that the application may write to the copy, and serves it with two
// processes. The samples store their data in files, so any process may answer.
func withFramework(t *testing.T, module, script string, test func(t *testing.T, s *server), flags ...string) {
	t.Helper()
	fapwstest.NeedModule(t, module)
	folder := copySample(t, filepath.Dir(script))
	flags = slices.Clone(flags)
	for i := range flags {
		flags[i] = strings.ReplaceAll(flags[i], "FOLDER", folder)
	}
	s := startServer(t, slices.Concat([]string{"--workers", "2"}, flags), filepath.Join(folder, filepath.Base(script)),
		nil)
	s.folder = folder
	s.browse()
	test(t, s)
}

// copySample returns a copy of a sample as after a clone: without the files that .gitignore names.
func copySample(t *testing.T, sample string) (folder string) {
	t.Helper()
	folder = t.TempDir()
	fapwstest.Must(t, os.CopyFS(folder, os.DirFS(sample)))
	patterns, _ := os.ReadFile(filepath.Join(sample, ".gitignore")) // some samples have none
	kept := map[string]bool{}
	for pattern := range strings.Lines(string(patterns)) {
		pattern, keep := strings.CutPrefix(strings.TrimSpace(pattern), "!")
		for _, name := range fapwstest.Try(filepath.Glob(filepath.Join(folder, pattern))).Must(t) {
			kept[name] = keep
		}
	}
	for name, keep := range kept {
		if keep {
			continue
		}
		fapwstest.Must(t, os.RemoveAll(name))
	}
	return folder
}

// browse gives the client cookies and, for each request, a new connection, so that any process may answer.
func (s *server) browse() {
	s.client.Jar = fapwstest.Try(cookiejar.New(nil)).Must(s.T)
	s.client.Transport.(*http.Transport).DisableKeepAlives = true
	got := len(s.Workers())
	fapwstest.Needf(s.T, got == 2, "%d processes serve, want 2", got)
}

func (r *reply) location() string {
	r.s.T.Helper()
	target, err := r.Location()
	fapwstest.Mustf(r.s.T, err, "%s %s: status %d", r.Request.Method, r.Request.URL.Path, r.StatusCode)
	fapwstest.Truef(r.s.T, strings.HasPrefix(target.String(), r.s.URL+"/"),
		"%s %s: sent to %s, away from %s", r.Request.Method, r.Request.URL.Path, target, r.s.URL)
	return target.RequestURI()
}

// firstLines requests a response that takes longer than the client waits, and checks the first lines. The server must
// send these lines before the application has generated the rest of the response.
func (s *server) firstLines(path string, lines ...string) *http.Response {
	s.T.Helper()
	resp := s.open(s.request("GET", path, nil))
	fapwstest.Needf(s.T, resp.StatusCode == 200, "%s: status %d", path, resp.StatusCode)
	in := linesOf(s.T, resp.Body)
	for _, want := range lines {
		got := in.next("")
		fapwstest.Needf(s.T, got == want, "%s: line %q, want %q", path, got, want)
	}
	return resp
}

// fails requests a handler that raises an exception. The exception must be in the log, but not in the response.
func (s *server) fails(path, exception string) {
	s.T.Helper()
	s.Complains = true
	s.get(path).want(500).lacks(exception, "Traceback")
	s.Says("Traceback")
	s.Says(regexp.QuoteMeta(exception))
	resp := s.get("/")
	fapwstest.Truef(s.T, resp.StatusCode < 500, "after %s: status %d: %s", path, resp.StatusCode, resp.body)
}

// unknownLength hides the length of a body, which is then sent in chunks.
type unknownLength struct{ io.Reader }

// upload sends a form in chunks. Frameworks must read chunks like a body with a Content-Length.
func (s *server) upload(path, name string, data []byte) *reply {
	s.T.Helper()
	form, mediaType := formWith(formFile{name, data})
	return s.post(path, mediaType, unknownLength{strings.NewReader(form)})
}

type formFile struct {
	name string
	data []byte
}

func formWith(files ...formFile) (body, mediaType string) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	_ = w.WriteField("field", "a value")
	for _, f := range files {
		part, _ := w.CreateFormFile("file", f.name)
		_, _ = part.Write(f.data)
	}
	_ = w.Close()
	return b.String(), w.FormDataContentType()
}

// noise returns n bytes that a conversion of line ends or of the encoding would change.
func noise(n int) []byte {
	data := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{}).Read(data)
	return data
}

func TestWSGISampleServesPagesAndDigests(t *testing.T) {
	t.Parallel()
	withFramework(t, "wsgiref", "wsgi/app.py", func(t *testing.T, s *server) {
		s.get("/").want(200, "wsgi.input", "REQUEST_METHOD")
		s.get("/greet?name=Zo%C3%AB+%3Cb%3E").want(200, "Hello Zoë &lt;b&gt;!")
		s.get("/nothing").want(404, "Not found")

		sent := strings.Repeat("\x00\xff\r\n", 100_000)
		want := fmt.Sprintf("%d %x\n", len(sent), sha256.Sum256([]byte(sent)))
		s.post("/digest", "application/octet-stream", strings.NewReader(sent)).want(200, want)
		s.post("/digest", "application/octet-stream", unknownLength{strings.NewReader(sent)}).want(200, want)

		source := fapwstest.Try(os.ReadFile(filepath.Join(s.folder, "app.py"))).Must(t)
		fapwstest.Equal(t, s.get("/source").want(200).body, string(source))

		s.firstLines("/count", "1", "2").Body.Close()
		s.Stdout.Await(t, regexp.MustCompile(`counted to \d+`))

		s.fails("/fails", "RuntimeError: this handler always fails")
	})
}

func TestHandlerGuardsStaticFiles(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/contrib.py")
	for _, c := range []struct {
		path   string
		status int
		header []string
		text   string
	}{
		{"/guarded/style.css", 303, nil, "/login"},
		{"/guarded/style.css", 200, []string{"X-Key", "open"}, "color-scheme"},
		{"/guarded/style.css", 206, []string{"X-Key", "open", "Range", "bytes=0-4"}, ":root"},
		{"/guarded/", 200, []string{"X-Key", "open"}, "A static site"},
		{"/guarded/nothing", 404, []string{"X-Key", "open"}, ""},
		{"/guarded/../static.py", 404, []string{"X-Key", "open"}, ""},
		{"/subclass/style.css", 403, nil, "no"},
		{"/subclass/style.css", 200, []string{"X-Key", "open"}, "color-scheme"},
	} {
		resp := s.get(c.path, c.header...).want(c.status, c.text)
		guarded := strings.HasPrefix(c.path, "/guarded") && !strings.Contains(c.path, "..")
		got := resp.Header.Get("Cache-Control")
		fapwstest.Truef(t, !guarded || c.header == nil || got == "private", "%s: Cache-Control %q", c.path, got)
	}
}

func TestDebugPageIsShownOnlyWithDebug(t *testing.T) {
	t.Parallel()
	plain := []string{"ZeroDivision", "raises.py", "token", "Traceback", "Variables"}
	for _, c := range []struct {
		args, with, not []string
	}{
		{[]string{"0"}, nil, plain},
		{[]string{"1"}, []string{"ZeroDivisionError", "division by zero", "raises.py", "in <b>fails</b>", "token"},
			[]string{"hush-hush"}},
		{[]string{"1", "without page"}, nil, plain},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			s := start(t, "testdata/raises.py", c.args...)
			s.Complains = true
			s.get("/x?<i>").want(500, c.with...).lacks(c.not...)
			s.get("/").want(500)
			s.Says("Traceback")
		})
	}
}

func TestBottleSampleServesPagesAndUploads(t *testing.T) {
	t.Parallel()
	withFramework(t, "bottle", "bottle/app.py", func(t *testing.T, s *server) {
		s.get("/").want(200, "Nothing is here yet.")
		s.get("/hello/Zo%C3%AB%20%3Cb%3E").want(200, "Hello Zoë <b>!").field("Content-Type", "text/plain; charset=utf-8")
		s.get("/power/2/10").want(200, `{"power": 1024}`)
		s.get("/power/2/x").want(404, "There is nothing at /power/2/x.")

		data := noise(1 << 20)
		for _, name := range []string{"noise.bin", "../../<up>.bin"} {
			fapwstest.Equal(t, s.upload("/upload", name, data).want(303).location(), "/")
		}
		s.get("/").want(200, "noise.bin</a>, 1048576 bytes", "up.bin</a>, 1048576 bytes")
		resp := s.get("/files/noise.bin").want(200)
		fapwstest.Equal(t, resp.body, string(data))
		resp.field("Content-Disposition", `attachment; filename="noise.bin"`)
		for _, path := range []string{"/files/..%2fapp.py", "/files/nothing"} {
			resp := s.get(path)
			fapwstest.Truef(t, resp.StatusCode == 403 || resp.StatusCode == 404, "%s: status %d", path, resp.StatusCode)
		}
		s.post("/upload", urlencoded, strings.NewReader("x=y")).want(400, "No file was sent.")
		s.fails("/fails", "RuntimeError: this handler always fails")
	})
}

func TestFalconSampleManagesTasks(t *testing.T) {
	t.Parallel()
	withFramework(t, "falcon", "falcon/app.py", func(t *testing.T, s *server) {
		resp := s.post("/todo", asJSON, unknownLength{strings.NewReader(`{"text": "Learn Falcon ☕"}`)}).want(201)
		item := resp.Header.Get("Location")
		fapwstest.Needf(t, regexp.MustCompile(`^/todo/\d+$`).MatchString(item), "Location %q", item)
		// Send these requests in order, to the created task or to the list of all tasks.
		for _, c := range []struct {
			method, path, contentType, body string
			status                          int
			text                            string
		}{
			{"GET", item, "", "", 200, `"text": "Learn Falcon ☕", "done": false`},
			{"PUT", item, asJSON, `{"text": "Know Falcon", "done": true}`, 200, `"done": true`},
			{"GET", "/todo", "", "", 200, `"text": "Know Falcon", "done": true`},
			{"POST", "/todo", asJSON, `{"text": `, 400, `"title": "Invalid JSON"`},
			{"POST", "/todo", asJSON, "", 400, `"title": "Invalid JSON"`},
			{"POST", "/todo", "text/plain", `{"text": "x"}`, 415, "415 Unsupported Media Type"},
			{"POST", "/todo", asJSON, `{"txt": "x"}`, 422, `a \"text\" is needed`},
			{"POST", "/todo", asJSON, `["x"]`, 422, ""},
			{"PUT", "/todo/9999", asJSON, `{"text": "x"}`, 404, "there is no item 9999"},
			{"PATCH", item, asJSON, `{"text": "x"}`, 405, ""},
			{"GET", "/todo/x", "", "", 404, ""},
			{"DELETE", item, "", "", 204, ""},
			{"DELETE", item, "", "", 404, "there is no item"},
			{"GET", item, "", "", 404, ""},
			{"GET", "/todo", "", "", 200, "[]"},
		} {
			req := s.request(c.method, c.path, strings.NewReader(c.body))
			if c.contentType != "" {
				req.Header.Set("Content-Type", c.contentType)
			}
			resp := s.do(req).want(c.status, c.text)
			fapwstest.Truef(t, c.status != 405 || strings.Contains(resp.Header.Get("Allow"), "DELETE"),
				"Allow: %q", resp.Header.Get("Allow"))
			fapwstest.Truef(t, c.status != 204 || resp.body == "" && resp.Header.Get("Content-Length") == "",
				"204 with %q, Content-Length %q", resp.body, resp.Header.Get("Content-Length"))
		}
		// The database numbers the entries, so the numbers increase whichever process answers.
		for i := range 8 {
			s.post("/todo", asJSON, strings.NewReader(fmt.Sprintf(`{"text": "%d"}`, i))).want(201, fmt.Sprintf(`"id": %d`, i+2))
		}
		s.fails("/fails", "RuntimeError: this resource always fails")
	})
}

func TestFlaskSampleServesSessionsUploadsAndStreams(t *testing.T) {
	t.Parallel()
	withFramework(t, "flask", "flask/app.py", func(t *testing.T, s *server) {
		s.flaskSession(t)
		s.flaskUpload()
		s.flaskStream()
		s.flaskBlueprint()
		s.get("/nothing/<b>").want(404, "There is nothing at /nothing/&lt;b&gt;.")
		fapwstest.Has(t, s.do(s.request("DELETE", "/greet", nil)).want(405).Header.Get("Allow"), "POST")
		s.fails("/api/divide/1/0", "ZeroDivisionError")
	})
}

func (s *server) flaskSession(t *testing.T) {
	s.get("/").want(200, "Hello stranger.")
	greet := func(name string) {
		t.Helper()
		form := strings.NewReader(url.Values{"name": {name}}.Encode())
		fapwstest.Equalf(t, s.post("/greet", urlencoded, form).want(302).location(), "/", "sent to")
	}
	for i, times := range []string{"1 time.", "2 times.", "3 times."} {
		greet(fmt.Sprintf("Zoë <%d>", i))
		s.get("/").want(200, fmt.Sprintf("Hello Zoë &lt;%d&gt;, you have told your name %s", i, times))
	}
	greet(" ") // Flask shows a flashed message only once.
	s.get("/").want(200, "A name has at least one letter.")
	s.get("/").want(200, "Hello Zoë").lacks("at least one letter")
	s.post("/forget", urlencoded, nil).want(302)
	s.get("/").want(200, "Hello stranger.")
	s.post("/greet", urlencoded, strings.NewReader("other=x")).want(400)
}

func (s *server) flaskUpload() {
	data := noise(5 << 20)
	s.upload("/upload", "big.bin", data).want(200, "big.bin has 5242880 bytes.", fmt.Sprintf("%x", sha256.Sum256(data)))
	s.post("/upload", urlencoded, strings.NewReader("file=x")).want(400, "No file was sent.")
	// The file and the form around it exceed Flask's limit for requests.
	s.upload("/upload", "bigger.bin", make([]byte, 8<<20)).want(413)
}

func (s *server) flaskStream() {
	s.firstLines("/stream", "Hello stranger", "1", "2").Body.Close()
	resp := s.get("/static/style.css").want(200, "color-scheme")
	s.get("/static/style.css", "If-None-Match", resp.Header.Get("Etag")).want(304)
}

func (s *server) flaskBlueprint() {
	s.get("/api/add/40/2").want(200, `"sum":42`)
	for _, c := range []struct {
		contentType, body string
		status            int
		text              string
	}{
		{"application/json", `{"text": "stressed ☕"}`, 200, `"reversed":"\u2615 desserts"`},
		{"application/json", `{"text": `, 400, `"error":"Bad Request"`},
	} {
		s.post("/api/reverse", c.contentType, strings.NewReader(c.body)).want(c.status, c.text)
	}
}

func TestPyramidSampleServesAWiki(t *testing.T) {
	t.Parallel()
	withFramework(t, "pyramid", "pyramid/app.py", func(t *testing.T, s *server) {
		start := s.get("/").want(303).location()
		fapwstest.Equal(t, start, "/wiki/Start")
		s.get(start).want(200, "This wiki is a folder", s.URL+"/static/style.css")

		resp := s.get("/static/style.css").want(200, "color-scheme")
		got := resp.Header.Get("Content-Type")
		fapwstest.Truef(t, strings.HasPrefix(got, "text/css"), "Content-Type %q", got)
		fapwstest.Has(t, resp.Header.Get("Cache-Control"), "max-age=3600")
		s.get("/static/style.css", "If-Modified-Since", resp.Header.Get("Last-Modified")).want(304)

		for _, text := range []string{"Zoë <b> was here\n", "and here\n" + strings.Repeat("a long page\n", 50_000)} {
			form := strings.NewReader(url.Values{"text": {text}}.Encode())
			saved := s.post("/wiki/Visitors/edit", urlencoded, unknownLength{form}).want(303)
			s.get(saved.location()).want(200, strings.NewReplacer("<", "&lt;", ">", "&gt;").Replace(text))
		}
		s.get("/pages.json").want(200, `["Start", "Visitors"]`).field("Content-Type", "application/json")
		s.post("/wiki/Visitors/edit", urlencoded, strings.NewReader("other=x")).want(400)
		for _, path := range []string{"/wiki/Nobody", "/wiki/..%2fapp", "/static/../app.py", "/nothing"} {
			s.get(path).want(404)
		}
		s.fails("/fails", "RuntimeError: this view always fails")
	})
}

var (
	adminPassword = regexp.MustCompile(`user admin has the password (\S+)`)
	csrfToken     = regexp.MustCompile(`name="csrfmiddlewaretoken" value="(\w+)"`)
	stylesheet    = regexp.MustCompile(`<link rel="stylesheet"[^>]* href="([^"]+)"`)
	entryLink     = regexp.MustCompile(`<a href="(/admin/guestbook/entry/\d+/change/)">`)
)

func TestDjangoSampleServesFormsAdminAndAsyncViews(t *testing.T) {
	t.Parallel()
	withFramework(t, "django", "django/wsgi.py", func(t *testing.T, s *server) {
		s.djangoForm()
		s.djangoAdmin(t)
		s.get("/together").want(200, "[1, 4, 9]") // an asynchronous view
		s.get("/nothing").want(404, "Not Found")
		s.fails("/fails", "RuntimeError: this view always fails")
	})
}

// form requests a page with a form and sends the form with its token (CSRF).
func (s *server) form(path string, values url.Values) *reply {
	s.T.Helper()
	return s.formOf(path, path, values)
}

func (s *server) formOf(page, path string, values url.Values) *reply {
	s.T.Helper()
	resp := s.get(page).want(200)
	token := csrfToken.FindStringSubmatch(resp.body)
	fapwstest.Needf(s.T, token != nil, "%s: no token in %s", page, resp.body)
	values.Set("csrfmiddlewaretoken", token[1])
	return s.post(path, urlencoded, unknownLength{strings.NewReader(values.Encode())})
}

func (s *server) djangoForm() {
	s.get("/").want(200, "Nobody has signed yet.")
	s.get(s.form("/", url.Values{"name": {"Zoë <b>"}, "text": {"First\nSecond"}}).want(302).location()).want(200,
		"Zoë &lt;b&gt;", "First<br>Second")
	s.form("/", url.Values{"name": {""}, "text": {"nameless"}}).want(200, "This field is required.")

	s.post("/", urlencoded, strings.NewReader("name=x&text=without+a+token")).want(403)
	s.get("/").want(200).lacks("nameless", "without a token")
}

func (s *server) djangoAdmin(t *testing.T) {
	login := s.get("/admin/").want(302).location()
	page := s.get(login).want(200, "Django administration").body
	styles := stylesheet.FindAllStringSubmatch(page, -1)
	fapwstest.Needf(t, len(styles) > 0, "no style sheet in %s", page)
	for _, style := range styles {
		got := s.get(style[1]).want(200, "{").Header.Get("Content-Type")
		fapwstest.Truef(t, strings.HasPrefix(got, "text/css"), "%s: Content-Type %q", style[1], got)
	}
	s.get("/static/admin/css/nothing.css").want(404)

	s.form(login, url.Values{"username": {"admin"}, "password": {"wrong"}}).want(200,
		"Please enter the correct username and password")
	password := adminPassword.FindStringSubmatch(s.Stderr.String())
	fapwstest.Needf(t, password != nil, "no password was told")
	s.get(s.form(login, url.Values{"username": {"admin"}, "password": {password[1]}}).want(302).location()).want(200,
		"Site administration", "Entries")

	added := s.form("/admin/guestbook/entry/add/", url.Values{"name": {"The admin"}, "text": {"from the admin"}}).want(302)
	resp := s.get(added.location()+"?q=from+the+admin").want(200, "was added successfully", "1 entry")
	entry := entryLink.FindStringSubmatch(resp.body)
	fapwstest.Needf(t, entry != nil, "no link to the entry in %s", resp.body)
	s.form(strings.Replace(entry[1], "change", "delete", 1), url.Values{"post": {"yes"}}).want(302)
	s.get("/").want(200, "First<br>Second").lacks("from the admin")
	// Django 5 accepts only POST for logging out
	s.formOf("/admin/guestbook/entry/add/", "/admin/logout/", url.Values{}).want(200, "Logged out")
	s.get("/admin/").want(302)
}

// fapws makes Django import the views while it loads the application. Otherwise, a reload would replace working views
// by views that cannot be imported.
func TestDjangoViewsAreImportedDuringLoading(t *testing.T) {
	fapwstest.NeedModule(t, "django")
	folder := t.TempDir()
	for name, text := range map[string]string{
		"site.py": "from django.conf import settings\nsettings.configure(ROOT_URLCONF='urls', SECRET_KEY='x')\n" +
			"from django.core.wsgi import get_wsgi_application\napplication = get_wsgi_application()\n" +
			"from django.core.asgi import get_asgi_application\nasgi = get_asgi_application()\n",
		"table.py": "import runpy\nPATHS = [('/', runpy.run_path('site.py')['application'])]\n",
		"bare.py": "from django.conf import settings\nsettings.configure()\nfrom django.core.handlers.wsgi import " +
			"WSGIHandler\napp = WSGIHandler()\n",
		"urls.py":   "import views\nurlpatterns = []\n",
		"broken.py": "import nowhere\n",
		"fine.py":   "",
	} {
		fapwstest.Write(t, filepath.Join(folder, name), text)
	}
	for _, tt := range []struct{ views, app, want string }{
		{"fine.py", "site.py", "site.py is fine: WSGI"},
		{"fine.py", "table.py", "table.py is fine: 1 path"},
		{"broken.py", "site.py", "ModuleNotFoundError: No module named 'nowhere'"},
		{"broken.py", "site.py:asgi", "ModuleNotFoundError: No module named 'nowhere'"},
		{"broken.py", "table.py", "ModuleNotFoundError: No module named 'nowhere'"},
		{"broken.py", "bare.py", "bare.py is fine: WSGI"}, // the script has no URLconf
	} {
		views := filepath.Join(folder, "views.py")
		fapwstest.Must(t, os.RemoveAll(views), os.Symlink(tt.views, views))
		code, stdout, stderr := fapwstest.Command{Flags: []string{"check", "--bind", "127.0.0.1:0", tt.app}, Dir: folder}.Run(t)
		fapwstest.Truef(t, strings.Contains(stdout+stderr, tt.want) && (code == 0) == strings.Contains(tt.want, "fine"),
			"%s with %s: %d\n%s%s", tt.app, tt.views, code, stdout, stderr)
	}
}
