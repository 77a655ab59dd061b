package plan

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"fapws/cmd/fapws/process"
	"fapws/cmd/fapws/settings"
	"fapws/pybridge"
)

// nothingNamed is settings.ErrNothing with a command for an application in the working directory, if it finds one.
func nothingNamed(cmd *settings.Command) error {
	if flag, value := cmd.Flags.TookApp(); flag != "" {
		return fmt.Errorf("no application given: %s took %s as its value; type fapws %s VALUE %s", flag, value, flag, value)
	}
	for _, name := range []string{"FLASK_APP", "UVICORN_APP", "GRANIAN_APP"} {
		if app := os.Getenv(name); app != "" {
			return fmt.Errorf("no application given; %s in the environment names one: type fapws %s", name, app)
		}
	}
	prefix := "fapws "
	if cmd.Word != settings.WordRun {
		prefix += string(cmd.Word) + " "
	}
	found, apps := appsIn(".")
	if IsFile("index.html") {
		found, apps = append(found, "index.html"), append(apps, ".")
	}
	if len(found) == 0 {
		return settings.ErrNothing
	}
	return fmt.Errorf("no application given; this directory has %s: type %s%s; see fapws --help",
		strings.Join(found, ", "), prefix, strings.Join(apps, ", or "+prefix))
}

// appsIn returns the files in folder that are probably applications, and the words that serve them.
func appsIn(folder string) (found, apps []string) {
	for _, name := range []string{"app.py", "main.py", "wsgi.py", "asgi.py", "application.py", "manage.py"} {
		app := filepath.Join(folder, name)
		if !IsFile(app) {
			continue
		}
		if name == "manage.py" {
			if app = settings.DjangoModule(folder); app == "" {
				continue
			}
			if filepath.Clean(folder) != "." {
				app = fmt.Sprintf("-C %s %s", folder, app)
			}
		}
		found, apps = append(found, name), append(apps, app)
	}
	return found, apps
}

// findVenv looks for a virtual environment, venv or .venv, beside the first application
// and in the working directory where no setting names one. doubt is a line about one
// that this Python cannot use.
func (p *Plan) findVenv() (doubt string) {
	if len(p.Site.Apps()) == 0 || p.Settings.Source("venv").Level > settings.FromDefault {
		return ""
	}
	app := p.Site.Apps()[0]
	folders := []string{"."}
	if place, _ := settings.SplitApp(app.Name); IsScript(place) {
		folders = []string{filepath.Dir(place), "."}
	} else if folder := app.Folder(); folder != "" {
		folders = []string{folder, "."}
	}
	for _, folder := range folders {
		for _, name := range []string{".venv", "venv"} {
			venv := filepath.Join(folder, name)
			if !IsFile(filepath.Join(venv, "pyvenv.cfg")) {
				continue
			}
			if err := pybridge.CheckVenv(venv); err != nil {
				if doubt == "" {
					doubt = err.Error() + "; it is not used"
				}
				continue
			}
			p.Settings.Suppose("venv", venv, "next to the application")
			return ""
		}
	}
	return doubt
}

// doubts are lines about directories of files that look like projects if no application is served, and about a configuration file that was found and also
// serves something while the command line names an application.
func (p *Plan) doubts() (lines []string) {
	for _, folder := range p.Site.Roots() {
		if len(p.Site.Apps()) > 0 {
			break
		}
		if found, apps := appsIn(folder); len(found) > 0 {
			lines = append(lines, fmt.Sprintf("%s looks like a project (%s), but only its files are served, without sources, databases and keys; to run the application, type fapws %s",
				folder, strings.Join(found, ", "), strings.Join(apps, ", or fapws ")))
		}
	}
	if p.File != nil && p.named != "" && p.Settings.File() == "" && len(p.Site.Hosts) > 0 {
		lines = append(lines, fmt.Sprintf("%s also serves %s; requests for them do not reach %s (-c off ignores the file)",
			p.File.Name, p.Site.Count(), p.named))
	}
	return lines
}

// checkPaths finds settings that name directories which do not exist.
func (p *Plan) checkPaths() error {
	var wrong []error
	for name, dirs := range map[string][]string{"reload-dir": p.Conf.ReloadDirs, "x-sendfile": p.Conf.SendfileRoots} {
		for _, dir := range dirs {
			st, err := os.Stat(dir)
			if err == nil && !st.IsDir() {
				err = errors.New("not a directory")
			}
			if err != nil {
				wrong = append(wrong, p.Settings.Wrong(name, fmt.Errorf("%s: %w", dir, process.ExitReason(err))))
			}
		}
	}
	if venv := p.Conf.Venv; venv != "" && venv != "off" && len(p.Site.Apps()) > 0 {
		if err := pybridge.CheckVenv(venv); err != nil {
			wrong = append(wrong, p.Settings.Wrong("venv", err))
		}
	}
	return errors.Join(wrong...)
}
