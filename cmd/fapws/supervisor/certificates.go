package supervisor

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"fapws/cmd/fapws/certificates"
	"fapws/cmd/fapws/pool"
	"fapws/cmd/fapws/process"
)

// keyring reads the certificates for the workers. The fields of a keyring, except the Follower, belong to the goroutine
// of pool.Pool.Run.
type keyring struct {
	p      *supervisor
	reader certificates.Reader
	// a process that reads files that this process may not read; nil if there is none
	root *KeyReader
	// the decoded request messages of all workers that serve or load; the keys are the encoded messages
	wants    map[string]*certificates.Want
	latest   string // latest request message; empty before a worker has sent the first
	follower *certificates.Follower
	orders   *certificates.Orders // nil until workers serve, or if no certificate is ordered
}

// inherited holds the state of a keyring for the program that replaces this program.
type inherited struct {
	Kept certificates.KeySet
	Root bool // the first inherited file is the channel of keyring.root
}

// open reads the certificates of the settings before any worker is started. Mistakes are therefore reported at once,
// and this process may still be root. After an upgrade, state and files are the state and the files of the previous
// program; otherwise both are nil. open returns those of the files that belong to other parts of the supervisor.
func (k *keyring) open(state []byte, files []*os.File) (rest []*os.File, err error) {
	k.wants = map[string]*certificates.Want{}
	k.reader.Log, k.reader.Read = k.p.log.Log, k.read
	if state != nil {
		if rest, err = k.inherit(state, files); err != nil {
			return nil, process.ExitNotStarted("state of the previous program: %v", err)
		}
	}
	if err := k.giveStateDirs(); err != nil {
		return nil, process.ExitNotStarted("%v", k.p.plan.Settings.Located("state-dir", err))
	}
	want := k.p.plan.Certificates(&k.p.conf)
	if want == nil {
		return rest, nil
	}
	if k.root == nil && k.needsRoot(want) {
		if k.root, err = StartKeyReader(want.Files()); err != nil {
			return nil, process.ExitNotStarted("cannot start the process that reads keys as root: %v", err)
		}
	}
	if _, err := k.reader.KeySet(want); err != nil && state == nil {
		return nil, process.ExitNotStarted("%v", k.p.plan.StateLocated(err))
	}
	return rest, nil
}

// giveStateDirs tells workers the path of the state directory. As root, giveStateDirs creates the directory for the
// server's user, who may not be permitted to create it. An existing directory is not changed.
func (k *keyring) giveStateDirs() error {
	if err := k.p.plan.KeepStateDir(); err != nil {
		return err
	}
	if k.p.identity == nil || os.Geteuid() != 0 {
		return nil
	}
	for _, dir := range k.p.plan.StateDirs(nil) {
		if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
			return err
		}
		switch err := os.Mkdir(dir, 0o700); {
		case err == nil:
			if err := os.Lchown(dir, k.p.identity.UID, k.p.identity.GID); err != nil {
				return err
			}
		case !errors.Is(err, fs.ErrExist):
			return err
		}
	}
	return nil
}

func (k *keyring) needsRoot(w *certificates.Want) bool {
	id := k.p.identity
	return id != nil && os.Geteuid() == 0 && id.UID != 0 && slices.ContainsFunc(w.Files(), func(name string) bool {
		return !id.MayRead(name)
	})
}

// If this process may not read the file, read asks the process with more rights.
func (k *keyring) read(name string) ([]byte, fs.FileMode, error) {
	data, mode, err := certificates.ReadFile(name)
	if errors.Is(err, fs.ErrPermission) && k.root != nil {
		return k.root.Read(name)
	}
	return data, mode, err
}

func (k *keyring) bundle(text string, renewal bool) ([]byte, error) {
	want := new(certificates.Want)
	if err := json.Unmarshal([]byte(text), want); err != nil {
		return nil, err
	}
	b, err := k.reader.KeySet(want)
	if err != nil {
		return nil, err
	}
	if !renewal {
		k.follow(text, want)
		if k.orders != nil {
			k.orders.Order(&want.ACME)
		}
	}
	return json.Marshal(b)
}

// serving begins the orders of certificates when workers serve, because the authority requests tokens from the running
// server.
func (k *keyring) serving() {
	w := k.p.plan.Certificates(&k.p.conf)
	if w == nil {
		return
	}
	if k.latest == "" {
		text, _ := json.Marshal(w)
		k.follow(string(text), w)
	}
	k.order(w)
}

func (k *keyring) order(w *certificates.Want) {
	if w.ACME.Dir != "" && k.orders == nil {
		k.orders = certificates.NewOrders(&w.ACME, k.p.pool.RenewCertificates, k.p.log.Log)
		k.p.instance.Orders.Store(k.orders)
	}
}

func (k *keyring) follow(text string, w *certificates.Want) {
	k.wants[text], k.latest = w, text
	if k.follower == nil {
		k.follower = certificates.Follow(k.p.pool.RenewCertificates, k.root != nil)
	}
	var names []string
	auto := false
	for _, w := range k.wants {
		names = append(names, w.Files()...)
		auto = auto || w.Auto != ""
	}
	slices.Sort(names)
	k.follower.Files(slices.Compact(names), auto)
}

// reloaded discards the certificates.Want of each replaced worker, orders new certificates and repeats failed orders.
func (k *keyring) reloaded() {
	if k.orders != nil {
		k.orders.Retry()
	}
	if w := k.wants[k.latest]; w != nil {
		clear(k.wants)
		k.follow(k.latest, w)
		k.order(w)
	}
}

func (k *keyring) leave() (text []byte, files []syscall.Conn, err error) {
	k.orders.Close() // the next program could not follow a running hook
	k.orders = nil   // if the next program cannot be started, reloaded starts orders again
	if k.root != nil && k.root.channel != nil {
		files = append(files, k.root.channel)
	}
	text, err = json.Marshal(inherited{Kept: k.reader.Kept, Root: len(files) > 0})
	return text, files, err
}

// inherit restores the state that the previous program returned from leave, and returns those of the files that do not
// belong to the keyring.
func (k *keyring) inherit(text []byte, files []*os.File) (rest []*os.File, err error) {
	var state inherited
	if err := json.Unmarshal(text, &state); err != nil {
		return nil, err
	}
	k.reader.Kept = state.Kept
	if !state.Root {
		return files, nil
	}
	if len(files) == 0 {
		return nil, errors.New("the channel to the process that reads keys is missing")
	}
	k.root, err = TakeKeyReader(files[0])
	files[0].Close()
	return files[1:], err
}

// variable is the environment variable that tells the key reader the descriptor of its channel.
const variable = "_FAPWS_KEYREADER"

// read is the kind of a message that requests the contents of the file in Message.Text. In the reply, Raw contains the
// contents, and ID is the permissions of the file. If the file cannot be read, Text is the error.
const read pool.Kind = "read"

const answerWithin = 5 * time.Second

var errEnded = fmt.Errorf("%w: the process that read keys as root has ended", fs.ErrPermission)

type KeyReader struct {
	channel *pool.Channel
}

// StartKeyReader starts a process with the rights of this process, which reads only the given files. The paths may be
// relative to the working directory.
func StartKeyReader(files []string) (*KeyReader, error) {
	channel, theirs, err := pool.Pair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	cmd := process.Again(false, append([]string{"reads private keys as root"}, files...)...)
	cmd.Stderr = os.Stderr
	cmd.ExtraFiles = append(cmd.ExtraFiles, theirs)
	// the descriptors follow standard input, output and error
	cmd.Env = append(cmd.Env, variable+"="+strconv.Itoa(len(cmd.ExtraFiles)+2))
	if err := cmd.Start(); err != nil {
		channel.Close()
		return nil, err
	}
	return &KeyReader{channel}, nil
}

func TakeKeyReader(f *os.File) (*KeyReader, error) {
	channel, err := pool.ChannelOf(f)
	return &KeyReader{channel}, err
}

func (r *KeyReader) Read(name string) ([]byte, fs.FileMode, error) {
	if r.channel == nil {
		return nil, 0, errEnded
	}
	var m *pool.Message
	err := r.channel.Send(&pool.Message{Kind: read, Text: name})
	if err == nil {
		m, _, err = r.channel.ReceiveWithin(answerWithin)
	}
	if err != nil {
		r.channel.Close()
		r.channel = nil
		return nil, 0, errEnded
	}
	if m.Text != "" {
		return nil, 0, errors.New(m.Text)
	}
	return m.Raw, fs.FileMode(m.ID), nil
}

func KeyReaderWanted() bool { return os.Getenv(variable) != "" }

func RunKeyReader() error {
	process.TakeName()
	signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2,
		syscall.SIGPIPE)
	fd, err := strconv.Atoi(os.Getenv(variable))
	if err != nil {
		return fmt.Errorf("%s=%s is not from a supervisor", variable, os.Getenv(variable))
	}
	unix.CloseOnExec(fd)
	channel, err := pool.NewChannel(fd)
	if err != nil {
		return fmt.Errorf("%s=%d is not from a supervisor: %w", variable, fd, err)
	}
	for {
		asked, _, err := channel.Receive() // the supervisor attaches no files
		if err != nil {
			return nil
		}
		answer := &pool.Message{Kind: read}
		if !slices.Contains(process.Arguments()[1:], asked.Text) {
			answer.Text = "it was not named when the server was started as root; restart the server"
		} else if data, mode, err := certificates.ReadFile(asked.Text); err != nil {
			answer.Text = err.Error()
		} else {
			answer.Raw, answer.ID = data, uint64(mode)
		}
		if channel.Send(answer) != nil {
			return nil
		}
	}
}
