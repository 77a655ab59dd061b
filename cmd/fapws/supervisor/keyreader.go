package supervisor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"fapws/cmd/fapws/certificates"
	"fapws/cmd/fapws/pool"
	"fapws/cmd/fapws/process"
)

// variable is set in the environment of a process that is to read keys: the descriptor of its channel.
const variable = "FAPWS_KEYREADER"

// Messages on the channel. The supervisor sends names once, the files separated by NUL in pieces, and then read, with
// one of them. The answer to that has a file (pool.SharedFile) and the permissions as its ID, or the error as its text.
const (
	names pool.Kind = "names"
	read  pool.Kind = "read"
)

// answerWithin is how long reading a file may take.
const answerWithin = 5 * time.Second

// errEnded is the error of all reading after the other process has ended.
var errEnded = fmt.Errorf("%w: the process that read keys as root has ended", fs.ErrPermission)

// KeyReader reads files by means of another process.
type KeyReader struct {
	channel *pool.Channel
}

// StartKeyReader starts a process with the rights of this one, to read files. Names may be relative to the working directory.
func StartKeyReader(files []string) (*KeyReader, error) {
	channel, theirs, err := pool.Pair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	cmd := process.Again(false, "reads private keys as root")
	cmd.Stderr = os.Stderr
	cmd.ExtraFiles = append(cmd.ExtraFiles, theirs)
	cmd.Env = append(cmd.Env, variable+"="+strconv.Itoa(len(cmd.ExtraFiles)+2)) // behind standard input, output and error
	if err := cmd.Start(); err != nil {
		channel.Close()
		return nil, err
	}
	go cmd.Wait()
	if err := channel.SendPieces(names, 0, strings.Join(files, "\x00")); err != nil {
		channel.Close()
		return nil, err
	}
	return &KeyReader{channel}, nil
}

// TakeKeyReader goes on with the process that the program before in this process has started. f is that of File.
func TakeKeyReader(f *os.File) (*KeyReader, error) {
	channel, err := pool.ChannelOf(f)
	if err != nil {
		return nil, err
	}
	return &KeyReader{channel}, nil
}

// File returns a copy of the channel to the other process, for Take.
func (r *KeyReader) File() (*os.File, error) {
	return r.channel.File()
}

// Read is certificates.Reader.Read.
func (r *KeyReader) Read(name string) ([]byte, fs.FileMode, error) {
	if r.channel == nil {
		return nil, 0, errEnded
	}
	m, files, err := r.ask(name)
	if err != nil {
		r.channel.Close()
		r.channel = nil
		return nil, 0, errEnded
	}
	defer closeAll(files)
	if m.Text != "" || len(files) != 1 {
		return nil, 0, errors.New(m.Text)
	}
	data, err := pool.ReadShared(files[0])
	return data, fs.FileMode(m.ID), err
}

func (r *KeyReader) ask(name string) (*pool.Message, []*os.File, error) {
	if err := r.channel.Send(&pool.Message{Kind: read, Text: name}); err != nil {
		return nil, nil, err
	}
	return r.channel.ReceiveWithin(answerWithin)
}

// KeyReaderWanted reports whether this process was started to read keys.
func KeyReaderWanted() bool { return os.Getenv(variable) != "" }

// RunKeyReader reads files until the supervisor ends.
func RunKeyReader() error {
	process.TakeName()
	signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGPIPE)
	fd, err := strconv.Atoi(os.Getenv(variable))
	if err != nil {
		return fmt.Errorf("%s=%s is not from a supervisor", variable, os.Getenv(variable))
	}
	unix.CloseOnExec(fd)
	channel, err := pool.NewChannel(fd)
	if err != nil {
		return fmt.Errorf("%s=%d is not from a supervisor: %w", variable, fd, err)
	}
	serve(channel)
	return nil
}

// serve reads the files of the first message for others, until the channel ends.
func serve(channel *pool.Channel) {
	var allowed strings.Builder
	for {
		m, files, err := channel.Receive()
		if err != nil {
			return
		}
		closeAll(files)
		switch m.Kind {
		case names:
			allowed.WriteString(m.Text)
		case read:
			if err := answer(channel, m.Text, slices.Contains(strings.Split(allowed.String(), "\x00"), m.Text)); err != nil {
				return
			}
		}
	}
}

// answer sends the contents of a file.
func answer(channel *pool.Channel, name string, allowed bool) error {
	if !allowed {
		return channel.Send(&pool.Message{Kind: read, Text: "it was not named when the server was started as root; restart the server"})
	}
	data, mode, err := certificates.ReadFile(name)
	if err != nil {
		return channel.Send(&pool.Message{Kind: read, Text: err.Error()})
	}
	f, err := pool.SharedFile("key", data)
	if err != nil {
		return channel.Send(&pool.Message{Kind: read, Text: err.Error()})
	}
	defer f.Close()
	return channel.Send(&pool.Message{Kind: read, ID: uint64(mode)}, f)
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}
