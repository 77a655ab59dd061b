package acceptance

import (
	"path/filepath"
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
