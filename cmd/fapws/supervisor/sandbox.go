package supervisor

import (
	"fmt"
	"os"
	"path/filepath"

	"fapws/cmd/fapws/chroot"
	"fapws/cmd/fapws/exit"
	"fapws/cmd/fapws/sandbox"
	"fapws/cmd/fapws/settings"
	"fapws/runtime/logfile"
)

// prepareSandbox says what the kernel cannot restrict, and makes the directory of temporary files, the only one that all
// workers can write to. Workers, and a program that takes the place of this one (upgraded), find it in the environment.
func (p *process) prepareSandbox(upgraded bool) error {
	if p.conf.Sandbox == settings.SandboxModes[0] {
		return os.Unsetenv(sandbox.Variable)
	}
	if without := sandbox.Missing(); without != "" {
		if p.conf.Sandbox == "strict" {
			return exit.NotStarted("--sandbox strict: this system cannot restrict %s; use --sandbox to restrict the rest", without)
		}
		p.log.Log(logfile.Warning, "sandbox: this system cannot restrict "+without)
	}
	for name, paths := range map[string][]string{"sandbox-read": p.conf.SandboxRead, "sandbox-write": p.conf.SandboxWrite, "sandbox-exec": p.conf.SandboxExec} {
		for _, path := range paths {
			if _, err := os.Stat(path); err != nil {
				return exit.Usage(fmt.Errorf("%s (%s): %s: %w", name, p.plan.Settings.Source(name), path, exit.Reason(err)))
			}
		}
	}
	if err := p.plan.CheckOutside(&p.conf, nil); err != nil {
		return err
	}
	if dir := os.Getenv(sandbox.Variable); upgraded && dir != "" {
		p.temporary = dir
		return nil
	}
	parent := os.TempDir()
	if p.conf.Chroot != "" {
		parent = filepath.Join(os.Getenv(chroot.Variable), "tmp")
	}
	dir, err := os.MkdirTemp(parent, "fapws-sandbox-")
	if err == nil && p.identity != nil {
		if c := p.identity.Credential(); c != nil {
			err = os.Chown(dir, int(c.Uid), int(c.Gid))
		}
	}
	if err != nil {
		return exit.NotStarted("cannot make a directory for temporary files: %v", err)
	}
	p.temporary = dir
	if err := os.Setenv(sandbox.Variable, dir); err != nil {
		return err
	}
	return os.Setenv("TMPDIR", dir)
}

// leaveSandbox removes the directory of temporary files.
func (p *process) leaveSandbox() {
	if p.temporary != "" {
		os.RemoveAll(p.temporary)
	}
}
