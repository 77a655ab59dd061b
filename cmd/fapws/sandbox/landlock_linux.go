package sandbox

import (
	"fmt"

	"github.com/landlock-lsm/go-landlock/landlock"
	ll "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
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
	allow := func(access landlock.AccessFSSet, paths []string) {
		for _, path := range paths {
			if here := access & meaningful(path); here != 0 {
				rules = append(rules, landlock.PathAccess(here, path).IgnoreIfMissing())
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
	config, err := landlock.NewConfig(landlock.AccessFSSet(everything), landlock.AccessNetSet(ll.AccessNetBindTCP|ll.AccessNetConnectTCP), scopes)
	if err != nil {
		return err
	}
	if err := config.BestEffort().Restrict(rules...); err != nil {
		return fmt.Errorf("cannot enter the sandbox: %w", err)
	}
	return nil
}

// meaningful returns the rights that the file at path can have; 0: it is missing, or this process cannot reach it.
func meaningful(path string) landlock.AccessFSSet {
	var st unix.Stat_t
	switch {
	case unix.Stat(path, &st) != nil:
		return 0
	case st.Mode&unix.S_IFMT == unix.S_IFDIR:
		return everything
	}
	return fileRead | fileWrite | fileExec
}
