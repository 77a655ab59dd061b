package settings

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"fapws/runtime/checktest"
)

func TestHelpFitsTheScreenAndNamesExitCodes(t *testing.T) {
	texts := map[Word]string{}
	for _, word := range typedWords {
		if text := CommandHelp(Word(word)); text != "" {
			texts[Word(word)] = text
			checktest.Truef(t, strings.HasPrefix(text, "Usage: fapws "+word) && strings.Contains(text, "Exit status: "),
				"%s: %s", word, text)
		}
	}
	for _, all := range []bool{false, true} {
		var out bytes.Buffer
		WriteHelp(&out, all)
		texts[Word(fmt.Sprint("--help all: ", all))] = out.String()
		lines := strings.Count(out.String(), "\n")
		checktest.Truef(t, all || lines <= 40, "daily help has %d lines", lines)
	}
	for word, text := range texts {
		for _, line := range strings.Split(text, "\n") {
			checktest.Truef(t, len(line) <= 80, "%s: %d columns: %s", word, len(line), line)
		}
	}
}

// Each row in the tables of settings has a help text and a unique name, and appears in all texts that are generated
// from the tables.
func TestTableRowsReadTheirDefaultsAndAreDocumented(t *testing.T) {
	rows := settingsOf(new(Config))
	written := map[string]string{}
	var help bytes.Buffer
	WriteHelp(&help, true)
	written["help"] = help.String()
	for _, topic := range internalTopics[:3] {
		var out bytes.Buffer
		WriteInternal(&out, topic, "1.2.3", nil)
		written[topic] = strings.ReplaceAll(out.String(), `\-`, "-")
	}
	names := map[string]bool{}
	for _, row := range rows {
		for _, one := range append(row.names(), variant{name: row.Short}) {
			name := one.name
			checktest.Truef(t, name == "" || !names[name], "two flags are called %s", name)
			names[one.name] = true
		}
		checktest.Truef(t, row.scope != 0, "%s has no scope", row.Name)
		if v := row.value; row.Default != "" {
			if err := v.parse(row.Default); err != nil || v.show() != row.Default {
				t.Errorf("%s: default %q reads as %q, %v", row.Name, row.Default, v.show(), err)
			}
		}
		checktest.Truef(t, row.explanation() != "" && !strings.HasSuffix(row.explanation(), "."),
			"%s: help %q", row.Name, row.explanation())
		for topic, text := range written {
			checktest.Truef(t, strings.Contains(text, "--"+row.Name), "%s does not mention --%s", topic, row.Name)
		}
		checktest.Truef(t, strings.Contains(written["man"], row.EnvName()), "the man page does not mention %s", row.EnvName())
	}
}

func TestRoffEscapesText(t *testing.T) {
	for in, want := range map[string]string{"a-b": `a\-b`, `a\b`: `a\eb`, ".x": `\&.x`, "'x": `\&'x`, "x.y": "x.y"} {
		checktest.Equalf(t, roff(in), want, "roff(%q)", in)
	}
}

func TestCompletionWorksInBash(t *testing.T) {
	dir := t.TempDir()
	var script bytes.Buffer
	WriteInternal(&script, "completion", "", nil)
	for name, text := range map[string]string{"completion": script.String(), "app.py": "", "notes.txt": ""} {
		checktest.Must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	checktest.Must(t, os.Mkdir(filepath.Join(dir, "site"), 0o700))
	for line, want := range map[string]string{
		"--keep":        "--keep-alive",
		"--log-level w": "warning",
		"--debug ":      "0 1 2 3",
		"--interface w": "wsgi",
		"--dev --keep":  "--keep-alive",
		"--dev ":        "site app.py",
		"": "site app.py run check routes shell systemd-unit ctl import hash-password user new bundle " +
			"version help",
		"check ":            "site app.py",
		"check --no-acc":    "--no-access-log",
		"app.py --keep":     "--keep-alive",
		"app.py:app --keep": "--keep-alive",
		"app.py -- --keep":  "",
		"--help ":           "all",
		"ctl st":            "stack status start stop",
		"ctl ": "stack status top metrics logs reload restart start purge rotate stop ca --host --tag --all --pid " +
			"--socket --plain --once --json --help",
		"new ":                   "console django hello --help",
		"user ":                  "add passwd remove list --file --help",
		"--tls a":                "auto acme",
		"--access-log-format c":  "combined common",
		"-b :80 --graceful-time": "--graceful-timeout",
	} {
		cmd := exec.Command("bash", "--norc", "-c", `compopt() { :; }
source ./completion
COMP_WORDS=(fapws $1)
[[ $1 == "" || $1 == *" " ]] && COMP_WORDS+=("")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_fapws
echo "${COMPREPLY[*]}"`, "bash", line)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		got := strings.TrimSpace(string(out))
		checktest.Truef(t, err == nil && got == want, "fapws %s: %q, %v; want %q", line, got, err, want)
	}
}

func TestManPageDescribesEachSignal(t *testing.T) {
	var man bytes.Buffer
	WriteInternal(&man, "man", "", nil)
	checktest.Has(t, man.String(), "fapws check|routes|shell|systemd", `user|hash\-password`, "new|bundle", "fapws import", "SIGTERM",
		"SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGTTIN", "SIGTTOU")
}
