package confine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/landlock-lsm/go-landlock/landlock"
	ll "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"

	"fapws/runtime/system"
)

// Versions of Landlock's interface (landlock(7)) and their additions.
const (
	abiFiles    = 1 // Linux 5.13
	abiRefer    = 2 // 5.19: renaming to another directory, which before is never possible
	abiTruncate = 3 // 6.2
	abiTCP      = 4 // 6.7
	abiIoctl    = 5 // 6.10
	abiScopes   = 6 // 6.12
)

// landlockABI returns the version of Landlock in this kernel; 0: there is none, or the kernel was started without it.
func landlockABI() int {
	version, err := ll.LandlockGetABIVersion()
	if err != nil {
		return 0
	}
	return version
}

const (
	fileRead   = ll.AccessFSReadFile
	fileWrite  = ll.AccessFSWriteFile | ll.AccessFSTruncate
	fileExec   = ll.AccessFSExecute
	dirRead    = ll.AccessFSReadDir
	dirWrite   = ll.AccessFSMakeReg | ll.AccessFSMakeDir | ll.AccessFSMakeSym | ll.AccessFSMakeSock | ll.AccessFSMakeFifo | ll.AccessFSRemoveFile | ll.AccessFSRemoveDir
	everything = 1<<16 - 1 // up to abiIoctl
)

// restrict applies Landlock to all threads, as far as the kernel has it.
func restrict(r *Rules) error {
	abi := landlockABI()
	if abi < abiFiles {
		return nil
	}
	write := landlock.AccessFSSet(fileRead | fileWrite | dirRead | dirWrite)
	if abi >= abiRefer {
		write |= ll.AccessFSRefer
	}
	var rules []landlock.Rule
	var wrong error
	var fds []int
	defer func() {
		for _, fd := range fds {
			unix.Close(fd)
		}
	}()
	allow := func(access landlock.AccessFSSet, paths []string) {
		for _, path := range paths {
			if abs, err := filepath.Abs(path); err == nil {
				path = abs
			}
			fd, err := system.Open(path) // else a link of the application would give it what the link leads to
			if err != nil {
				if !errors.As(err, new(*os.PathError)) {
					wrong = err
				}
				continue // missing, or out of reach
			}
			fds = append(fds, fd)
			if here := access & meaningful(fd); here != 0 {
				rules = append(rules, landlock.PathAccess(here, "/proc/self/fd/"+strconv.Itoa(fd)).IgnoreIfMissing())
			}
		}
	}
	const read, exec = fileRead | dirRead, fileRead | dirRead | fileExec
	for _, paths := range [][]string{libraries, readable, r.Read} {
		allow(read, paths)
	}
	allow(fileRead|fileWrite, devices)
	allow(write, r.Write)
	if r.executes() {
		allow(exec, loaders())
		allow(exec, r.Exec)
	}
	if r.Programs {
		allow(exec, programs)
	}
	for _, port := range r.Connect {
		rules = append(rules, landlock.ConnectTCP(port))
	}
	for _, port := range r.Bind {
		rules = append(rules, landlock.BindTCP(port))
	}
	scopes := landlock.ScopedSet(ll.ScopeSignal)
	if !r.AbstractSockets {
		scopes |= ll.ScopeAbstractUnixSocket
	}
	if wrong != nil {
		return fmt.Errorf("cannot enter the sandbox: %w", wrong)
	}
	config, err := landlock.NewConfig(landlock.AccessFSSet(everything), landlock.AccessNetSet(ll.AccessNetBindTCP|ll.AccessNetConnectTCP), scopes)
	if err != nil {
		return err
	}
	if err := config.BestEffort().Restrict(rules...); err != nil {
		return fmt.Errorf("cannot enter the sandbox: %w", err)
	}
	return nil
}

// meaningful returns the rights that an open file can have.
func meaningful(fd int) landlock.AccessFSSet {
	var st unix.Stat_t
	switch {
	case unix.Fstat(fd, &st) != nil:
		return 0
	case st.Mode&unix.S_IFMT == unix.S_IFDIR:
		return everything
	}
	return fileRead | fileWrite | fileExec
}
