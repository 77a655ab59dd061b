package pool

import (
	"errors"
	"io"
	"os"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func channels(t *testing.T) (ours, theirs *Channel) {
	t.Helper()
	ours, file, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	fd, err := unix.FcntlInt(file.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if theirs, err = NewChannel(fd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	return ours, theirs
}

func TestChannelSendsMessagesAndDescriptors(t *testing.T) {
	ours, theirs := channels(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	sent := &Message{Kind: Listen, Addresses: []string{"a"}}
	if err := ours.Send(sent, int(w.Fd())); err != nil {
		t.Fatal(err)
	}
	w.Close()
	got, files, err := theirs.Receive()
	if err != nil || !reflect.DeepEqual(got, sent) || len(files) != 1 {
		t.Fatalf("%+v with %d files, %v", got, len(files), err)
	}
	if flags, err := unix.FcntlInt(files[0].Fd(), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("the descriptor is for children too: %x, %v", flags, err)
	}
	io.WriteString(files[0], "through it")
	files[0].Close()
	if text, err := io.ReadAll(r); err != nil || string(text) != "through it" {
		t.Errorf("%q, %v", text, err)
	}

	for _, m := range []*Message{{Kind: Ask, Text: strings.Repeat("x", maxObject)},
		{Kind: Events, Raw: make([]byte, maxMessage)}} {
		if err := ours.Send(m); err == nil {
			t.Errorf("a message that is too long was sent: %s", m.Kind)
		}
	}
	theirs.interrupt()
	if _, _, err := theirs.Receive(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("an interrupted Receive: %v", err)
	}
	theirs.resume()
	ours.Send(&Message{Kind: Stop})
	ours.Close()
	if m, _, err := theirs.Receive(); err != nil || m.Kind != Stop {
		t.Errorf("what was sent before the end: %+v, %v", m, err)
	}
	if _, _, err := theirs.Receive(); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
	if err := theirs.Send(&Message{Kind: Loaded}); err == nil {
		t.Error("sent without a receiver")
	}
}

func TestLastMessageOfADeadWorkerIsReceived(t *testing.T) {
	ours, theirs := channels(t)
	for range 3 {
		if err := theirs.Send(&Message{Kind: Publish, N: 1}); err != nil {
			t.Fatal(err)
		}
	}
	if err := ours.Send(&Message{Kind: Events}); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	for i := range 3 {
		if m, _, err := ours.Receive(); err != nil || m.Kind != Publish {
			t.Fatalf("message %d: %+v, %v", i, m, err)
		}
	}
	if m, _, err := ours.Receive(); err != io.EOF {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestChannelRejectsInvalidMessages(t *testing.T) {
	for _, text := range []string{"", "nonsense", "[]", `{"Kind":7}`, `{"Kind":"answer"`} {
		ours, theirs := channels(t)
		if _, err := theirs.conn.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if m, _, err := ours.Receive(); err == nil {
			t.Errorf("%q is %+v", text, m)
		}
	}
}
