package python_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

const archivedApp = `import click

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [click.__name__.encode()]
`

// The archives contain an application and a package of PyPI.
func TestArchivesOfShivAndPexAreServed(t *testing.T) {
	venv := fapwstest.Today(t)
	packages := fapwstest.Try(filepath.Glob(venv + "/lib/python3*/site-packages/click")).Must(t)
	fapwstest.Needf(t, len(packages) == 1, "click is in %v", packages)
	dir := t.TempDir()
	site := filepath.Join(dir, "site")
	fapwstest.Must(t, os.CopyFS(filepath.Join(site, "click"), os.DirFS(packages[0])))
	fapwstest.Write(t, filepath.Join(site, "shop.py"), archivedApp)
	home := []string{"HOME=" + dir, "PEX_ROOT=" + dir + "/pex", "SHIV_ROOT=" + dir + "/shiv"}
	for tool, args := range map[string][]string{
		"shiv": {"--site-packages", site, "-e", "shop:app", "-o", "shiv.pyz"},
		"pex":  {"-D", site, "-e", "shop:app", "--python", fapwstest.Python, "-o", "pex.pyz"},
	} {
		t.Run(tool, func(t *testing.T) {
			t.Parallel()
			build := exec.Command(filepath.Join(venv, "bin", tool), args...)
			build.Dir, build.Env = dir, append(os.Environ(), home...)
			out, err := build.CombinedOutput()
			fapwstest.Needf(t, err == nil, "%v\n%s", err, out)
			archive := filepath.Join(dir, tool+".pyz")
			for _, m := range fapwstest.Modes {
				s := fapwstest.Command{Script: archive, Env: home}.Serve(t, m)
				s.Get("/", 200).Is(t, "click")
				s.Stop()
			}
		})
	}
}
