package docs

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"fapws/bench/results"
	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/checktest"
)

var update = flag.Bool("update", false, "write the pages that are made from the program")

func TestPythonAPIPageHasTheDocstringsOfPackageFapws(t *testing.T) {
	made := filepath.Join(t.TempDir(), "python-api.md")
	cmd := exec.Command(fapwstest.Binary(t), "check", "python_api.py")
	cmd.Env = append(os.Environ(), "PYTHON_API="+made, "FAPWS_ALLOW_ROOT=1")
	out, err := cmd.CombinedOutput()
	checktest.Mustf(t, err, "%s", out)
	generated(t, "python-api.md", read(t, made))
}

const settingsIntroduction = `# Settings

A setting comes from the first of these that has it: flag, environment, configuration file, script, default.

- ` + "`fapws app.py --print-config`" + ` shows each setting with its value and source.
- ` + "`fapws --help`" + ` shows the common flags, ` + "`fapws --help all`" + ` every flag.
- Every flag is a key at the top of ` + "`fapws.toml`" +
	`. The [other keys](#keys-at-the-top-of-the-file) describe hosts and routes.
- SIZE is in bytes or takes K, M or G. TIME is in seconds or takes ms, s, m, h or d. ` +
	"`--no-compress` or `--compress=no`" + ` turns a switch off.
- Relative paths of flags and variables start at the working directory, also if the script changes it. Paths in the
  file start at its directory.
- fapws warns of a misspelled ` + "`FAPWS_`" + ` variable.
- ` + "`--env-file .env`" + ` sets variables for the application (` + "`NAME=value`" + `, with quotes, ` +
	"`${NAME}`, `${NAME:-default}` and `${NAME:+text}`" + `),
  except variables that are already set. A reload reads the file again.

`

func TestSettingsPageHasTheDescriptionsOfTheProgram(t *testing.T) {
	var page strings.Builder
	page.WriteString(settingsIntroduction)
	page.Write(internal(t, "settings"))
	page.Write(internal(t, "keys"))
	page.WriteString("Next: [Python API](python-api.md)\n")
	generated(t, "settings.md", page.String())
}

func TestPerformancePageHasTheStoredResults(t *testing.T) {
	r := checktest.Try(results.Load("../bench/results/page.json")).Must(t)
	page, plots, err := r.Page()
	checktest.Must(t, err)
	generated(t, "performance.md", string(page))
	for name, plot := range plots {
		generated(t, filepath.Join("images", name), string(plot))
	}
	made, _ := filepath.Glob("images/performance-*.svg")
	for _, file := range made {
		if *update && plots[filepath.Base(file)] == nil {
			os.Remove(file)
		}
	}
	made, _ = filepath.Glob("images/performance-*.svg")
	checktest.Equalf(t, len(made), len(plots), "images has %v; plots of the page", made)
}

func internal(t *testing.T, topic string) []byte {
	t.Helper()
	out, err := exec.Command(fapwstest.Binary(t), "internal", topic).Output()
	checktest.Needf(t, err == nil && bytes.HasPrefix(out, []byte("## ")), "fapws internal %s: %v\n%s", topic, err, out)
	return out
}

func generated(t *testing.T, name, want string) {
	t.Helper()
	if *update {
		checktest.Must(t, os.WriteFile(name, []byte(want), 0o644))
		return
	}
	checktest.Equalf(t, read(t, name), want, "%s is out of date: go test ./docs -update", name)
}
