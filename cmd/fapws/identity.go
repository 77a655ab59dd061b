package main

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"fapws/cmd/fapws/cage"
	"fapws/cmd/fapws/exit"
	"fapws/cmd/fapws/privilege"
)

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
func (v *overseer) workerFolder() (string, error) {
	if v.identity == nil {
		return v.plan.Start.Dir, nil
	}
	refuse := func(err error, hint string) (string, error) {
		return "", exit.Usage(fmt.Errorf("%w; %s", err, hint))
	}
	if program, err := os.Executable(); err == nil && len(v.plan.Site.Apps()) > 0 { // package fapws lies beside it
		if err := v.identity.Enter(filepath.Dir(program)); err != nil {
			return refuse(err, "fapws is installed there: install it for all users, for example with ./build.sh install --system")
		}
	}
	err := v.identity.Enter(v.plan.Start.Dir)
	switch {
	case err == nil:
		return v.plan.Start.Dir, nil
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
