package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"fapws/cmd/fapws/bundle"
	"fapws/cmd/fapws/plan"
	"fapws/cmd/fapws/process"
	"fapws/pybridge"
)

// chooseTarget reads the executable for which the bundle is written. The packages of own, which this process runs, are
// those of the target unless o.foreign is true.
func (o *bundleOptions) chooseTarget() (target *bundle.Target, err error) {
	own, err := bundle.ReadTarget(process.File())
	if target = own; err == nil && o.Program != "" {
		target, err = bundle.ReadTarget(o.Program)
	}
	if err != nil {
		return nil, err
	}
	o.Program = cmp.Or(o.Program, process.File())
	version, _, _ := strings.Cut(strings.TrimPrefix(pybridge.Version(), "3."), ".")
	o.version = "3." + version
	o.foreign = o.Program != process.File() && !target.RunsOn(own)
	o.Digits, o.HasStdlib, o.Libc, o.Machine = target.Digits, target.HasStdlib, target.Libc, "linux/"+target.Arch
	switch {
	case target.Python != own.Python:
		return nil, fmt.Errorf("the Python of %s is not %s, which this fapws has", o.Program, o.version)
	case o.foreign && !o.HasStdlib && o.Library == "":
		return nil, fmt.Errorf("%s (%v) does not contain Python's standard library: name a copy of the directory "+
			"/usr/lib/python%s of the target with --library", o.Program, target, o.version)
	case o.Library != "":
		if found, _ := filepath.Glob(filepath.Join(o.Library, "_sysconfigdata_*.py")); len(found) == 0 {
			return nil, fmt.Errorf("--library: %s is not the standard library of a Python", o.Library)
		}
	}
	return target, nil
}

// install installs the packages of --requirements for the target into a temporary directory, o.Packages.
func (o *bundleOptions) install(p *plan.Plan, target *bundle.Target) (err error) {
	venv := p.Conf.Venv
	if venv == "off" {
		venv = ""
	}
	python, err := pybridge.FindPython(venv)
	if err != nil {
		return err
	}
	if o.Packages, err = os.MkdirTemp("", "fapws-packages-"); err != nil {
		return err
	}
	args := []string{"-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--no-compile",
		"--target", o.Packages, "--requirement", o.Requirements}
	from := ""
	if o.foreign {
		args = append(args, "--only-binary=:all:", "--python-version", o.version, "--implementation", "cp")
		for _, tag := range target.Wheels() {
			args = append(args, "--platform", tag)
		}
		from = fmt.Sprintf(" as a wheel for %v", target)
	}
	out, err := exec.Command(python, args...).CombinedOutput()
	if err == nil {
		if !o.foreign {
			p.Conf.PythonPath = slices.Insert(p.Conf.PythonPath, 0, o.Packages)
		}
		return nil
	}
	text := strings.TrimSpace(string(out))
	if found := regexp.MustCompile(`(?mi)^error: (.*)$`).FindAllStringSubmatch(text, -1); len(found) > 0 {
		text = found[len(found)-1][1]
	}
	text = text[strings.LastIndexByte(text, '\n')+1:]
	switch ended := (*exec.ExitError)(nil); {
	case !errors.As(err, &ended):
		return fmt.Errorf("--requirements needs pip, and %w; name a virtual environment with --venv", err)
	case strings.HasSuffix(text, "No module named pip"):
		return fmt.Errorf("--requirements needs pip, and %s has none; name a virtual environment with --venv", python)
	case strings.HasPrefix(text, "No matching distribution"):
		text += from
	}
	return fmt.Errorf("--requirements %s: %s", o.Requirements, text)
}
