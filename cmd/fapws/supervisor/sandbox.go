package supervisor

import (
	"fmt"
	"os"
	"path/filepath"

	"fapws/cmd/fapws/confine"
	"fapws/cmd/fapws/process"
	"fapws/cmd/fapws/settings"
	"fapws/runtime/logfile"
)

// prepareSandbox says what the kernel cannot restrict, and makes the directory of temporary files, the only one that all
// workers can write to. Workers, and a program that takes the place of this one (upgraded), find it in the environment.
func (p *supervisor) prepareSandbox(upgraded bool) error {
	if p.conf.Sandbox == settings.SandboxModes[0] {
		return os.Unsetenv(confine.SandboxVariable)
	}
	if without := confine.MissingInSandbox(); without != "" {
		if p.conf.Sandbox == "strict" {
			return process.ExitNotStarted("--sandbox strict: this system cannot restrict %s; use --sandbox to restrict the rest", without)
		}
		p.log.Log(logfile.Warning, "sandbox: this system cannot restrict "+without)
	}
	for name, paths := range map[string][]string{"sandbox-read": p.conf.SandboxRead, "sandbox-write": p.conf.SandboxWrite, "sandbox-exec": p.conf.SandboxExec} {
		for _, path := range paths {
			if _, err := os.Stat(path); err != nil {
				return process.ExitUsage(fmt.Errorf("%s (%s): %s: %w", name, p.plan.Settings.Source(name), path, process.ExitReason(err)))
			}
		}
	}
	if err := p.plan.CheckOutside(&p.conf, nil); err != nil {
		return err
	}
	if dir := os.Getenv(confine.SandboxVariable); upgraded && dir != "" {
		p.temporary = dir
		return nil
	}
	parent := os.TempDir()
	if p.conf.Chroot != "" {
		parent = filepath.Join(os.Getenv(confine.ChrootVariable), "tmp")
	}
	dir, err := os.MkdirTemp(parent, "fapws-sandbox-")
	if err == nil && p.identity != nil {
		if c := p.identity.Credential(); c != nil {
			err = os.Chown(dir, int(c.Uid), int(c.Gid))
		}
	}
	if err != nil {
		return process.ExitNotStarted("cannot make a directory for temporary files: %v", err)
	}
	p.temporary = dir
	if err := os.Setenv(confine.SandboxVariable, dir); err != nil {
		return err
	}
	return os.Setenv("TMPDIR", dir)
}

// leaveSandbox removes the directory of temporary files.
func (p *supervisor) leaveSandbox() {
	if p.temporary != "" {
		os.RemoveAll(p.temporary)
	}
}
