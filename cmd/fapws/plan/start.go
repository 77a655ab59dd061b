package plan

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"

	"fapws/cmd/fapws/exit"
)

// Start is the program, arguments and directory of a process, to start it again.
type Start struct {
	Program string // absolute path by which the executable was called
	Dir     string // working directory, before --chdir
}

// whereStarted must be called before the process changes its working directory.
func whereStarted() (s Start, err error) {
	if s.Dir, err = os.Getwd(); err != nil {
		return s, exit.NotStarted("%v", err)
	}
	if s.Program, err = exec.LookPath(os.Args[0]); err != nil && !errors.Is(err, exec.ErrDot) {
		if s.Program, err = os.Executable(); err != nil {
			return s, exit.NotStarted("%v", err)
		}
	}
	if !filepath.IsAbs(s.Program) {
		s.Program = filepath.Join(s.Dir, s.Program)
	}
	return s, nil
}
