package samples

import (
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

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
		resp := s.get(style[1]).want(200, "{")
		got := resp.Header.Get("Content-Type")
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
		fapwstest.Must(t, os.RemoveAll(views))
		fapwstest.Must(t, os.Symlink(tt.views, views))
		code, stdout, stderr := fapwstest.Command{Flags: []string{"check", tt.app}, Dir: folder}.Run(t)
		fapwstest.Truef(t, strings.Contains(stdout+stderr, tt.want) && (code == 0) == strings.Contains(tt.want, "fine"),
			"%s with %s: %d\n%s%s", tt.app, tt.views, code, stdout, stderr)
	}
}
