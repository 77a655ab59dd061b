package python_test

import (
	"path/filepath"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestScriptThatUsesKeysOfEnvironHasThem(t *testing.T) {
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Threads, fapwstest.Forks}, func(t *testing.T, m fapwstest.Mode) {
		folder := t.TempDir()
		fapwstest.Write(t, filepath.Join(folder, "helper.py"),
			"def first(environ):\n    return environ.get('fapws.params')['a'][0]\n")
		beside := fapwstest.Write(t, filepath.Join(folder, "beside.py"),
			"import helper\n\ndef handler(environ, start_response):\n    return helper.first(environ)\n\nPATHS = "+
				"[('/', handler)]\n")
		script := fapwstest.Write(t, filepath.Join(folder, "script.py"), `
def params(environ, start_response):
    return {key: environ[key] for key in ("fapws.params", "fapws.uri", "fapws.remote_addr", "fapws.raw_path")}

PATHS = [("/params", params)]
`)
		plain := fapwstest.Write(t, filepath.Join(folder, "plain", "plain.py"),
			"def handler(environ, start_response):\n    return type(environ).__name__\n\nPATHS = [('/', handler)]\n")
		got := fapwstest.Command{Script: script}.Serve(t, m).Get("/params?a=1&a=2", 200).Object(t)
		have(t, "/params", got, map[string]any{
			"fapws.params": map[string]any{"a": []any{"1", "2"}}, "fapws.uri": "/params?a=1&a=2",
			"fapws.remote_addr": "127.0.0.1", "fapws.raw_path": "/params",
		})
		fapwstest.Command{Script: beside}.Serve(t, m).Get("/?a=b", 200).Is(t, "b")
		fapwstest.Command{Script: plain}.Serve(t, m).Get("/", 200).Is(t, "dict")
	})
}
