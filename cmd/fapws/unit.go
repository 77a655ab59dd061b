package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	osuser "os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"fapws/cmd/fapws/plan"
	"fapws/cmd/fapws/process"
	"fapws/cmd/fapws/settings"
	"fapws/contrib"
)

func writeUnit(p *plan.Plan, args []string, stdout, stderr io.Writer) error {
	name := unitName(cmp.Or(p.Conf.Name, filepath.Base(p.Dir)))
	account := p.Conf.User
	if id := os.Getuid(); account == "" && id != 0 {
		account = strconv.Itoa(id)
		if u, err := osuser.Current(); err == nil {
			account = u.Username
		}
	}
	program := programOfUnit()
	word := slices.Index(args, string(settings.WordUnit))
	args = slices.Delete(slices.Clone(args), word, word+1)
	lines := map[string]string{
		"Description=":      name + ", served by fapws",
		"ExecStart=":        commandLine(append(program, args...)...),
		"ExecReload=":       commandLine(append(program, "ctl", "--socket", "/run/"+name+"/ctl", "reload")...),
		"RuntimeDirectory=": name, "StateDirectory=": name, "CacheDirectory=": name, "LogsDirectory=": name,
		"User=":             cmp.Or(account, name),
		"WorkingDirectory=": strings.ReplaceAll(p.Dir, "%", "%%"),
		"TimeoutStopSec=":   seconds(p.Conf.GracefulTimeout + 30*time.Second),
	}
	if isHome(p.Dir) || isHome(program[0]) {
		lines["ProtectHome="] = "no"
	}
	_, text, _ := strings.Cut(contrib.Service, "[Unit]\n")
	var unit strings.Builder
	unit.WriteString("[Unit]\n")
	for line := range strings.Lines(text) {
		key, _, _ := strings.Cut(line, "=")
		value, differs := lines[key+"="]
		switch {
		case key == "DynamicUser" && account != "": // the user of the site owns its files
		case strings.HasPrefix(line, "Environment=FAPWS_CTL_SOCKET="):
			unit.WriteString("Environment=FAPWS_CTL_SOCKET=/run/" + name + "/ctl\n")
			if venv := os.Getenv("VIRTUAL_ENV"); venv != "" && p.Settings.Source("venv").Name == "VIRTUAL_ENV" {
				unit.WriteString("Environment=" + quoteUnit("VIRTUAL_ENV="+venv) + "\n")
			}
		case differs:
			fmt.Fprintf(&unit, "%s=%s\n", key, value)
		default:
			unit.WriteString(line)
		}
		if key == "ProtectSystem" && account != "" {
			unit.WriteString("# The site may write here, such as an SQLite database.\nReadWritePaths=" + quoteUnit(p.Dir) + "\n")
		}
	}
	if _, err := io.WriteString(stdout, unit.String()); err != nil {
		return err
	}
	_, err := fmt.Fprintf(stderr, "fapws: save this as /etc/systemd/system/%s.service; then type: "+
		"sudo systemctl daemon-reload && sudo systemctl enable --now %[1]s\n", name)
	return err
}

// programOfUnit returns the absolute path of the program that the user typed.
func programOfUnit() []string {
	python := process.Interpreter()
	if python == "" {
		return []string{process.File()}
	}
	if script := filepath.Join(filepath.Dir(python), "fapws"); settings.IsFile(script) {
		return []string{script}
	}
	return []string{python, "-m", "fapws"}
}

// isHome reports whether ProtectHome= hides a path.
func isHome(path string) bool {
	return slices.ContainsFunc([]string{"/home/", "/root/", "/run/user/"}, func(dir string) bool {
		return strings.HasPrefix(path+"/", dir)
	})
}

// unitName returns text with the characters that are allowed in names of units, directories and users.
func unitName(text string) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(text))
	return cmp.Or(strings.Trim(name, "-"), "fapws")
}

// commandLine returns a command for ExecStart, where systemd replaces variables (systemd.service(5), "Command lines").
func commandLine(words ...string) string { return strings.ReplaceAll(quoteUnit(words...), "$", "$$") }

// quoteUnit returns words for a setting of a unit (systemd.syntax(7), "Quoting").
func quoteUnit(words ...string) string {
	var quoted []string
	for _, word := range words {
		word = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "%", "%%", "\n", `\n`).Replace(word)
		if word == "" || strings.ContainsAny(word, " \t';\"") {
			word = `"` + word + `"`
		}
		quoted = append(quoted, word)
	}
	return strings.Join(quoted, " ")
}

func seconds(d time.Duration) string { return strconv.Itoa(int(d.Seconds())) }
