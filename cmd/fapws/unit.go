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

	"fapws/cmd/fapws/confine"
	"fapws/cmd/fapws/plan"
	"fapws/cmd/fapws/process"
	"fapws/cmd/fapws/settings"
	"fapws/contrib"
)

func writeUnit(p *plan.Plan, args []string, stdout, stderr io.Writer) error {
	word := slices.Index(args, string(settings.WordUnit))
	u := unit{name: cmp.Or(p.Conf.Name, filepath.Base(p.Dir)), dir: p.Dir, account: p.Conf.User,
		args: slices.Delete(slices.Clone(args), word, word+1), grace: p.Conf.GracefulTimeout}
	if venv := os.Getenv("VIRTUAL_ENV"); p.Settings.Source("venv").Name == "VIRTUAL_ENV" {
		u.venv = venv
	}
	u.writes = writtenOutside(p)
	name, text := u.text()
	if _, err := io.WriteString(stdout, text); err != nil {
		return err
	}
	if want := p.Certificates(&p.Conf); want != nil {
		warnUnreadable(u.account, name, want.Files(), stderr)
	}
	_, err := fmt.Fprintf(stderr, "fapws: save this as /etc/systemd/system/%s.service; then type: "+
		"sudo systemctl daemon-reload && sudo systemctl enable --now %[1]s\n", name)
	return err
}

// warnUnreadable writes a line for each file that the user of the service may not read. account is "" if systemd creates
// the user, with the given name. Only root can ask for another user; for everyone else, the check of the plan has read the
// files.
func warnUnreadable(account, name string, files []string, stderr io.Writer) {
	const nobody = "65534"
	id, err := confine.LookupIdentity(cmp.Or(account, nobody), "")
	if err != nil {
		return
	}
	_, group, _ := strings.Cut(id.String(), ":")
	advice := fmt.Sprintf("type sudo chgrp %s and sudo chmod g+r for it, and let the user enter the directories above", group)
	if account == "" {
		advice = "systemd creates this user at each start, so choose another one with --user"
	}
	for _, file := range files {
		if !id.MayRead(file) {
			fmt.Fprintf(stderr, "fapws: warning: the user of the service, %s, cannot read %s: %s\n", cmp.Or(account, name), file,
				advice)
		}
	}
}

// writtenOutside returns the directories outside of the working directory that the configuration names, and in which the
// service writes logs, state and uploads.
func writtenOutside(p *plan.Plan) (dirs []string) {
	for _, path := range p.Written(nil) {
		if path == p.StateDir() && p.Conf.StateDir == "" {
			continue // that of the service is in StateDirectory=
		}
		if settings.IsFile(path) || filepath.Ext(path) != "" { // a log may not be there yet
			path = filepath.Dir(path)
		}
		if !isWithin(path, []string{p.Dir + "/"}) && !slices.Contains(dirs, path) {
			dirs = append(dirs, path)
		}
	}
	return dirs
}

// A unit describes a systemd service that serves a directory.
type unit struct {
	name, dir string
	account   string // the user of the service; "" means this user or, for root, one that systemd creates
	args      []string
	grace     time.Duration
	venv      string   // "" if there is none
	writes    []string // directories outside dir
	// lines of the sample, which replace those of the template
	changes map[string]string
}

// text returns the name of the service, and the unit, which is the service of the packages with changes.
func (u *unit) text() (name, text string) {
	name, account := unitName(u.name), u.account
	if id := os.Getuid(); account == "" && id != 0 {
		account = strconv.Itoa(id)
		if me, err := osuser.Current(); err == nil {
			account = me.Username
		}
	}
	program := programOfUnit()
	lines := map[string]string{
		"Description=":      name + ", served by fapws",
		"ExecStart=":        commandLine(append(program, u.args...)...),
		"ExecReload=":       commandLine(append(program, "ctl", "--socket", "/run/"+name+"/ctl", "reload")...),
		"RuntimeDirectory=": name, "StateDirectory=": name, "CacheDirectory=": name, "LogsDirectory=": name,
		"User=":             cmp.Or(account, name),
		"WorkingDirectory=": strings.ReplaceAll(u.dir, "%", "%%"),
		"TimeoutStopSec=":   seconds(u.grace + 30*time.Second),
	}
	if isWithin(u.dir, homes) || isWithin(program[0], homes) {
		lines["ProtectHome="] = "no"
	}
	if isWithin(u.dir, temporary) || isWithin(program[0], temporary) {
		lines["PrivateTmp="] = "no"
	}
	for key, value := range u.changes {
		lines[key+"="] = value
	}
	_, template, _ := strings.Cut(contrib.Service, "[Unit]\n")
	var out strings.Builder
	out.WriteString("[Unit]\n")
	for line := range strings.Lines(template) {
		key, _, _ := strings.Cut(line, "=")
		value, differs := lines[key+"="]
		switch {
		case key == "Documentation": // a wheel and a device may have no manual page
		case key == "DynamicUser" && account != "": // the user of the site owns its files
		case strings.HasPrefix(line, "Environment=FAPWS_CTL_SOCKET="):
			out.WriteString("Environment=FAPWS_CTL_SOCKET=/run/" + name + "/ctl\n")
			if u.venv != "" {
				out.WriteString("Environment=" + quoteUnit("VIRTUAL_ENV="+u.venv) + "\n")
			}
		case differs:
			fmt.Fprintf(&out, "%s=%s\n", key, value)
		default:
			out.WriteString(line)
		}
		if key == "ProtectSystem" {
			out.WriteString(u.writable(name, account != ""))
		}
	}
	return name, out.String()
}

// writable returns the lines for what the service may write outside of its own directories, or "". ownsSite says that the
// user of the service is that of the site.
func (u *unit) writable(name string, ownsSite bool) (lines string) {
	if ownsSite {
		lines = "# The site may write here, such as an SQLite database.\nReadWritePaths=" + quoteUnit(u.dir) + "\n"
	}
	own := []string{"/var/lib/" + name + "/", "/var/cache/" + name + "/", "/var/log/" + name + "/", "/run/" + name + "/"}
	for _, dir := range u.writes {
		if !isWithin(dir, own) {
			lines += "ReadWritePaths=" + quoteUnit("-"+dir) + "\n" // "-": the log of fapws says that it is missing
		}
	}
	return lines
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

// Directories that ProtectHome= and PrivateTmp= hide.
var (
	homes     = []string{"/home/", "/root/", "/run/user/"}
	temporary = []string{"/tmp/", "/var/tmp/"}
)

func isWithin(path string, dirs []string) bool {
	return slices.ContainsFunc(dirs, func(dir string) bool {
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
