package supervisor

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"fapws/cmd/fapws/confine"
	"fapws/cmd/fapws/process"
)

// findIdentity looks up the user and the groups that the workers, and then this process, will have.
func (p *supervisor) findIdentity() (err error) {
	if p.conf.User != "" || p.conf.Group != "" {
		if p.identity, err = confine.LookupIdentity(p.conf.User, p.conf.Group); err != nil {
			return process.ExitUsage(err)
		}
		if err := p.identity.SetEnviron(); err != nil {
			return err
		}
	}
	if p.conf.Chroot == "" {
		return nil
	}
	return p.prepareChroot()
}

// workerFolder returns the directory in which workers start: the one in which
// fapws was started, since the command line and the configuration file may name
// paths relative to it. A user who may not enter that one starts in the directory of
// --chdir, if nothing else is relative.
func (p *supervisor) workerFolder() (string, error) {
	if p.identity == nil {
		return p.plan.Dir, nil
	}
	refuse := func(err error, hint string) (string, error) {
		return "", process.ExitUsage(fmt.Errorf("%w; %s", err, hint))
	}
	if file := process.File(); file != "" && len(p.plan.Site.Apps()) > 0 { // package fapws lies beside it
		if err := p.identity.Enter(filepath.Dir(file)); err != nil {
			return refuse(err, "fapws is installed there: install it for all users, for example with ./build.sh install --system")
		}
	}
	err := p.identity.Enter(p.plan.Dir)
	switch {
	case err == nil:
		return p.plan.Dir, nil
	case p.conf.Chdir == "":
		return refuse(err, "start fapws in another directory, or name one with --chdir")
	case !filepath.IsAbs(p.conf.Chdir):
		return refuse(err, fmt.Sprintf("--chdir %s is relative to it: use an absolute path", p.conf.Chdir))
	case p.plan.File != nil && !filepath.IsAbs(p.plan.File.Name):
		return refuse(err, fmt.Sprintf("%s is inside: move it, or pass an absolute path to --config", p.plan.File.Name))
	}
	if err := p.identity.Enter(p.conf.Chdir); err != nil {
		return refuse(err, "name another one with --chdir")
	}
	// Workers look for the file in another directory than this process did.
	file := "off"
	if p.plan.File != nil {
		file = p.plan.Path
	}
	return p.conf.Chdir, os.Setenv("FAPWS_CONFIG", file)
}

// prepareChroot sees to the folder of --chroot, and lets the workers know it.
func (p *supervisor) prepareChroot() error {
	if !confine.MayChroot() {
		return process.ExitUsage(fmt.Errorf("--chroot %s: requires root or CAP_SYS_CHROOT", p.conf.Chroot))
	}
	if os.Geteuid() == 0 && (p.identity == nil || p.identity.UID == 0) {
		return process.ExitUsage(fmt.Errorf("--chroot %s: root can escape a chroot; add --user NAME", p.conf.Chroot))
	}
	folder, err := confine.FindChroot(p.conf.Chroot)
	if err != nil {
		return process.ExitUsage(err)
	}
	if err := confine.FurnishChroot(folder); err != nil {
		return process.ExitNotStarted("%v", err)
	}
	return os.Setenv(confine.ChrootVariable, folder)
}

// attributes gives a worker the user that this process will have once it has bound the addresses.
func (p *supervisor) attributes() *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{}
	if p.identity != nil {
		a.Credential = p.identity.Credential()
	}
	if p.conf.Chroot != "" {
		a.AmbientCaps = []uintptr{unix.CAP_SYS_CHROOT} // gone before it is Go, see chroot.c of package confine
	}
	return a
}
