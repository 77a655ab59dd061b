package process

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// handoverVariable is an environment variable that is set if this program has replaced another program in the same
// process. The value consists of the kind of the other program, a colon, and the descriptor of a file with the state
// that the other program has left.
const handoverVariable = "_FAPWS_HANDOVER"

// ControlSignals are the signals that control a server.
var ControlSignals = []syscall.Signal{
	syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP,
	syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGTTIN, syscall.SIGTTOU,
}

// environment contains the variables with which this program was started.
var environment = os.Environ()

// Environment returns the variables with which this program was started. Changes of the environment since then, such as
// the variables from --env-file, are not included.
func Environment() (list []string) {
	for _, one := range environment {
		if !strings.HasPrefix(one, handoverVariable+"=") {
			list = append(list, one)
		}
	}
	return list
}

// Replace executes the program that is now installed at the path of this program, with the same arguments and in the
// same process, and returns only if this fails. The new program calls Left with the same kind and gets the result of
// the function state, encoded as JSON. While state runs, ControlSignals are blocked. They stay pending until the new
// program is ready, see SignalsArrived. Descriptors that the new program needs must not be close-on-exec.
func Replace(kind string, environment []string, state func() any) error {
	note, err := unix.MemfdCreate("fapws handover", unix.MFD_CLOEXEC)
	if err != nil {
		return err
	}
	defer unix.Close(note)
	defer blockSignals(ControlSignals)()
	text, err := json.Marshal(state())
	if err != nil {
		return err
	}
	if _, err := unix.Pwrite(note, text, 0); err != nil {
		return err
	}
	cmd := Again(true, Arguments()...)
	if cmd.Err != nil {
		return cmd.Err
	}
	if _, err := unix.FcntlInt(uintptr(note), unix.F_SETFD, 0); err != nil { // make the new program inherit the file
		return err
	}
	return syscall.Exec(cmd.Path, cmd.Args, append(environment, handoverVariable+"="+kind+":"+strconv.Itoa(note)))
}

// HasReplaced reports whether this program has replaced a program of this kind, and Left was not called yet.
func HasReplaced(kind string) bool { return strings.HasPrefix(os.Getenv(handoverVariable), kind+":") }

// maxState limits an encoded state, in bytes.
const maxState = 1 << 30

// Left decodes the state that the previous program of this kind has passed to Replace. found is false if no program
// has passed one.
func Left(kind string, state any) (found bool, err error) {
	if !HasReplaced(kind) {
		return false, nil
	}
	text := os.Getenv(handoverVariable)
	os.Unsetenv(handoverVariable)
	fd, err := strconv.Atoi(strings.TrimPrefix(text, kind+":"))
	if err != nil {
		return false, fmt.Errorf("%s=%s: not a descriptor", handoverVariable, text)
	}
	f := os.NewFile(uintptr(fd), "handover")
	defer f.Close()
	if err := json.NewDecoder(io.NewSectionReader(f, 0, maxState)).Decode(state); err != nil {
		return false, fmt.Errorf("state of the previous program: %w", err)
	}
	return true, nil
}
