package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
)

type program struct {
	file   string // path of the program; "" if the environment variable is unset
	debian string // name of the Debian package; "" if no package has the program
	// name on PyPI, if the program is in the virtual environment of the peers.
	pypi string
}

// venv is the virtual environment of the peers and the frameworks. fapws also serves the frameworks from venv.
var venv string

func inVenv(name string) string { return filepath.Join(venv, "bin", name) }

func ownProgram() program { return program{file: os.Getenv("FAPWS_BIN")} }

// trixieNginx is nginx of Debian 13, which build.sh unpacks.
func trixieNginx() program { return program{file: os.Getenv("NGINX126")} }

func fromPyPI(names ...string) (needs []program) {
	for _, name := range names {
		needs = append(needs, program{pypi: name})
	}
	return needs
}

var (
	wrk     = program{file: "wrk", debian: "wrk"}
	h2load  = program{file: "h2load", debian: "nghttp2-client"}
	phpCGI  = program{file: "php-cgi", debian: "php-cgi"}
	libev   = program{file: "/usr/include/ev.h", debian: "libev-dev"} // to compile bjoern
	helpers = append(fromPyPI("flask", "django", "starlette", "fastapi"), wrk, h2load)
)

func (p program) has() bool {
	if p.pypi != "" {
		return p.version() != ""
	}
	if _, err := exec.LookPath(p.file); err == nil {
		return true
	}
	_, err := os.Stat(p.file)
	return err == nil && filepath.IsAbs(p.file)
}

func (p program) name() string {
	if p.pypi != "" {
		return p.pypi
	}
	return filepath.Base(p.file)
}

func (p program) version() string {
	if p.pypi != "" {
		found, _ := filepath.Glob(filepath.Join(venv, "lib/python3*/site-packages", p.pypi+"-*.dist-info"))
		if found == nil {
			return ""
		}
		return strings.TrimSuffix(strings.TrimPrefix(filepath.Base(found[0]), p.pypi+"-"), ".dist-info")
	}
	if p.debian == "" {
		return ""
	}
	out, _ := exec.Command("dpkg-query", "--show", "--showformat=${Version}", p.debian).Output() // fails without dpkg
	return upstream(string(out))
}

// upstream returns the version of the original program from the version of its Debian package: 1.2 for 1:1.2+dfsg-3
// (deb-version(7)).
func upstream(version string) string {
	if _, rest, found := strings.Cut(version, ":"); found {
		version = rest
	}
	if i := strings.LastIndexByte(version, '-'); i >= 0 {
		version = version[:i]
	}
	for _, repacked := range []string{"+ds", "+dfsg", "~ds", "~dfsg"} {
		version, _, _ = strings.Cut(version, repacked)
	}
	return version
}

func (s *server) missing() string {
	for _, p := range s.needs {
		switch {
		case p.has():
		case p.pypi != "":
			return "no " + p.pypi + " in " + venv
		case p.file == "":
			return "build.sh has not named its program"
		default:
			return "no " + p.file
		}
	}
	return ""
}

func missingPackages() (packages []string) {
	all := append(slices.Clone(helpers), phpCGI, libev)
	for _, s := range servers {
		all = append(all, s.needs...)
	}
	for _, p := range all {
		if p.debian != "" && !p.has() && !slices.Contains(packages, p.debian) {
			packages = append(packages, p.debian)
		}
	}
	return packages
}

func versions(servers []*server) map[string]string {
	found := map[string]string{}
	for _, s := range servers {
		if len(s.needs) > 0 {
			found[s.name] = s.needs[0].version()
		}
	}
	for _, p := range helpers {
		found[p.name()] = p.version()
	}
	for name, file := range map[string]string{"fapws": os.Getenv("FAPWS_BIN"), "Python": inVenv("python3")} {
		if out, err := exec.Command(file, "--version").Output(); err == nil {
			if words := strings.Fields(string(out)); len(words) > 1 {
				found[name] = words[1]
			}
		}
	}
	found["Go"] = strings.TrimPrefix(runtime.Version(), "go")
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if m.Path == "github.com/panjf2000/gnet/v2" {
				found["gnet"] = strings.TrimPrefix(m.Version, "v")
			}
		}
	}
	for name, version := range found {
		if version == "" {
			delete(found, name)
		}
	}
	return found
}

func (p program) need() error {
	if p.has() {
		return nil
	}
	return fmt.Errorf("%s is missing; install it with: sudo apt-get install %s", p.name(), p.debian)
}
