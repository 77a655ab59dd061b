package main

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"fapws/cmd/fapws/cage"
	"fapws/cmd/fapws/privilege"
	"fapws/cmd/fapws/settings"
)

// errRoot is for who runs fapws as root and has not said that this is meant.
var errRoot = errors.New("serving as root gives every mistake of the application the whole machine: name who shall serve with --user NAME, or allow it with --allow-root or FAPWS_ALLOW_ROOT=1")

// staysRoot says whether a process that was started by root would serve as root.
func staysRoot(conf *settings.Config) bool {
	if conf.User == "" {
		return true
	}
	id, err := privilege.Lookup(conf.User, conf.Group)
	return err == nil && id.UID == 0 // with an error, findIdentity says it
}

// findIdentity looks up who the workers, and then this process, are to be.
func (v *overseer) findIdentity() (err error) {
	if v.conf.User != "" || v.conf.Group != "" {
		if v.identity, err = privilege.Lookup(v.conf.User, v.conf.Group); err != nil {
			return usage(err)
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

// prepareCage sees to the folder of --chroot, and lets the workers know it.
func (v *overseer) prepareCage() error {
	if !privilege.MayChroot() {
		return usage(fmt.Errorf("--chroot %s: only root can do this, or who has the capability CAP_SYS_CHROOT", v.conf.Chroot))
	}
	if os.Geteuid() == 0 && (v.identity == nil || v.identity.UID == 0) {
		return usage(fmt.Errorf("--chroot %s: root finds the way out; name who shall serve there with --user", v.conf.Chroot))
	}
	folder, err := cage.Find(v.conf.Chroot)
	if err != nil {
		return usage(err)
	}
	if err := cage.Furnish(folder); err != nil {
		return notStarted("%v", err)
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
