package samples

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// tool runs "fapws WORD APP" in a copy of the directory of a sample, with text as standard input, and returns the
// output.
func tool(t *testing.T, word, sample, app, text string) string {
	t.Helper()
	folder := copySample(t, sample)
	cmd := exec.Command(fapwstest.Binary(t), word, app)
	cmd.Dir = folder
	cmd.Env = fapwstest.CleanEnviron()
	cmd.Stdin = strings.NewReader(text)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	fapwstest.Mustf(t, err, "fapws %s %s: %s", word, app, said.String())
	return string(out)
}

func TestRoutesOfEachFrameworkAreListed(t *testing.T) {
	for _, tt := range []struct {
		module, app string
		rows        []string // regular expressions of path, methods, handler
	}{
		{"flask", "app.py", []string{`/ GET app\.index`, `/greet POST app\.greet`,
			`/api/add/<int:a>/<int:b> GET api\.add`, `/static/<path:filename> GET static`}},
		{"django", "wsgi.py", []string{`/ any guestbook\.views\.book`, `/admin/login/ any .*AdminSite\.login`}},
		{"bottle", "app.py", []string{`/hello/<name> GET app\.hello`, `/upload POST app\.upload`}},
		{"falcon", "app.py", []string{`/todo GET POST Items`, `/todo/\{number:int\} DELETE GET PUT Item`}},
		{"pyramid", "app.py", []string{`/wiki/\S+/edit GET app\.edit`, `/wiki/\S+/edit POST app\.save`,
			`/static/\*subpath any __static/`}},
		{"starlette", "app.py", []string{`/notes GET POST app\.notes`, `/echo WEBSOCKET app\.echo`}},
		{"fastapi", "app.py", []string{`/tasks POST app\.new_task`, `/tasks/\{number\}/done POST app\.do_task`}},
	} {
		t.Run(tt.module, func(t *testing.T) {
			fapwstest.NeedModule(t, tt.module)
			out := tool(t, "routes", filepath.Join(".", tt.module), tt.app, "")
			lines := regexp.MustCompile(` +`).ReplaceAllString(out, " ")
			for _, row := range tt.rows {
				fapwstest.Truef(t, regexp.MustCompile(`(?m)^`+row+`$`).MatchString(lines), "no row %s in\n%s", row, out)
			}
		})
	}
}

// fapws shell sets up the context that a framework needs, such as the application context of Flask.
func TestShellRunsInTheContextOfTheApplication(t *testing.T) {
	for _, tt := range []struct{ module, app, text, want string }{
		{"flask", "app:app", "from flask import current_app; print(current_app.name, app is " +
			"current_app._get_current_object(), g)", "app True <flask.g of 'app'>\n"},
		{"django", "wsgi:application", "from guestbook.models import Entry; Entry.objects.create(name='x', " +
			"text='y'); print(Entry.objects.count())", "1\n"},
	} {
		t.Run(tt.module, func(t *testing.T) {
			fapwstest.NeedModule(t, tt.module)
			out := tool(t, "shell", filepath.Join(".", tt.module), tt.app, tt.text)
			fapwstest.Truef(t, strings.HasSuffix(out, tt.want), "says %q, want %q", out, tt.want)
		})
	}
}
