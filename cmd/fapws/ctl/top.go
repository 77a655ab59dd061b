package ctl

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// topEvery is the time between two pictures.
	topEvery = time.Second

	// returnsWithin is how long a server may be away: it replaces its program, or is started again.
	returnsWithin = 5 * time.Second
)

// top shows what the server on the socket at path does, again and again.
func (o *options) top(path string, w io.Writer) error {
	before, err := look(path)
	if err != nil {
		return err
	}
	at := time.Now()
	screen := screenOf(w)
	for {
		time.Sleep(topEvery)
		now, err := lookAgain(path)
		if err != nil {
			return err
		}
		v := Compare(before, now, time.Since(at).Seconds())
		before, at = now, time.Now()
		if o.json {
			err = json.NewEncoder(w).Encode(v)
		} else {
			err = screen.show(w, visible(v.String()), o.once)
		}
		if err != nil || o.once {
			return err
		}
	}
}

// look returns the Overview of the server on a socket.
func look(path string) (*Overview, error) {
	c, err := connect(path)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	a, err := c.ask(&request{Command: Top}, answerWithin)
	switch {
	case err != nil:
		return nil, fmt.Errorf("the server on %s did not respond: %w", path, err)
	case a.Error != "":
		return nil, errors.New(visible(a.Error))
	case a.Top == nil:
		return nil, fmt.Errorf("the server on %s did not respond", path)
	}
	return a.Top, nil
}

// lookAgain is look for a server that was there before.
func lookAgain(path string) (now *Overview, err error) {
	for end := time.Now().Add(returnsWithin); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if now, err = look(path); err == nil {
			return now, nil
		}
	}
	return nil, fmt.Errorf("the server has stopped: %w", err)
}

// screen is a terminal, or nothing.
type screen struct {
	fd    int // -1: no terminal
	begun bool
}

func screenOf(w io.Writer) *screen {
	if f, ok := w.(*os.File); ok {
		if _, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ); err == nil {
			return &screen{fd: int(f.Fd())}
		}
	}
	return &screen{fd: -1}
}

// show writes text in the place of the text before. last: it is to be whole.
func (s *screen) show(w io.Writer, text string, last bool) error {
	if s.fd < 0 || last {
		_, err := io.WriteString(w, text)
		return err
	}
	rows, columns := 24, 80
	if size, err := unix.IoctlGetWinsize(s.fd, unix.TIOCGWINSZ); err == nil && size.Row > 0 && size.Col > 0 {
		rows, columns = int(size.Row), int(size.Col)
	}
	var b strings.Builder
	if !s.begun {
		b.WriteString("\x1b[2J")
		s.begun = true
	}
	b.WriteString("\x1b[H")
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for _, line := range lines[:min(len(lines), rows-1)] {
		if runes := []rune(line); len(runes) > columns {
			line = string(runes[:columns])
		}
		b.WriteString(line + "\x1b[K\n")
	}
	b.WriteString("\x1b[J")
	_, err := io.WriteString(w, b.String())
	return err
}
