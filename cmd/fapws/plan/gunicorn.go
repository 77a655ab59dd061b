package plan

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"fapws/cmd/fapws/process"
	"fapws/cmd/fapws/settings"
	"fapws/pybridge"
)

// gunicornVariable names, in the environment of a process that readGunicorn starts, the file that this process runs.
const gunicornVariable = "_FAPWS_GUNICORN"

// readGunicorn reads the settings of a gunicorn.conf.py. As the file contains code, a process of its own runs it: the
// supervisor has no Python, and Python can be started only once in a worker.
func (p *Plan) readGunicorn(name string) error {
	source, err := settings.ReadFileLimited(name)
	if err != nil {
		return err
	}
	cmd := process.Again(false, process.Arguments()...)
	cmd.Env = append(cmd.Env, gunicornVariable+"="+name)
	cmd.Stderr = os.Stderr
	text, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("cannot read %s: the process that runs it failed: %w", name, err)
	}
	var wrong string
	if json.Unmarshal(text, &wrong) == nil {
		return errors.New(wrong)
	}
	var globals map[string]string
	if err := json.Unmarshal(text, &globals); err != nil {
		return fmt.Errorf("cannot read %s: %w", name, err)
	}
	app, lines, err := p.Settings.TakeGunicorn(name, source, globals)
	if p.foreign = lines; p.Command.Script == "" {
		p.Command.Script = app
	}
	return err
}

// TakeGunicorn returns the file that this process must run if readGunicorn has started it. wanted is then true, and the
// process does nothing else.
func TakeGunicorn() (name string, wanted bool) {
	name, wanted = os.LookupEnv(gunicornVariable)
	os.Unsetenv(gunicornVariable)
	return name, wanted
}

// WriteGunicorn runs a gunicorn.conf.py on the main thread, and writes the result for readGunicorn to standard output.
// The file gets the directory, modules and variables of the application, as far as flags and the environment set them,
// and standard error as its standard output.
func WriteGunicorn(set *settings.Settings, name string) error {
	out, err := unix.FcntlInt(uintptr(unix.Stdout), unix.F_DUPFD_CLOEXEC, 3)
	if err == nil {
		err = unix.Dup3(unix.Stderr, unix.Stdout, 0)
	}
	if err != nil {
		return process.ExitNotStarted("%v", err)
	}
	p := &Plan{Command: &settings.CommandLine{}}
	p.Conf, _ = set.Config() // settings of the file may complete a wrong combination
	path := absolute(name)
	if p.Conf.Chdir != "" {
		_ = os.Chdir(p.Conf.Chdir) // Make reports the error
	}
	if p.Conf.Venv == "" {
		p.Conf.Venv, _ = venvIn(".")
	}
	if err := p.SetVariables(); err != nil {
		return err
	}
	o := p.options()
	o.Apps, o.Path = []pybridge.Application{{Script: path}}, append([]string{"."}, o.Path...)
	globals, err := pybridge.ReadGlobals(o)
	if err != nil {
		return process.ExitNotStarted("%v", err)
	}
	_, err = os.NewFile(uintptr(out), "result").WriteString(globals)
	return err
}
