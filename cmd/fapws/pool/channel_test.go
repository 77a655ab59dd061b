package pool

import (
	"errors"
	"io"
	"os"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"fapws/runtime/checktest"
)

func channels(t *testing.T) (ours, theirs *Channel) {
	t.Helper()
	ours, file, err := Pair()
	checktest.Must(t, err)
	defer file.Close()
	fd := checktest.Try(unix.FcntlInt(file.Fd(), unix.F_DUPFD_CLOEXEC, 0)).Must(t)
	theirs = checktest.Try(NewChannel(fd)).Must(t)
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	return ours, theirs
}

func TestChannelSendsMessagesAndDescriptors(t *testing.T) {
	ours, theirs := channels(t)
	r, w, err := os.Pipe()
	checktest.Must(t, err)
	defer r.Close()
	sent := &Message{Kind: Listen, Addresses: []string{"a"}}
	checktest.Must(t, ours.Send(sent, int(w.Fd())))
	w.Close()
	got, files, err := theirs.Receive()
	checktest.Needf(t, err == nil && reflect.DeepEqual(got, sent) && len(files) == 1,
		"%+v with %d files, %v", got, len(files), err)
	flags, err := unix.FcntlInt(files[0].Fd(), unix.F_GETFD, 0)
	checktest.Truef(t, err == nil && flags&unix.FD_CLOEXEC != 0, "the descriptor is for children too: %x, %v", flags, err)
	io.WriteString(files[0], "through it")
	files[0].Close()
	text, err := io.ReadAll(r)
	checktest.Truef(t, err == nil && string(text) == "through it", "%q, %v", text, err)

	for _, m := range []*Message{{Kind: Ask, Text: strings.Repeat("x", maxObject)},
		{Kind: Events, Raw: make([]byte, maxMessage)}} {
		err := ours.Send(m)
		checktest.Truef(t, err != nil, "a message that is too long was sent: %s", m.Kind)
	}
	theirs.interrupt()
	_, _, err = theirs.Receive()
	checktest.Truef(t, errors.Is(err, os.ErrDeadlineExceeded), "an interrupted Receive: %v", err)
	theirs.resume()
	ours.Send(&Message{Kind: Stop})
	ours.Close()
	m, _, err := theirs.Receive()
	checktest.Truef(t, err == nil && m.Kind == Stop, "what was sent before the end: %+v, %v", m, err)
	_, _, err = theirs.Receive()
	checktest.Equalf(t, err, io.EOF, "at the end")
	err = theirs.Send(&Message{Kind: Loaded})
	checktest.Truef(t, err != nil, "sent without a receiver")
}

func TestLastMessageOfADeadWorkerIsReceived(t *testing.T) {
	ours, theirs := channels(t)
	for range 3 {
		checktest.Must(t, theirs.Send(&Message{Kind: Publish, N: 1}))
	}
	checktest.Must(t, ours.Send(&Message{Kind: Events}))
	theirs.Close()
	for i := range 3 {
		m, _, err := ours.Receive()
		checktest.Needf(t, err == nil && m.Kind == Publish, "message %d: %+v, %v", i, m, err)
	}
	m, _, err := ours.Receive()
	checktest.Equalf(t, err, io.EOF, "%+v", m)
}

func TestChannelRejectsInvalidMessages(t *testing.T) {
	for _, text := range []string{"", "nonsense", "[]", `{"Kind":7}`, `{"Kind":"answer"`} {
		ours, theirs := channels(t)
		checktest.Try(theirs.conn.Write([]byte(text))).Must(t)
		m, _, err := ours.Receive()
		checktest.Truef(t, err != nil, "%q is %+v", text, m)
	}
}
