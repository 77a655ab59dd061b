package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"fapws/cmd/fapws/cage"
	"fapws/cmd/fapws/exit"
	"fapws/cmd/fapws/privilege"
	"fapws/cmd/fapws/settings"
)

// errRoot refuses root on a system where another user could run the application.
var errRoot = errors.New("refusing to run as root, because every mistake of the application would be one of root: choose a user with --user NAME, or pass --allow-root (FAPWS_ALLOW_ROOT=1)")

// judgeRoot decides about a process that was started by root. Where the process would
// stay root and nothing allows that, the result is an error, or a warning on a system that leaves no choice.
func judgeRoot(conf *settings.Config) (warning string, err error) {
	if os.Geteuid() != 0 || conf.AllowRoot || !staysRoot(conf) {
		return "", nil
	}
	reason := privilege.RootReason()
	if reason == "" {
		return "", exit.Usage(errRoot)
	}
	return "running as root, because " + reason + "; choose another user with --user NAME, or silence this with --allow-root", nil
}

// staysRoot reports whether a process that was started by root would serve as root.
func staysRoot(conf *settings.Config) bool {
	if conf.User == "" {
		return true
	}
	id, err := privilege.Lookup(conf.User, conf.Group)
	return err == nil && id.UID == 0 // findIdentity reports the error
}

// findIdentity looks up who the workers, and then this process, are to be.
func (v *overseer) findIdentity() (err error) {
	if v.conf.User != "" || v.conf.Group != "" {
		if v.identity, err = privilege.Lookup(v.conf.User, v.conf.Group); err != nil {
			return exit.Usage(err)
		}
		if err := v.identity.SetEnviron(); err != nil {
			return err
		}
	}
	if v.conf.Chroot == "" {
		return nil
	}
	return v.prepareCage()
}

// workerFolder returns the directory in which workers start: the one in which
// fapws was started, since the command line and the configuration file may name
// paths relative to it. A user who may not enter that one starts in the directory of
// --chdir, if nothing else is relative.
func (v *overseer) workerFolder(at place) (string, error) {
	if v.identity == nil {
		return at.folder, nil
	}
	refuse := func(err error, hint string) (string, error) {
		return "", exit.Usage(fmt.Errorf("%w; %s", err, hint))
	}
	if program, err := os.Executable(); err == nil && len(v.plan.Site.Apps()) > 0 { // package fapws lies beside it
		if err := v.identity.Enter(filepath.Dir(program)); err != nil {
			return refuse(err, "fapws is installed there: install it for all users, for example with ./build.sh install --system")
		}
	}
	err := v.identity.Enter(at.folder)
	switch {
	case err == nil:
		return at.folder, nil
	case v.conf.Chdir == "":
		return refuse(err, "start fapws in another directory, or name one with --chdir")
	case !filepath.IsAbs(v.conf.Chdir):
		return refuse(err, fmt.Sprintf("--chdir %s is relative to it: give an absolute path", v.conf.Chdir))
	case v.plan.File != nil && !filepath.IsAbs(v.plan.File.Name):
		return refuse(err, fmt.Sprintf("%s is there: move it, or give an absolute path with --config", v.plan.File.Name))
	}
	if err := v.identity.Enter(v.conf.Chdir); err != nil {
		return refuse(err, "name another one with --chdir")
	}
	// Workers look for the file in another directory than this process did.
	file := "off"
	if v.plan.File != nil {
		file = v.plan.Path
	}
	return v.conf.Chdir, os.Setenv("FAPWS_CONFIG", file)
}

// prepareCage sees to the folder of --chroot, and lets the workers know it.
func (v *overseer) prepareCage() error {
	if !privilege.MayChroot() {
		return exit.Usage(fmt.Errorf("--chroot %s needs root, or the capability CAP_SYS_CHROOT", v.conf.Chroot))
	}
	if os.Geteuid() == 0 && (v.identity == nil || v.identity.UID == 0) {
		return exit.Usage(fmt.Errorf("--chroot %s: root finds the way out; name who shall serve there with --user", v.conf.Chroot))
	}
	folder, err := cage.Find(v.conf.Chroot)
	if err != nil {
		return exit.Usage(err)
	}
	if err := cage.Furnish(folder); err != nil {
		return exit.NotStarted("%v", err)
	}
	return os.Setenv(cage.Variable, folder)
}

// attributes makes a worker what this process will be once it has bound the
// addresses.
func (v *overseer) attributes() *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{}
	if v.identity != nil {
		a.Credential = v.identity.Credential()
	}
	if v.conf.Chroot != "" {
		a.AmbientCaps = []uintptr{unix.CAP_SYS_CHROOT} // gone before it is Go, see package cage
	}
	return a
}
