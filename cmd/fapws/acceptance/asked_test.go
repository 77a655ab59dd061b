package acceptance

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A script with PATHS that uses keys of Environ has them, whether or not it imports it.
func TestEnvironAskedFor(t *testing.T) {
	inModesAndForks(t, func(t *testing.T, m mode) {
		folder := t.TempDir()
		write(t, filepath.Join(folder, "helper.py"), "def first(environ):\n    return environ.get('fapws.params')['a'][0]\n")
		beside := write(t, filepath.Join(folder, "beside.py"), "import helper\n\ndef handler(environ, start_response):\n    return helper.first(environ)\n\nPATHS = [('/', handler)]\n")
		script := write(t, filepath.Join(folder, "script.py"), `
def params(environ, start_response):
    return {key: environ[key] for key in ("fapws.params", "fapws.uri", "fapws.remote_addr", "fapws.raw_path")}

PATHS = [("/params", params)]
`)
		plain := write(t, filepath.Join(folder, "plain", "plain.py"), "def handler(environ, start_response):\n    return type(environ).__name__\n\nPATHS = [('/', handler)]\n")
		got := command{script: script}.serve(t, m).get("/params?a=1&a=2", 200).object(t)
		have(t, "/params", got, map[string]any{
			"fapws.params": map[string]any{"a": []any{"1", "2"}}, "fapws.uri": "/params?a=1&a=2", "fapws.remote_addr": "127.0.0.1", "fapws.raw_path": "/params",
		})
		command{script: beside}.serve(t, m).get("/?a=b", 200).is(t, "b")
		command{script: plain}.serve(t, m).get("/", 200).is(t, "dict")
	})
}

// The script of README.md with HTTPError and fapws.params runs as it stands there.
func TestReadmeOrder(t *testing.T) {
	readme, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	snippet := regexp.MustCompile("(?s)```python\n(from fapws import HTTPError.*?)```").FindStringSubmatch(string(readme))
	if snippet == nil {
		t.Fatal("README.md has no such script")
	}
	inModes(t, func(t *testing.T, m mode) {
		folder := t.TempDir()
		note := filepath.Join(folder, "mail")
		script := write(t, filepath.Join(folder, "order.py"),
			strings.TrimSpace(snippet[1])+"\n\ndef send_mail(to):\n    open("+pyString(note)+", 'w').write(to)\n\nPATHS = [('/order', order)]\n")
		s := command{script: script}.serve(t, m)
		s.get("/order", 400, "Accept: text/plain").want(t, 400, "which n?")
		s.get("/order?n=2", 200).is(t, "ordered\n")
		fileSays(t, note, "boss@example.com")
	})
}

// pyString is a string literal of Python.
func pyString(s string) string { return "r'" + s + "'" }
