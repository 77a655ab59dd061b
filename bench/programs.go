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
	file   string // "" if its environment variable is unset
	debian string // "" if no package has it
}

// python runs the peers, because Debian's packages belong to Debian's Python.
const python = "/usr/bin/python3"

func module(name string) program {
	return program{"/usr/lib/python3/dist-packages/" + name, "python3-" + name}
}

func ownProgram() program { return program{file: os.Getenv("FAPWS_BIN")} }

var (
	wrk     = program{"wrk", "wrk"}
	h2load  = program{"h2load", "nghttp2-client"}
	phpCGI  = program{"php-cgi", "php-cgi"}
	helpers = []program{wrk, h2load, module("flask"), module("django"), module("starlette"), module("fastapi")}
)

func (p program) has() bool {
	if _, err := exec.LookPath(p.file); err == nil {
		return true
	}
	_, err := os.Stat(p.file)
	return err == nil && filepath.IsAbs(p.file)
}

func (p program) version() string {
	if p.debian == "" {
		return ""
	}
	out, _ := exec.Command("dpkg-query", "--show", "--showformat=${Version}", p.debian).Output() // fails without dpkg
	return upstream(string(out))
}

// upstream returns the part of a version of Debian that is not Debian's: 1.2 of 1:1.2+dfsg-3 (deb-version(7)).
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
		if p.file == "" {
			return "FAPWS_BIN is not set"
		}
		if !p.has() {
			return "no " + p.file
		}
	}
	return ""
}

func missingPackages() (packages []string) {
	all := append(slices.Clone(helpers), phpCGI)
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
		found[filepath.Base(p.file)] = p.version()
	}
	for name, command := range map[string][]string{"fapws": {os.Getenv("FAPWS_BIN"), "--version"},
		"Python": {python, "--version"}} {
		if out, err := exec.Command(command[0], command[1:]...).Output(); err == nil {
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
	return fmt.Errorf("%s is missing; install it with: sudo apt-get install %s", filepath.Base(p.file), p.debian)
}
